using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>
/// The derivatives of <see cref="ConvolutionalDynamics"/> at one point: the normalised images of all layers, from which the rest is
/// computed again, and after a pull the cotangents of the convolutions.
/// </summary>
/// <remarks>Gradients of parameters are sums over the chunks of the plan, each in a place of its own, added up in their order.</remarks>
internal sealed unsafe class ConvolutionalLinearization<T> : DynamicsLinearization
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly ConvolutionalEvaluator<T> _evaluator;
    private readonly ConvolutionPlan<T> _plan;
    private readonly DenseKernels<T> _dense = DenseKernels<T>.Instance;
    private readonly Scratch<T>[] _normalized;
    private readonly Scratch<T>[] _inverse;
    private readonly Scratch<T> _sums = new();
    private readonly Scratch<double> _timeGradients = new();
    private Scratch<T>[]? _cotangents;
    private double[] _times = [];
    private int _rows;

    public ConvolutionalLinearization(ConvolutionalEvaluator<T> evaluator)
    {
        _evaluator = evaluator;
        _plan = evaluator.Plan;
        _normalized = Create(evaluator.Normalizations.Length);
        _inverse = Create(evaluator.Normalizations.Length);

        static Scratch<T>[] Create(int count) => [.. Enumerable.Range(0, count).Select(_ => new Scratch<T>())];
    }

    public override long? MemoryBytes => _normalized.Concat(_inverse).Append(_sums).Sum(scratch => scratch.Count) * sizeof(T);

    private ConvolutionLayer<T>[] Layers => _evaluator.Layers;

    private bool IsPerRow => _times.Length > 1;

    /// <summary>
    /// Sums of a chunk: two vectors of channels for each normalisation, one for the time that is added, and images for each convolution.
    /// </summary>
    private int SumCount => _plan.Padded * (2 * _normalized.Length + 1) + 2 * Layers.Length * _plan.ImageCount;

    /// <summary>Makes room for a number of rows.</summary>
    public void Begin(ReadOnlySpan<double> times, int rows)
    {
        _times = times.ToArray();
        _rows = rows;
        foreach (Scratch<T> normalized in _normalized)
            normalized.Ensure((nint)rows * _plan.ImageCount);
        foreach (Scratch<T> inverse in _inverse)
            inverse.Ensure((nint)rows * _plan.Padded);
    }

    /// <summary>Where the normalised image of a row is kept, without gaps.</summary>
    public T* Normalized(int normalization, int row) => _normalized[normalization].Start + (nint)row * _plan.ImageCount;

    /// <summary>Where 1 / the standard deviations of its channels are kept.</summary>
    public T* Inverse(int normalization, int row) => _inverse[normalization].Start + (nint)row * _plan.Padded;

    public override void Pull(Tensor cotangent, Tensor state, Span<double> times)
    {
        _cotangents ??= _evaluator.RentCotangents();
        foreach (Scratch<T> scratch in _cotangents)
            scratch.Ensure((nint)_rows * _plan.ImageCount);
        int chunks = _plan.Chunks(_rows);
        new Span<T>(_sums.Ensure(chunks * SumCount), chunks * SumCount).Clear();
        _timeGradients.Ensure(_rows);
        nint from = (nint)StateKernels.Address(cotangent), to = (nint)StateKernels.Address(state);
        bool withTimes = !times.IsEmpty;
        _evaluator.Run(chunks, Layers.Length * _plan.MultiplyAdds(_rows), (workspace, chunk) =>
        {
            (int first, int end) = _plan.Chunk(chunk, chunks, _rows);
            for (int block = first; block < end; block++)
                PullBlock(workspace, block, Sums(chunk), (T*)from, (T*)to, withTimes);
        });
        times.Clear();
        for (int row = 0; withTimes && row < _rows; row++)
            times[times.Length == 1 ? 0 : row] += _timeGradients.Start[row];
    }

    public override void AddParameterGradients(double weight, IReadOnlyList<Tensor?> gradients)
    {
        AddWeightGradients(weight, gradients);
        for (int i = 0; i < _normalized.Length; i++)
        {
            ConvolutionalSlots slots = _evaluator.Slots[i];
            AddVector(NormSums(0, i) + _plan.Padded, weight, gradients[slots.NormWeight]);
            AddVector(NormSums(0, i), weight, gradients[slots.NormBias]);
            Tensor? time = slots.Time is { } place ? gradients[place] : null;
            if (i == Layers.Length)
            {
                AddVector(TimeSum(0), weight, time);
                break;
            }
            if (gradients[slots.Bias!.Value] is { } bias)
                Layers[i].AddBiasGradient(SumOfImages(i, isWeighted: false), T.CreateTruncating(weight), (T*)StateKernels.Address(bias));
            if (time is { } timeWeight)
                Layers[i].AddTimeGradient(
                    SumOfImages(i, IsPerRow), T.CreateTruncating(IsPerRow ? weight : weight * _times[0]),
                    (T*)StateKernels.Address(timeWeight));
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            if (_cotangents is not null)
                _evaluator.Return(_cotangents);
            _cotangents = null;
            _evaluator.Return(this);
        }
        base.Dispose(disposing);
    }

    private T* Sums(int chunk) => _sums.Start + (nint)chunk * SumCount;

    /// <summary>Gradients of a normalisation's bias, and behind it of its weight.</summary>
    private T* NormSums(int chunk, int normalization) => Sums(chunk) + 2 * normalization * _plan.Padded;

    /// <summary>Gradient of the weight of the time that is added.</summary>
    private T* TimeSum(int chunk) => Sums(chunk) + 2 * _normalized.Length * _plan.Padded;

    /// <summary>Cotangents of a convolution, summed over images, as they are or times their times.</summary>
    private T* ImageSum(int chunk, int layer, bool isWeighted) =>
        Sums(chunk) + (2 * _normalized.Length + 1) * _plan.Padded + (2 * layer + (isWeighted ? 1 : 0)) * _plan.ImageCount;

    /// <summary>The same of all chunks together; until the next call.</summary>
    private T* SumOfImages(int layer, bool isWeighted)
    {
        T* sum = _evaluator.Image;
        new Span<T>(sum, _plan.ImageCount).Clear();
        for (int chunk = 0; chunk < _plan.Chunks(_rows); chunk++)
            _dense.AddScaled(sum, ImageSum(chunk, layer, isWeighted), T.One, _plan.ImageCount);
        return sum;
    }

    private void PullBlock(ConvolutionWorkspace<T> workspace, int block, T* sums, T* from, T* to, bool withTimes)
    {
        (int first, int count) = _plan.Block(block, _rows);
        T* imageSums = sums + (2 * _normalized.Length + 1) * _plan.Padded;
        for (int i = Layers.Length; i >= 0; i--)
        {
            for (int image = 0; image < count; image++)
            {
                int row = first + image;
                T time = T.CreateTruncating(_times[IsPerRow ? row : 0]);
                Plane<T> cotangent = workspace.Image;
                if (i == Layers.Length)
                {
                    _evaluator.Load(from, row, cotangent);
                }
                else
                {
                    workspace.TransformOutput(image);
                    cotangent = workspace.Output;
                }
                T* result = i == 0 ? workspace.Image.Start : _cotangents![i - 1].Start + (nint)row * _plan.ImageCount;
                T* own = workspace.Sums;
                _evaluator.Normalizations[i].Pull(
                    cotangent, Normalized(i, row), Inverse(i, row), own, result, i == 0 ? default : workspace.Inside, workspace.Temporary);
                _dense.AddScaled(sums + 2 * i * _plan.Padded, own, T.One, 2 * _plan.Padded);
                if (i == Layers.Length)
                {
                    if (withTimes)
                        _timeGradients.Start[row] = _evaluator.IsTimeAdded ? _dense.Dot(own, _evaluator.TimeWeight, _plan.Padded) : 0;
                    if (_evaluator.IsTimeAdded)
                        _dense.AddScaled(sums + 2 * _normalized.Length * _plan.Padded, own, time, _plan.Padded);
                }
                if (i == 0)
                {
                    _evaluator.Save(workspace.Image, to, row);
                    continue;
                }
                ConvolutionLayer<T> layer = Layers[i - 1];
                T* imageSum = imageSums + 2 * (i - 1) * _plan.ImageCount;
                _dense.AddScaled(imageSum, result, T.One, _plan.ImageCount);
                if (IsPerRow && layer.HasTime)
                    _dense.AddScaled(imageSum + _plan.ImageCount, result, time, _plan.ImageCount);
                if (withTimes && layer.HasTime)
                    _timeGradients.Start[row] += _dense.Dot(result, layer.TimeImage, _plan.ImageCount);
                workspace.TransformInput(image);
            }
            if (i > 0)
                workspace.Multiply(Layers[i - 1].Backward, count);
        }
    }

    private void AddWeightGradients(double weight, IReadOnlyList<Tensor?> gradients)
    {
        (int Layer, nint Target)[] wanted =
        [
            .. Enumerable.Range(0, Layers.Length).Select(i => (Layer: i, Target: gradients[_evaluator.Slots[i].Weight!.Value]))
                .Where(place => place.Target is not null)
                .Select(place => (place.Layer, (nint)StateKernels.Address(place.Target!))),
        ];
        if (wanted.Length == 0)
            return;
        int chunks = _plan.WeightChunks(_rows);
        nint parts = (nint)_evaluator.Parts(chunks * wanted.Length);
        _evaluator.Run(chunks * wanted.Length, wanted.Length * _plan.MultiplyAdds(_rows), (workspace, item) =>
        {
            (int first, int end) = _plan.Chunk(item % chunks, chunks, _rows);
            for (int block = first; block < end; block++)
                MultiplyCotangents(
                    workspace, wanted[item / chunks].Layer, block, (T*)parts + (nint)item * _plan.WeightCount, isFirst: block == first);
        });
        // Each piece of work has some of the outputs of a layer.
        const int Pieces = 4;
        _evaluator.Run(wanted.Length * Pieces, (double)wanted.Length * chunks * _plan.WeightCount, (workspace, item) =>
        {
            (int layer, nint target) = wanted[item / Pieces];
            int piece = item % Pieces;
            Layers[layer].AddWeightGradient(
                (T*)parts + (nint)(item / Pieces * chunks) * _plan.WeightCount, chunks, T.CreateTruncating(weight), (T*)target,
                _plan.Channels * piece / Pieces, _plan.Channels * (piece + 1) / Pieces, workspace.Taps);
        });
    }

    private void MultiplyCotangents(ConvolutionWorkspace<T> workspace, int layer, int block, T* gradient, bool isFirst)
    {
        (int first, int count) = _plan.Block(block, _rows);
        for (int image = 0; image < count; image++)
        {
            int row = first + image;
            _evaluator.Normalizations[layer].Activate(Normalized(layer, row), workspace.Inside);
            workspace.TransformInput(image);
            workspace.TransformCotangent(_cotangents![layer].Start + (nint)row * _plan.ImageCount, image);
        }
        workspace.MultiplyCotangent(gradient, count, accumulate: !isFirst);
    }

    /// <summary>Adds w times a vector's sum over the chunks, given where it lies in the first.</summary>
    private void AddVector(T* first, double weight, Tensor? target)
    {
        if (target is null)
            return;
        T* to = (T*)StateKernels.Address(target);
        T alpha = T.CreateTruncating(weight);
        for (int chunk = 0; chunk < _plan.Chunks(_rows); chunk++)
            for (int c = 0; c < _plan.Channels; c++)
                to[c] += alpha * first[(nint)chunk * SumCount + c];
    }
}
