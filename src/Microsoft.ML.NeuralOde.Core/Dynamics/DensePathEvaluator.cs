using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.PathIntegrals;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>
/// Evaluates <see cref="DenseDynamics"/> together with the trace of their Jacobian by fused kernels: states of shape <c>[batch, features +
/// 1]</c>, the trace's integral in the last column. The mathematics is that of <see cref="DenseTangents"/>.
/// </summary>
internal abstract class DensePathEvaluator : DynamicsEvaluator
{
    /// <summary>The type it computes in.</summary>
    public abstract ScalarType Type { get; }

    /// <summary>Takes weights and probes over, as they are now.</summary>
    public abstract void Refresh(Tensor probes, double probeWeight);
}

/// <inheritdoc/>
internal sealed unsafe class DensePathEvaluator<T> : DensePathEvaluator
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>
    /// Rows that go through all layers together, with their tangents, so that what is between the layers stays in the cache.
    /// </summary>
    private const int BlockRows = 64;

    private readonly DenseDynamics _dynamics;
    private readonly double _multiplyAdds;
    private readonly Stack<DensePathLinearization<T>> _free = new();
    private readonly Scratch<T> _probes = new();
    private DensePathLinearization<T>[] _passing = [];

    public DensePathEvaluator(DenseDynamics dynamics)
    {
        _dynamics = dynamics;
        Slots = DenseSlots.Of(dynamics);
        Layers = new GatedLayer<T>[dynamics.Layers];
        for (int i = 0; i < Layers.Length; i++)
            Layers[i] = new GatedLayer<T>(
                new DenseLayer<T>(dynamics.Weights[i], dynamics.Biases[i], dynamics.TimeWeight(i), Kernels), dynamics.Gate(i), Kernels);
        _multiplyAdds = Layers.Sum(layer => (double)layer.Dense.Inputs * layer.Dense.Outputs);
    }

    public override ScalarType Type => typeof(T) == typeof(float) ? ScalarType.Float32 : ScalarType.Float64;

    public GatedLayer<T>[] Layers { get; }

    /// <summary>Where gradients of the layers' parameters are added.</summary>
    public DenseSlots[] Slots { get; }

    public DenseKernels<T> Kernels { get; } = DenseKernels<T>.Instance;

    public Activation Activation => _dynamics.Activation;

    public int Features => Layers[0].Dense.Inputs;

    /// <summary>Shape <c>[tangents, batch, features]</c>.</summary>
    public T* Probes => _probes.Start;

    public int Tangents { get; private set; }

    public T ProbeWeight { get; private set; }

    public override void Refresh(Tensor probes, double probeWeight)
    {
        Tangents = (int)probes.shape[0];
        ProbeWeight = T.CreateTruncating(probeWeight);
        int count = (int)probes.numel();
        new ReadOnlySpan<T>(StateKernels.Address(probes), count).CopyTo(new Span<T>(_probes.Ensure(count), count));
        foreach (GatedLayer<T> layer in Layers)
            layer.Refresh();
    }

    public override void Evaluate(ReadOnlySpan<double> times, Tensor state, Tensor derivative)
    {
        T* from = (T*)StateKernels.Address(state);
        T* to = (T*)StateKernels.Address(derivative);
        nint rows = Rows(state);
        SetTime(times[0], backward: false);
        int workers = Workers(rows);
        // Nothing is kept: each thread passes its blocks through the same memory.
        if (_passing.Length < workers)
            _passing = [.. _passing,
                .. Enumerable.Range(_passing.Length, workers - _passing.Length).Select(_ => new DensePathLinearization<T>(this))];
        for (int i = 0; i < workers; i++)
            _passing[i].Prepare(BlockRows);
        RowBlocks.Run(
            workers, rows, BlockRows, (worker, start, count) => _passing[worker].Evaluate(from, to, start, count, rows, place: 0));
    }

    public override DynamicsLinearization Linearize(ReadOnlySpan<double> times, Tensor state, Tensor derivative)
    {
        T* from = (T*)StateKernels.Address(state);
        T* to = (T*)StateKernels.Address(derivative);
        nint rows = Rows(state);
        DensePathLinearization<T> linearization = _free.TryPop(out DensePathLinearization<T>? free)
            ? free : new DensePathLinearization<T>(this);
        SetTime(times[0], backward: false);
        linearization.Prepare(rows);
        linearization.Time = times[0];
        Run(rows, (_, start, count) => linearization.Evaluate(from, to, start, count, rows, start));
        return linearization;
    }

    /// <summary>Sets the time of all layers, for products forward, or backward.</summary>
    public void SetTime(double time, bool backward)
    {
        foreach (GatedLayer<T> layer in Layers)
            layer.SetTime(time, backward);
    }

    /// <summary>Works on blocks of rows, with the tangents of each.</summary>
    public void Run(nint rows, RowBlocks.Body body) => RowBlocks.Run(Workers(rows), rows, BlockRows, body);

    /// <summary>Takes a linearization back.</summary>
    public void Return(DensePathLinearization<T> linearization) => _free.Push(linearization);

    private int Workers(nint rows) => RowBlocks.Workers(rows, BlockRows, (1 + Tangents) * rows * _multiplyAdds);

    private nint Rows(Tensor state) => (nint)(state.numel() / (Features + 1));

    protected override void Dispose(bool disposing)
    {
        // What a large batch took is not held on to.
        if (disposing && _free.Sum(linearization => linearization.MemoryBytes) <= MostBytesKept)
            _dynamics.Return(this);
        base.Dispose(disposing);
    }
}

