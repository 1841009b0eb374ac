using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>Evaluates a <see cref="DenseNetwork"/> by fused kernels over CPU memory, with the weights laid out for them.</summary>
internal abstract class DenseEvaluator : DynamicsEvaluator
{
    /// <summary>The type it computes in.</summary>
    public abstract ScalarType Type { get; }

    /// <summary>Takes the weights over, if they changed since the last time.</summary>
    public abstract void Refresh();
}

/// <inheritdoc/>
internal sealed unsafe class DenseEvaluator<T> : DenseEvaluator
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Rows that go through all layers together, so that what is between the layers stays in the cache.</summary>
    public const int BlockRows = 64;

    private readonly DenseNetwork _network;
    private readonly DenseKernels<T> _kernels = DenseKernels<T>.Instance;
    private readonly Stack<DenseLinearization<T>> _free = new();
    private readonly Scratch<T> _times = new();
    private readonly Scratch<T> _traceWeights = new();
    private readonly int _widest;
    private Scratch<T>[] _hidden = [];
    private bool _hasTraceWeights;

    public DenseEvaluator(DenseNetwork network)
    {
        _network = network;
        Slots = [.. network.Layers.Select(layer => layer.Slots)];
        Layers = [.. network.Layers.Select(layer =>
            new DenseLayer<T>(layer.Weight, layer.Bias, layer.TimeWeight, _kernels, layer.TimeBias, layer.TimeColumn))];
        Before = [.. network.Layers.Select(layer => Create(layer.Before))];
        Behind = [.. network.Layers.Select(layer => Create(layer.Behind))];
        _widest = Math.Max(Layers.Max(layer => layer.PaddedOutputs), Layers[0].PaddedInputs);
        MultiplyAdds = Layers.Sum(layer => (double)layer.Inputs * layer.Outputs);

        RowNormalization<T>? Create(NormalizationParameters? parameters) =>
            parameters is null ? null : new RowNormalization<T>(parameters, _kernels);
    }

    public DenseLayer<T>[] Layers { get; }

    /// <summary>Where gradients of the layers' parameters are added.</summary>
    public DenseSlots[] Slots { get; }

    /// <summary>The normalisations of the layers' inputs; null for none.</summary>
    public RowNormalization<T>?[] Before { get; }

    /// <summary>Those of their results, in front of the activation; null for none.</summary>
    public RowNormalization<T>?[] Behind { get; }

    public DenseKernels<T> Kernels => _kernels;

    public int Features => Layers[0].Inputs;

    public int Outputs => Layers[^1].Outputs;

    /// <summary>What the state goes through first; null for nothing.</summary>
    public Nonlinearity? InputActivation => _network.InputActivation;

    /// <summary>The activation behind a hidden layer.</summary>
    public Nonlinearity ActivationOf(int layer) => _network.LayerActivations[layer];

    /// <summary>Multiplications and additions of one row's evaluation.</summary>
    public double MultiplyAdds { get; }

    public override ScalarType Type => typeof(T) == typeof(float) ? ScalarType.Float32 : ScalarType.Float64;

    public override void Refresh()
    {
        foreach (DenseLayer<T> layer in Layers)
            if (layer.Refresh())
                _hasTraceWeights = false;
        foreach (RowNormalization<T>? normalization in Before.Concat(Behind))
            normalization?.Refresh();
    }

    public override void Evaluate(ReadOnlySpan<double> times, Tensor state, Tensor derivative)
    {
        T* from = (T*)StateKernels.Address(state);
        T* target = (T*)StateKernels.Address(derivative);
        T* perRow = SetTimes(times);
        Run(Rows(state), (worker, start, count) =>
        {
            T* hidden = _hidden[worker].Start;
            T* next = hidden + BlockRows * _widest;
            T* x = from + start * Features;
            nint stride = Features;
            T* blockTimes = perRow == null ? null : perRow + start;
            // The state is not ours to change.
            bool isOurs = false;
            if (InputActivation is { } input)
            {
                nint padded = Layers[0].PaddedInputs;
                DenseKernels<T>.CopyRows(x, stride, next, padded, Features, count);
                _kernels.Activate(input, next, null, padded, count, null, null);
                x = next;
                stride = padded;
                isOurs = true;
            }
            for (int l = 0; l < Layers.Length; l++)
            {
                if (Before[l] is { } before)
                {
                    T* to = isOurs ? x : next;
                    nint toRow = isOurs ? stride : Layers[0].PaddedInputs;
                    before.Apply(x, stride, to, toRow, count);
                    x = to;
                    stride = toRow;
                }
                bool isLast = l == Layers.Length - 1;
                T* y = isLast ? target + start * Outputs : hidden;
                nint yStride = isLast ? Outputs : Layers[l].PaddedOutputs;
                Forward(l, x, stride, y, yStride, count, blockTimes);
                Behind[l]?.Apply(y, yStride, y, yStride, count);
                if (!isLast)
                    _kernels.Activate(ActivationOf(l), y, null, yStride, count, TimesOf(l, blockTimes), Layers[l].TimeWeight);
                x = y;
                stride = yStride;
                isOurs = true;
                T* other = hidden;
                hidden = next;
                next = other;
            }
        });
    }

    public override DynamicsLinearization Linearize(ReadOnlySpan<double> times, Tensor state, Tensor derivative)
    {
        DenseLinearization<T> linearization = _free.TryPop(out DenseLinearization<T>? free) ? free : new DenseLinearization<T>(this);
        T* perRow = SetTimes(times);
        linearization.Evaluate(times, perRow, (T*)StateKernels.Address(state), (T*)StateKernels.Address(derivative), Rows(state));
        return linearization;
    }

    public override void Trace(ReadOnlySpan<double> times, Tensor state, Tensor trace)
    {
        ArgumentNullException.ThrowIfNull(trace);
        bool isPlain = Layers.Length == 2 && InputActivation is null && !Before.Concat(Behind).OfType<RowNormalization<T>>().Any();
        if (!isPlain || trace.dtype != state.dtype || !trace.is_contiguous())
        {
            base.Trace(times, state, trace);
            return;
        }
        // tr(W₁ D W₀) = Σ_h act′_h (W₀ W₁)_hh, and the last factor does not depend on the state.
        T* from = (T*)StateKernels.Address(state);
        T* to = (T*)StateKernels.Address(trace);
        T* perRow = SetTimes(times);
        DenseLayer<T> first = Layers[0];
        nint width = first.PaddedOutputs;
        T* weights = TraceWeights();
        Run(Rows(state), (worker, start, count) =>
        {
            T* hidden = _hidden[worker].Start;
            T* slope = hidden + BlockRows * width;
            T* blockTimes = perRow == null ? null : perRow + start;
            Forward(0, from + start * Features, Features, hidden, width, count, blockTimes);
            _kernels.Activate(ActivationOf(0), hidden, slope, width, count, TimesOf(0, blockTimes), first.TimeWeight);
            for (nint r = 0; r < count; r++)
                to[start + r] = T.CreateTruncating(_kernels.Dot(slope + r * width, weights, width));
        });
    }

    /// <summary>The times of the rows that are left to the activation of a hidden layer; null for none.</summary>
    public T* TimesOf(int l, T* perRow) => Layers[l].HasTime && Behind[l] is null ? perRow : null;

    /// <summary>
    /// Layer <paramref name="l"/> without its activation; hidden layers leave per-row times to the activation, unless a normalisation
    /// stands in front of it.
    /// </summary>
    public void Forward(int l, T* x, nint xStride, T* y, nint yStride, nint rows, T* perRow)
    {
        DenseLayer<T> layer = Layers[l];
        bool isLast = l == Layers.Length - 1;
        int columns = isLast ? layer.Outputs : layer.PaddedOutputs;
        _kernels.Multiply(x, xStride, 1, layer.Transposed, layer.PaddedOutputs, y, yStride, rows, layer.Inputs, columns, layer.Shift, T.One,
            accumulate: false);
        if ((isLast || Behind[l] is not null) && perRow != null && layer.HasTime)
            for (nint r = 0; r < rows; r++)
                for (int i = 0; i < layer.Outputs; i++)
                    y[r * yStride + i] += perRow[r] * layer.TimeWeight[i];
    }

    /// <summary>Takes a linearization back.</summary>
    public void Return(DenseLinearization<T> linearization) => _free.Push(linearization);

    protected override void Dispose(bool disposing)
    {
        // What a large batch took is not held on to.
        if (disposing && _free.Sum(linearization => linearization.MemoryBytes) <= MostBytesKept)
            _network.Pool.Return(this);
        base.Dispose(disposing);
    }

    private nint Rows(Tensor state) => (nint)(state.numel() / Features);

    /// <summary>Works on blocks of rows; each thread has its own memory for two hidden layers of a block.</summary>
    private void Run(nint rows, RowBlocks.Body body)
    {
        int workers = RowBlocks.Workers(rows, BlockRows, rows * MultiplyAdds);
        if (_hidden.Length < workers)
            _hidden = [.. _hidden,
                .. Enumerable.Range(_hidden.Length, workers - _hidden.Length).Select(_ => new Scratch<T>(2 * BlockRows * _widest))];
        RowBlocks.Run(workers, rows, BlockRows, body);
    }

    /// <summary>One time moves the biases and null is returned; times of the rows are returned as numbers of the state's type.</summary>
    private T* SetTimes(ReadOnlySpan<double> times)
    {
        foreach (DenseLayer<T> layer in Layers)
            layer.SetTime(times.Length == 1 ? times[0] : 0);
        if (times.Length == 1)
            return null;
        T* perRow = _times.Ensure(times.Length);
        for (int i = 0; i < times.Length; i++)
            perRow[i] = T.CreateTruncating(times[i]);
        return perRow;
    }

    /// <summary>(W₀ W₁)_hh of one hidden layer, padded with zeros.</summary>
    private T* TraceWeights()
    {
        DenseLayer<T> first = Layers[0], last = Layers[1];
        T* weights = _traceWeights.Ensure(first.PaddedOutputs);
        if (_hasTraceWeights)
            return weights;
        for (int h = 0; h < first.Outputs; h++)
        {
            T sum = T.Zero;
            for (int i = 0; i < Features; i++)
                sum += first.Transposed[i * first.PaddedOutputs + h] * last.Transposed[h * last.PaddedOutputs + i];
            weights[h] = sum;
        }
        _hasTraceWeights = true;
        return weights;
    }
}

