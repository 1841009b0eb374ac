using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>
/// The derivatives of dense dynamics and of the trace of their Jacobian at one point. State and tangents are stacked: <c>batch</c> rows of the state,
/// then as many for each tangent.
/// </summary>
internal sealed unsafe class DensePathLinearization<T> : DynamicsLinearization
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly DensePathEvaluator<T> _evaluator;
    private readonly DenseKernels<T> _kernels;
    private readonly LayerMemory[] _memory;
    private readonly Scratch<T> _products = new();
    private double _time;
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

    /// <summary>How many numbers it has room for.</summary>
    public long Count => _memory.Sum(memory => memory.Count);

    /// <summary>Computes f and the trace, and keeps what their derivatives need.</summary>
    public void Evaluate(double time, T* state, T* derivative, nint rows)
    {
        _time = time;
        _rows = rows;
        int tangents = _evaluator.Tangents;
        nint padded = Layers[0].Dense.PaddedInputs;
        T* x = _memory[0].Inputs.Ensure(AllRows * padded);
        CopyRows(state, Features + 1, x, padded, Features, rows);
        CopyRows(_evaluator.Probes, Features, x + rows * padded, padded, Features, tangents * rows);
        for (int l = 0; l < Layers.Length; l++)
        {
            DenseLayer<T> layer = Layers[l].Dense;
            Layers[l].SetTime(time, backward: false);
            nint stride = layer.PaddedOutputs, block = rows * stride;
            bool isLast = l == Layers.Length - 1;
            T* y = isLast ? _products.Ensure(block) : _memory[l + 1].Inputs.Ensure(AllRows * stride);
            T* images = _memory[l].Images.Ensure(tangents * block);
            x = _memory[l].Inputs.Start;
            Product(l, x, y, rows, Layers[l].Shift);
            Product(l, x + rows * layer.PaddedInputs, images, tangents * rows, null);
            if (isLast)
            {
                Write(y, images, stride, derivative);
                break;
            }
            T* slope = _memory[l].Slopes.Ensure(block);
            _kernels.Activate(_evaluator.Activation, y, slope, stride, rows, null, null);
            for (int k = 0; k < tangents; k++)
                _kernels.Product(y + (k + 1) * block, images + k * block, slope, block);
        }
    }

    public override void Pull(Tensor cotangent, Tensor state, Span<double> times)
    {
        T* incoming = (T*)StateKernels.Address(cotangent);
        T* outgoing = (T*)StateKernels.Address(state);
        int last = Layers.Length - 1, tangents = _evaluator.Tangents;
        T* delta = Start(incoming, _memory[last].Cotangents.Ensure(AllRows * Layers[last].Dense.PaddedOutputs));
        for (int l = last; l >= 0; l--)
        {
            DenseLayer<T> layer = Layers[l].Dense;
            Layers[l].SetTime(_time, backward: true);
            nint stride = layer.PaddedInputs, block = _rows * stride;
            if (l == 0)
            {
                _kernels.Multiply(delta, layer.PaddedOutputs, 1, Layers[l].Rows, stride, outgoing, Features + 1, _rows, layer.Outputs, Features, null, T.One, accumulate: false);
                break;
            }
            T* next = _memory[l - 1].Cotangents.Ensure(AllRows * stride);
            _kernels.Multiply(delta, layer.PaddedOutputs, 1, Layers[l].Rows, stride, next, stride, AllRows, layer.Outputs, stride, null, T.One, accumulate: false);
            T* sum = _products.Ensure(block);
            new Span<T>(sum, (int)block).Clear();
            for (int k = 0; k < tangents; k++)
            {
                _kernels.AddProduct(sum, _memory[l - 1].Images.Start + k * block, next + (k + 1) * block, block);
                _kernels.MultiplyBy(next + (k + 1) * block, _memory[l - 1].Slopes.Start, block);
            }
            _kernels.Curve(_evaluator.Activation, next, _memory[l].Inputs.Start, _memory[l - 1].Slopes.Start, sum, block);
            delta = next;
        }
        // The integral itself does not enter the rate.
        for (nint r = 0; r < _rows; r++)
            outgoing[r * (Features + 1) + Features] = T.Zero;
        if (times.IsEmpty)
            return;
        times.Clear();
        for (int l = 0; l < Layers.Length; l++)
            times[0] += TimeGradient(l);
    }

    public override void AddParameterGradients(double weight, IReadOnlyList<Tensor?> gradients)
    {
        T alpha = T.CreateTruncating(weight), time = T.CreateTruncating(_time);
        int place = 0;
        for (int l = 0; l < Layers.Length; l++)
        {
            DenseLayer<T> layer = Layers[l].Dense;
            Derivatives derived = Derive(l);
            T* matrix = derived.Matrix, sum = derived.Sum, gate = derived.Gate;
            if (gradients[place++] is { } weights)
            {
                T* to = (T*)StateKernels.Address(weights);
                for (int o = 0; o < layer.Outputs; o++)
                {
                    T factor = alpha * Layers[l].Gate[o];
                    for (int i = 0; i < layer.Inputs; i++)
                        to[o * layer.Inputs + i] += factor * matrix[o * layer.PaddedInputs + i];
                }
            }
            if (gradients[place++] is { } bias)
                Add(bias, o => alpha * Layers[l].Gate[o] * sum[o]);
            if (layer.HasTime && (_evaluator.IsTimeAdded ? gradients[^1] : gradients[place++]) is { } timeWeight)
                Add(timeWeight, o => alpha * time * sum[o]);
            if (!Layers[l].HasGate)
                continue;
            if (gradients[place++] is { } gateWeight)
                Add(gateWeight, o => alpha * time * gate[o]);
            if (gradients[place++] is { } gateBias)
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
            x, layer.PaddedInputs, 1, Layers[l].Transposed, layer.PaddedOutputs, y, layer.PaddedOutputs, rows, layer.Inputs, layer.PaddedOutputs, shift, T.One, accumulate: false);
    }

    /// <summary>Writes f and w Σ e · J e over the tangents e.</summary>
    private void Write(T* f, T* images, nint stride, T* derivative)
    {
        int features = Features;
        for (nint r = 0; r < _rows; r++)
        {
            T* to = derivative + r * (features + 1);
            new ReadOnlySpan<T>(f + r * stride, features).CopyTo(new Span<T>(to, features));
            T trace = T.Zero;
            for (nint k = 0; k < _evaluator.Tangents; k++)
            {
                T* probe = _evaluator.Probes + (k * _rows + r) * features;
                T* image = images + (k * _rows + r) * stride;
                for (int i = 0; i < features; i++)
                    trace += probe[i] * image[i];
            }
            to[features] = trace * _evaluator.ProbeWeight;
        }
    }

    /// <summary>The cotangents of the last layer's products: those of f, and those of the trace times the probes.</summary>
    private T* Start(T* incoming, T* delta)
    {
        int features = Features;
        nint stride = Layers[^1].Dense.PaddedOutputs;
        CopyRows(incoming, features + 1, delta, stride, features, _rows);
        for (nint k = 0; k < _evaluator.Tangents; k++)
            for (nint r = 0; r < _rows; r++)
            {
                T factor = incoming[r * (features + 1) + features] * _evaluator.ProbeWeight;
                T* probe = _evaluator.Probes + (k * _rows + r) * features;
                T* to = delta + ((k + 1) * _rows + r) * stride;
                for (int i = 0; i < features; i++)
                    to[i] = factor * probe[i];
            }
        return delta;
    }

    /// <summary>Derivatives with respect to a layer's gated weights and shift, and to the argument of its gate.</summary>
    private Derivatives Derive(int l)
    {
        DenseLayer<T> layer = Layers[l].Dense;
        Layers[l].SetTime(_time, backward: true);
        nint size = layer.Outputs * layer.PaddedInputs;
        T* matrix = _memory[l].Gradients.Ensure(size + 2 * layer.PaddedOutputs);
        T* sum = matrix + size, gate = sum + layer.PaddedOutputs;
        T* delta = _memory[l].Cotangents.Start;
        _kernels.Multiply(
            delta, 1, layer.PaddedOutputs, _memory[l].Inputs.Start, layer.PaddedInputs, matrix, layer.PaddedInputs, layer.Outputs, AllRows, layer.PaddedInputs, null, T.One,
            accumulate: false);
        _kernels.SumRows(sum, delta, layer.PaddedOutputs, _rows, null);
        for (int o = 0; o < layer.Outputs && Layers[l].HasGate; o++)
        {
            T g = Layers[l].Gate[o];
            T product = T.CreateTruncating(_kernels.Dot(matrix + o * layer.PaddedInputs, layer.Rows + o * layer.PaddedInputs, layer.PaddedInputs));
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