/// <summary>A layer x ↦ (x Wᵀ + b) ⊙ g + t w, as the product with gated weights at the time that was set.</summary>
internal sealed unsafe class GatedLayer<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly (Parameter Weight, Parameter Bias)? _gate;
    private readonly DenseKernels<T> _kernels;
    private readonly Scratch<T> _vectors;
    private readonly Scratch<T> _transposed;
    private readonly Scratch<T> _rows;

    public GatedLayer(DenseLayer<T> dense, (Parameter Weight, Parameter Bias)? gate, DenseKernels<T> kernels)
    {
        Dense = dense;
        _gate = gate;
        _kernels = kernels;
        _vectors = new Scratch<T>(4 * dense.PaddedOutputs);
        _transposed = new Scratch<T>(gate is null ? 0 : dense.Inputs * dense.PaddedOutputs);
        _rows = new Scratch<T>(gate is null ? 0 : dense.Outputs * dense.PaddedInputs);
    }

    public DenseLayer<T> Dense { get; }

    public bool HasGate => _gate is not null;

    /// <summary>(diag(g) W)ᵀ, rows padded.</summary>
    public T* Transposed => HasGate ? _transposed.Start : Dense.Transposed;

    /// <summary>diag(g) W, rows padded.</summary>
    public T* Rows => HasGate ? _rows.Start : Dense.Rows;

    /// <summary>b ⊙ g + t w.</summary>
    public T* Shift => _vectors.Start;

    /// <summary>g.</summary>
    public T* Gate => _vectors.Start + Dense.PaddedOutputs;

    public T* GateWeight => _vectors.Start + 2 * Dense.PaddedOutputs;

    private T* GateBias => _vectors.Start + 3 * Dense.PaddedOutputs;

    public void Refresh()
    {
        Dense.Refresh();
        if (_gate is not { } gate)
            return;
        new ReadOnlySpan<T>(StateKernels.Address(gate.Weight), Dense.Outputs).CopyTo(new Span<T>(GateWeight, Dense.Outputs));
        new ReadOnlySpan<T>(StateKernels.Address(gate.Bias), Dense.Outputs).CopyTo(new Span<T>(GateBias, Dense.Outputs));
    }

    /// <summary>Sets the time, for products forward, or backward.</summary>
    public void SetTime(double time, bool backward)
    {
        T t = T.CreateTruncating(time);
        int outputs = Dense.Outputs;
        for (int o = 0; o < outputs; o++)
        {
            T gate = HasGate ? T.One / (T.One + T.Exp(-(t * GateWeight[o] + GateBias[o]))) : T.One;
            Gate[o] = gate;
            Shift[o] = Dense.Bias[o] * gate + (Dense.HasTime ? t * Dense.TimeWeight[o] : T.Zero);
        }
        if (!HasGate)
            return;
        if (!backward)
        {
            for (int i = 0; i < Dense.Inputs; i++)
                _kernels.Product(
                    _transposed.Start + i * Dense.PaddedOutputs, Dense.Transposed + i * Dense.PaddedOutputs, Gate, Dense.PaddedOutputs);
            return;
        }
        new Span<T>(_rows.Start, outputs * Dense.PaddedInputs).Clear();
        for (int o = 0; o < outputs; o++)
            _kernels.AddScaled(_rows.Start + o * Dense.PaddedInputs, Dense.Rows + o * Dense.PaddedInputs, Gate[o], Dense.PaddedInputs);
    }
}