/// <summary>One layer's weights as the kernels want them.</summary>
internal sealed unsafe class DenseLayer<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly Parameter _weight;
    private readonly Parameter? _bias;
    private readonly Parameter? _timeWeight;
    private readonly Parameter? _timeBias;
    private readonly TimeInput _timeColumn;
    private readonly DenseKernels<T> _kernels;
    private readonly Scratch<T> _original;
    private readonly Scratch<T> _transposed;
    private readonly Scratch<T> _rows;
    private readonly Scratch<T> _vectors;
    private bool _isFilled;

    public DenseLayer(
        Parameter weight, Parameter? bias, Parameter? timeWeight, DenseKernels<T> kernels, Parameter? timeBias = null,
        TimeInput timeColumn = TimeInput.None)
    {
        _weight = weight;
        _bias = bias;
        _timeWeight = timeWeight;
        _timeBias = timeBias;
        _timeColumn = timeColumn;
        _kernels = kernels;
        Outputs = (int)weight.shape[0];
        Columns = (int)weight.shape[1];
        Inputs = Columns - (HasTimeColumn ? 1 : 0);
        PaddedOutputs = kernels.Pad(Outputs);
        PaddedInputs = kernels.Pad(Inputs);
        _original = new Scratch<T>(Outputs * Columns);
        _transposed = new Scratch<T>(Inputs * PaddedOutputs);
        _rows = new Scratch<T>(Outputs * PaddedInputs);
        _vectors = new Scratch<T>(3 * PaddedOutputs);
    }

    /// <summary>How many inputs there are beside time.</summary>
    public int Inputs { get; }

    public int Outputs { get; }

    /// <summary>Columns of the weight, of which time may have one.</summary>
    public int Columns { get; }

    /// <summary>The first of the inputs' columns.</summary>
    public int FirstColumn => _timeColumn == TimeInput.First ? 1 : 0;

    /// <summary>The column of time.</summary>
    public int TimeColumn => _timeColumn == TimeInput.First ? 0 : Inputs;

    public bool HasTimeColumn => _timeColumn != TimeInput.None;

    public int PaddedInputs { get; }

    public int PaddedOutputs { get; }

    public bool HasTime => _timeWeight is not null || HasTimeColumn;

    /// <summary>Wᵀ, rows padded to <see cref="PaddedOutputs"/>.</summary>
    public T* Transposed => _transposed.Start;

    /// <summary>W, rows padded to <see cref="PaddedInputs"/>.</summary>
    public T* Rows => _rows.Start;

    /// <summary>The bias itself, all that does not depend on time.</summary>
    public T* Bias => _vectors.Start;

    /// <summary>The bias at the time that was set.</summary>
    public T* Shift => _vectors.Start + (HasTime ? 2 * PaddedOutputs : 0);

    /// <summary>What one unit of time adds to the bias.</summary>
    public T* TimeWeight => _vectors.Start + PaddedOutputs;

    public void SetTime(double time)
    {
        if (!HasTime)
            return;
        Buffer.MemoryCopy(_vectors.Start, Shift, PaddedOutputs * sizeof(T), PaddedOutputs * sizeof(T));
        _kernels.AddScaled(Shift, TimeWeight, T.CreateTruncating(time), PaddedOutputs);
    }

    /// <summary>G = Σ δ xᵀ over rows, or G += α Σ δ xᵀ: what the weights' gradient is made of.</summary>
    /// <param name="delta">Cotangents of the outputs, rows padded.</param>
    /// <param name="inputs">x, rows padded.</param>
    /// <param name="rows">How many rows.</param>
    /// <param name="gradient">G.</param>
    /// <param name="columns">How many numbers of a row there are: <see cref="Inputs"/>, or those with padding.</param>
    /// <param name="stride">From one row to the next.</param>
    /// <param name="alpha">α.</param>
    /// <param name="accumulate">Whether to add.</param>
    public void OuterProducts(
        T* delta, T* inputs, nint rows, T* gradient, nint columns, nint stride, T alpha, bool accumulate) =>
        _kernels.OuterProducts(delta, PaddedOutputs, inputs, PaddedInputs, rows, gradient, stride, Outputs, columns, alpha, accumulate);

    private void AddTo(T* sum, Parameter? bias)
    {
        if (bias is null)
            return;
        T* from = (T*)StateKernels.Address(bias);
        for (int i = 0; i < Outputs; i++)
            sum[i] += from[i];
    }

    /// <summary>Takes the weights over; says whether the matrix changed.</summary>
    public bool Refresh()
    {
        new Span<T>(Bias, Outputs).Clear();
        AddTo(Bias, _bias);
        AddTo(Bias, _timeBias);
        new Span<T>(TimeWeight, Outputs).Clear();
        AddTo(TimeWeight, _timeWeight);
        if (HasTimeColumn)
            for (int o = 0; o < Outputs; o++)
                TimeWeight[o] += ((T*)StateKernels.Address(_weight))[o * Columns + TimeColumn];
        // Comparing is much cheaper than laying the weights out anew, and between training steps they do not change.
        var now = new ReadOnlySpan<byte>(StateKernels.Address(_weight), Outputs * Columns * sizeof(T));
        var before = new Span<byte>(_original.Start, now.Length);
        if (_isFilled && now.SequenceEqual(before))
            return false;
        _isFilled = true;
        now.CopyTo(before);
        T* from = _original.Start + FirstColumn;
        for (int o = 0; o < Outputs; o++)
            new ReadOnlySpan<T>(from + o * Columns, Inputs).CopyTo(new Span<T>(Rows + o * PaddedInputs, Inputs));
        Transposition<T>.Run(from, Columns, Outputs, Inputs, Transposed, PaddedOutputs);
        return true;
    }
}
