using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>
/// The derivatives of dense dynamics and of the trace of their Jacobian at one point. State and tangents are stacked: <c>batch</c> rows of
/// the state, then as many for each tangent.
/// </summary>
internal sealed unsafe class DensePathLinearization<T> : DynamicsLinearization
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly DensePathEvaluator<T> _evaluator;
    private readonly DenseKernels<T> _kernels;
    private readonly LayerMemory[] _memory;
    private readonly Scratch<T> _products = new();
    private nint _rows;

    public DensePathLinearization(DensePathEvaluator<T> evaluator)
    {
        _evaluator = evaluator;
        _kernels = evaluator.Kernels;
        _memory = [.. evaluator.Layers.Select(_ => new LayerMemory())];
    }

    private GatedLayer<T>[] Layers => _evaluator.Layers;

    private int Features => _evaluator.Features;

    private nint AllRows => (1 + _evaluator.Tangents) * _rows;

    public override long? MemoryBytes => _memory.Sum(memory => memory.Count) * sizeof(T);

    /// <summary>The time it belongs to.</summary>
    public double Time { get; set; }

    /// <summary>Makes room for a number of rows, each with its tangents.</summary>
    public void Prepare(nint rows)
    {
        _rows = rows;
        int widest = 0;
        for (int l = 0; l < Layers.Length; l++)
        {
            DenseLayer<T> layer = Layers[l].Dense;
            widest = Math.Max(widest, Math.Max(layer.PaddedInputs, layer.PaddedOutputs));
            _memory[l].Inputs.Ensure(AllRows * layer.PaddedInputs);
            _memory[l].Images.Ensure(_evaluator.Tangents * rows * layer.PaddedOutputs);
            _memory[l].Slopes.Ensure(rows * layer.PaddedOutputs);
        }
        _products.Ensure(rows * widest);
    }

    /// <summary>
    /// Computes f and the trace of a block of rows at the time the layers are set to, and keeps what their derivatives need.
    /// </summary>
    /// <param name="state">The state.</param>
    /// <param name="derivative">Where f and the trace are written.</param>
    /// <param name="start">The block's first row.</param>
    /// <param name="count">Its rows.</param>
    /// <param name="batch">The rows of the state, as many as the probes have.</param>
    /// <param name="place">The row of this memory where the block begins.</param>
    public void Evaluate(T* state, T* derivative, nint start, nint count, nint batch, nint place)
    {
        int tangents = _evaluator.Tangents;
        T* probes = _evaluator.Probes + start * Features;
        nint padded = Layers[0].Dense.PaddedInputs;
        T* x = _memory[0].Inputs.Start + place * padded;
        CopyRows(state + start * (Features + 1), Features + 1, x, padded, Features, count);
        for (int k = 0; k < tangents; k++)
            CopyRows(probes + k * batch * Features, Features, x + (k + 1) * _rows * padded, padded, Features, count);
        for (int l = 0; l < Layers.Length; l++)
        {
            DenseLayer<T> layer = Layers[l].Dense;
            nint inputs = layer.PaddedInputs, stride = layer.PaddedOutputs;
            bool isLast = l == Layers.Length - 1;
            T* y = (isLast ? _products.Start : _memory[l + 1].Inputs.Start) + place * stride;
            T* images = _memory[l].Images.Start + place * stride;
            x = _memory[l].Inputs.Start + place * inputs;
            Product(l, x, y, count, Layers[l].Shift);
            for (int k = 0; k < tangents; k++)
                Product(l, x + (k + 1) * _rows * inputs, images + k * _rows * stride, count, null);
            if (isLast)
            {
                Write(y, images, stride, probes, batch, derivative + start * (Features + 1), count);
                break;
            }
            T* slope = _memory[l].Slopes.Start + place * stride;
            _kernels.Activate(Nonlinearities.Of(_evaluator.Activation), y, slope, stride, count, null, null);
            for (int k = 0; k < tangents; k++)
                _kernels.Product(y + (k + 1) * _rows * stride, images + k * _rows * stride, slope, count * stride);
        }
    }

    public override void Pull(Tensor cotangent, Tensor state, Span<double> times)
    {
        T* incoming = (T*)StateKernels.Address(cotangent);
        T* outgoing = (T*)StateKernels.Address(state);
        for (int l = 0; l < Layers.Length; l++)
            _memory[l].Cotangents.Ensure(AllRows * Layers[l].Dense.PaddedOutputs);
        _evaluator.SetTime(Time, backward: true);
        _evaluator.Run(_rows, (_, start, count) => Pull(incoming, outgoing, start, count));
        if (times.IsEmpty)
            return;
        times.Clear();
        for (int l = 0; l < Layers.Length; l++)
            times[0] += TimeGradient(l);
    }

    public override void AddParameterGradients(double weight, IReadOnlyList<Tensor?> gradients)
    {
        T alpha = T.CreateTruncating(weight), time = T.CreateTruncating(Time);
        _evaluator.SetTime(Time, backward: true);
        for (int l = 0; l < Layers.Length; l++)
        {
            DenseLayer<T> layer = Layers[l].Dense;
            DenseSlots slots = _evaluator.Slots[l];
            Derivatives derived = Derive(l);
            T* matrix = derived.Matrix, sum = derived.Sum, gate = derived.Gate;
            if (gradients[slots.Weight] is { } weights)
            {
                T* to = (T*)StateKernels.Address(weights);
                for (int o = 0; o < layer.Outputs; o++)
                {
                    T factor = alpha * Layers[l].Gate[o];
                    for (int i = 0; i < layer.Inputs; i++)
                        to[o * layer.Inputs + i] += factor * matrix[o * layer.PaddedInputs + i];
                }
            }
            if (slots.Bias is { } own && gradients[own] is { } bias)
                Add(bias, o => alpha * Layers[l].Gate[o] * sum[o]);
            if (layer.HasTime && slots.Time is { } place && gradients[place] is { } timeWeight)
                Add(timeWeight, o => alpha * time * sum[o]);
            if (slots.GateWeight is { } weightPlace && gradients[weightPlace] is { } gateWeight)
                Add(gateWeight, o => alpha * time * gate[o]);
            if (slots.GateBias is { } biasPlace && gradients[biasPlace] is { } gateBias)
                Add(gateBias, o => alpha * gate[o]);
        }

        static void Add(Tensor target, Func<int, T> value)
        {
            T* to = (T*)StateKernels.Address(target);
            for (int o = 0; o < target.size(0); o++)
                to[o] += value(o);
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _evaluator.Return(this);
        base.Dispose(disposing);
    }

    private void Product(int l, T* x, T* y, nint rows, T* shift)
    {
        DenseLayer<T> layer = Layers[l].Dense;
        _kernels.Multiply(
            x, layer.PaddedInputs, 1, Layers[l].Transposed, layer.PaddedOutputs, y, layer.PaddedOutputs, rows, layer.Inputs,
            layer.PaddedOutputs, shift, T.One, accumulate: false);
    }

    /// <summary>Carries the cotangents of a block of rows back through the layers.</summary>
    private void Pull(T* incoming, T* outgoing, nint start, nint count)
    {
        int last = Layers.Length - 1, tangents = _evaluator.Tangents;
        T* delta = _memory[last].Cotangents.Start + start * Layers[last].Dense.PaddedOutputs;
        Start(incoming, delta, start, count);
        for (int l = last; l > 0; l--)
        {
            DenseLayer<T> layer = Layers[l].Dense;
            nint stride = layer.PaddedInputs, block = count * stride, between = _rows * stride;
            T* next = _memory[l - 1].Cotangents.Start + start * stride;
            for (int k = 0; k <= tangents; k++)
                _kernels.Multiply(
                    delta + k * _rows * layer.PaddedOutputs, layer.PaddedOutputs, 1, Layers[l].Rows, stride, next + k * between, stride,
                    count, layer.Outputs, stride, null, T.One, accumulate: false);
            T* sum = _products.Start + start * stride;
            T* images = _memory[l - 1].Images.Start + start * stride;
            T* slopes = _memory[l - 1].Slopes.Start + start * stride;
            new Span<T>(sum, (int)block).Clear();
            for (int k = 0; k < tangents; k++)
            {
                T* tangent = next + (k + 1) * between;
                _kernels.AddProduct(sum, images + k * between, tangent, block);
                _kernels.MultiplyBy(tangent, slopes, block);
            }
            _kernels.Curve(_evaluator.Activation, next, _memory[l].Inputs.Start + start * stride, slopes, sum, block);
            delta = next;
        }
        DenseLayer<T> first = Layers[0].Dense;
        T* to = outgoing + start * (Features + 1);
        _kernels.Multiply(delta, first.PaddedOutputs, 1, Layers[0].Rows, first.PaddedInputs, to, Features + 1, count, first.Outputs,
            Features, null, T.One, accumulate: false);
        // The integral itself does not enter the rate.
        for (nint r = 0; r < count; r++)
            to[r * (Features + 1) + Features] = T.Zero;
    }

    /// <summary>Writes f and w Σ e · J e over the tangents e.</summary>
    private void Write(T* f, T* images, nint stride, T* probes, nint batch, T* derivative, nint count)
    {
        int features = Features;
        for (nint r = 0; r < count; r++)
        {
            T* to = derivative + r * (features + 1);
            new ReadOnlySpan<T>(f + r * stride, features).CopyTo(new Span<T>(to, features));
            T trace = T.Zero;
            for (nint k = 0; k < _evaluator.Tangents; k++)
            {
                T* probe = probes + (k * batch + r) * features;
                T* image = images + (k * _rows + r) * stride;
                for (int i = 0; i < features; i++)
                    trace += probe[i] * image[i];
            }
            to[features] = trace * _evaluator.ProbeWeight;
        }
    }

    /// <summary>The cotangents of the last layer's products: those of f, and those of the trace times the probes.</summary>
    private void Start(T* incoming, T* delta, nint start, nint count)
    {
        int features = Features;
        nint stride = Layers[^1].Dense.PaddedOutputs;
        incoming += start * (features + 1);
        CopyRows(incoming, features + 1, delta, stride, features, count);
        for (nint k = 0; k < _evaluator.Tangents; k++)
            for (nint r = 0; r < count; r++)
            {
                T factor = incoming[r * (features + 1) + features] * _evaluator.ProbeWeight;
                T* probe = _evaluator.Probes + (k * _rows + start + r) * features;
                T* to = delta + ((k + 1) * _rows + r) * stride;
                for (int i = 0; i < features; i++)
                    to[i] = factor * probe[i];
            }
    }

    /// <summary>Derivatives with respect to a layer's gated weights and shift, and to the argument of its gate.</summary>
    private Derivatives Derive(int l)
    {
        DenseLayer<T> layer = Layers[l].Dense;
        nint size = layer.Outputs * layer.PaddedInputs;
        T* matrix = _memory[l].Gradients.Ensure(size + 2 * layer.PaddedOutputs);
        T* sum = matrix + size, gate = sum + layer.PaddedOutputs;
        T* delta = _memory[l].Cotangents.Start;
        layer.OuterProducts(
            delta, _memory[l].Inputs.Start, AllRows, matrix, layer.PaddedInputs, layer.PaddedInputs, T.One, accumulate: false);
        _kernels.SumRows(sum, delta, layer.PaddedOutputs, _rows, null);
        for (int o = 0; o < layer.Outputs && Layers[l].HasGate; o++)
        {
            T g = Layers[l].Gate[o];
            T product = T.CreateTruncating(
                _kernels.Dot(matrix + o * layer.PaddedInputs, layer.Rows + o * layer.PaddedInputs, layer.PaddedInputs));
            gate[o] = (product + layer.Bias[o] * sum[o]) * g * (T.One - g);
        }
        return new Derivatives(matrix, sum, gate);
    }

    private double TimeGradient(int l)
    {
        Derivatives derived = Derive(l);
        GatedLayer<T> layer = Layers[l];
        double total = 0;
        for (int o = 0; o < layer.Dense.Outputs; o++)
        {
            if (layer.Dense.HasTime)
                total += double.CreateTruncating(derived.Sum[o] * layer.Dense.TimeWeight[o]);
            if (layer.HasGate)
                total += double.CreateTruncating(derived.Gate[o] * layer.GateWeight[o]);
        }
        return total;
    }

    private static void CopyRows(T* from, nint fromStride, T* to, nint toStride, int width, nint rows)
    {
        for (nint r = 0; r < rows; r++)
            new ReadOnlySpan<T>(from + r * fromStride, width).CopyTo(new Span<T>(to + r * toStride, width));
    }

    private readonly struct Derivatives(T* matrix, T* sum, T* gate)
    {
        public T* Matrix => matrix;

        public T* Sum => sum;

        public T* Gate => gate;
    }

    private sealed class LayerMemory
    {
        /// <summary>What goes into the layer.</summary>
        public Scratch<T> Inputs { get; } = new();

        /// <summary>The tangents' images before the activation's slope.</summary>
        public Scratch<T> Images { get; } = new();

        public Scratch<T> Slopes { get; } = new();

        public Scratch<T> Cotangents { get; } = new();

        public Scratch<T> Gradients { get; } = new();

        public long Count => Inputs.Count + Images.Count + Slopes.Count + Cotangents.Count + Gradients.Count;
    }
}
