using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>Evaluates <see cref="ConvolutionalDynamics"/> by kernels over CPU memory, with the weights laid out for them.</summary>
internal abstract class ConvolutionalEvaluator : DynamicsEvaluator
{
    /// <summary>Whether it is made for states like this one.</summary>
    public abstract bool Fits(Tensor state);

    /// <summary>Takes the weights over, if they changed since the last time.</summary>
    public abstract void Refresh();
}

/// <inheritdoc/>
/// <remarks>
/// Images become channels-last. Blocks of them go through all layers together, so that what is between the layers stays in the cache; the
/// convolutions are matrix products between the transforms of minimal filtering. Blocks are the same whatever the number of threads, and so
/// are results.
/// </remarks>
internal sealed unsafe class ConvolutionalEvaluator<T> : ConvolutionalEvaluator
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly ConvolutionalDynamics _dynamics;
    private readonly Stack<ConvolutionalLinearization<T>> _free = new();
    private readonly Stack<Scratch<T>[]> _freeCotangents = new();
    private readonly List<ConvolutionWorkspace<T>> _workspaces = [];
    private readonly ImageKernels<T> _images = ImageKernels<T>.Instance;
    private readonly Scratch<T> _times = new();
    private readonly Scratch<T> _timeWeight;
    private readonly Scratch<T> _parts = new();
    private readonly Scratch<T> _image = new();

    public ConvolutionalEvaluator(ConvolutionalDynamics dynamics, int height, int width)
    {
        _dynamics = dynamics;
        Slots = ConvolutionalSlots.Of(dynamics);
        Plan = new ConvolutionPlan<T>((int)dynamics.Channels, (int)dynamics.Groups, height, width);
        Normalizations =
        [
            .. Enumerable.Range(0, dynamics.NormWeights.Count).Select(i => new GroupNormalization<T>(
                dynamics.NormWeights[i], dynamics.NormBiases[i], i < dynamics.Weights.Count ? dynamics.Activation : null,
                ConvolutionalDynamics.Epsilon, Plan)),
        ];
        Layers =
        [
            .. Enumerable.Range(0, dynamics.Weights.Count).Select(i => new ConvolutionLayer<T>(
                dynamics.Weights[i], dynamics.Biases[i],
                dynamics.Time == TimeDependence.Concatenate ? dynamics.TimeWeights[i] : null, Plan)),
        ];
        _timeWeight = new Scratch<T>(Plan.Padded);
    }

    public ConvolutionPlan<T> Plan { get; }

    public GroupNormalization<T>[] Normalizations { get; }

    public ConvolutionLayer<T>[] Layers { get; }

    /// <summary>Where gradients of the parameters are added, normalisation by normalisation.</summary>
    public ConvolutionalSlots[] Slots { get; }

    /// <summary>Room for an image without gaps.</summary>
    public T* Image => _image.Ensure(Plan.ImageCount);

    /// <summary>Whether t times a vector is added to the result.</summary>
    public bool IsTimeAdded => _dynamics.Time == TimeDependence.Add;

    /// <summary>That vector, padded.</summary>
    public T* TimeWeight => _timeWeight.Start;

    private int StateCount => Plan.Channels * Plan.Height * Plan.Width;

    public override bool Fits(Tensor state) =>
        state.dtype == (typeof(T) == typeof(float) ? ScalarType.Float32 : ScalarType.Float64) && state.shape[2] == Plan.Height
            && state.shape[3] == Plan.Width;

    public override void Refresh()
    {
        foreach (GroupNormalization<T> normalization in Normalizations)
            normalization.Refresh();
        foreach (ConvolutionLayer<T> layer in Layers)
            layer.Refresh();
        if (IsTimeAdded)
            new ReadOnlySpan<T>(
                StateKernels.Address(_dynamics.TimeWeights[0]), Plan.Channels).CopyTo(new Span<T>(TimeWeight, Plan.Channels));
    }

    public override void Evaluate(ReadOnlySpan<double> times, Tensor state, Tensor derivative) => Run(times, state, derivative, null);

    public override DynamicsLinearization Linearize(ReadOnlySpan<double> times, Tensor state, Tensor derivative)
    {
        ConvolutionalLinearization<T> linearization =
            _free.TryPop(out ConvolutionalLinearization<T>? free) ? free : new ConvolutionalLinearization<T>(this);
        linearization.Begin(times, Rows(state));
        Run(times, state, derivative, linearization);
        return linearization;
    }

    /// <summary>
    /// Room for the cotangents of the convolutions: few are alive at once, so that the memory is likely to be in the cache.
    /// </summary>
    public Scratch<T>[] RentCotangents() =>
        _freeCotangents.TryPop(out Scratch<T>[]? free) ? free : [.. Enumerable.Range(0, Layers.Length).Select(_ => new Scratch<T>())];

    /// <summary>Takes that room back.</summary>
    public void Return(Scratch<T>[] cotangents) => _freeCotangents.Push(cotangents);

    /// <summary>Takes a linearization back.</summary>
    public void Return(ConvolutionalLinearization<T> linearization) => _free.Push(linearization);

    /// <summary>Runs pieces of work, each with a worker's memory.</summary>
    /// <param name="items">How many pieces.</param>
    /// <param name="work">Multiply–adds of all together.</param>
    /// <param name="body">Does a piece.</param>
    public void Run(int items, double work, Action<ConvolutionWorkspace<T>, int> body)
    {
        int workers = RowBlocks.Workers(items, 1, work);
        while (_workspaces.Count < workers)
            _workspaces.Add(new ConvolutionWorkspace<T>(Plan));
        RowBlocks.Run(workers, items, 1, (worker, item, _) => body(_workspaces[worker], (int)item));
    }

    /// <summary>Room for a number of gradients of transformed weights, until the next call.</summary>
    public T* Parts(int count) => _parts.Ensure((nint)count * Plan.WeightCount);

    /// <summary>Channels-first to channels-last.</summary>
    public void Load(T* state, int row, Plane<T> image)
    {
        int positions = Plan.Height * Plan.Width;
        _images.Transpose(state + (nint)row * StateCount, positions, Plan.Channels, positions, image.Start, Plan.Padded);
    }

    /// <summary>Channels-last to channels-first.</summary>
    public void Save(Plane<T> image, T* state, int row)
    {
        int positions = Plan.Height * Plan.Width;
        _images.Transpose(image.Start, Plan.Padded, positions, Plan.Channels, state + (nint)row * StateCount, positions);
    }

    protected override void Dispose(bool disposing)
    {
        // What a large batch took is not held on to.
        long cotangents = _freeCotangents.Sum(room => room.Sum(scratch => (long)scratch.Count)) * sizeof(T);
        if (disposing && cotangents + _free.Sum(linearization => linearization.MemoryBytes) <= MostBytesKept)
            _dynamics.Return(this);
        base.Dispose(disposing);
    }

    private static int Rows(Tensor state) => (int)state.shape[0];

    private void Run(ReadOnlySpan<double> times, Tensor state, Tensor derivative, ConvolutionalLinearization<T>? linearization)
    {
        int rows = Rows(state);
        nint from = (nint)StateKernels.Address(state), to = (nint)StateKernels.Address(derivative);
        bool isPerRow = times.Length > 1;
        T* given = _times.Ensure(times.Length);
        for (int i = 0; i < times.Length; i++)
            given[i] = T.CreateTruncating(times[i]);
        if (!isPerRow)
            foreach (ConvolutionLayer<T> layer in Layers)
                layer.SetTime(times[0]);
        Run(Plan.Blocks(rows), Layers.Length * Plan.MultiplyAdds(rows), (workspace, block) =>
            RunBlock(workspace, block, rows, (T*)from, (T*)to, isPerRow, linearization));
    }

    private void RunBlock(
        ConvolutionWorkspace<T> workspace, int block, int rows, T* from, T* to, bool isPerRow, ConvolutionalLinearization<T>? linearization)
    {
        (int first, int count) = Plan.Block(block, rows);
        for (int i = 0; i <= Layers.Length; i++)
        {
            for (int image = 0; image < count; image++)
            {
                int row = first + image;
                T time = _times.Start[isPerRow ? row : 0];
                Plane<T> x = workspace.Image;
                T* shift = null;
                if (i == 0)
                {
                    Load(from, row, x);
                }
                else
                {
                    workspace.TransformOutput(image);
                    x = workspace.Output;
                    shift = Shift(Layers[i - 1], time, isPerRow, workspace);
                }
                bool isLast = i == Layers.Length;
                Plane<T> target = isLast ? workspace.Image : workspace.Inside;
                T* normalized = linearization is null ? null : linearization.Normalized(i, row);
                T* inverse = linearization is null ? workspace.Inverse : linearization.Inverse(i, row);
                Normalizations[i].Normalize(
                    x, shift, isLast ? Bias(time, workspace) : Normalizations[i].Bias, normalized, inverse, target, workspace.Temporary);
                if (isLast)
                    Save(target, to, row);
                else
                    workspace.TransformInput(image);
            }
            if (i < Layers.Length)
                workspace.Multiply(Layers[i].Forward, count);
        }
    }

    /// <summary>What a convolution adds: the bias, and time's part of it.</summary>
    private static T* Shift(ConvolutionLayer<T> layer, T time, bool isPerRow, ConvolutionWorkspace<T> workspace)
    {
        if (!isPerRow || !layer.HasTime)
            return layer.Shift;
        layer.ShiftAt(time, workspace.Shift);
        return workspace.Shift;
    }

    /// <summary>The bias of the last normalisation, with what time adds to it.</summary>
    private T* Bias(T time, ConvolutionWorkspace<T> workspace)
    {
        T* bias = Normalizations[^1].Bias;
        if (!IsTimeAdded)
            return bias;
        for (int c = 0; c < Plan.Padded; c++)
            workspace.Bias[c] = T.MultiplyAddEstimate(time, TimeWeight[c], bias[c]);
        return workspace.Bias;
    }
}
