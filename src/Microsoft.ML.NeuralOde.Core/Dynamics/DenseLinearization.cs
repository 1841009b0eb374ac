using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>
/// The derivatives of a <see cref="DenseNetwork"/> at one point: inputs and slopes of all layers, and after a pull their cotangents.
/// </summary>
internal sealed unsafe class DenseLinearization<T> : DynamicsLinearization
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly DenseEvaluator<T> _evaluator;
    private readonly DenseKernels<T> _kernels;
    private readonly Scratch<T>[] _inputs;
    private readonly Scratch<T>[] _slopes;
    private readonly Scratch<T> _inputSlopes = new();
    private readonly Scratch<T>[] _cotangents;
    private readonly RowNormalizationRecord<T>?[] _before;
    private readonly RowNormalizationRecord<T>?[] _behind;
    private readonly Scratch<T> _times = new();
    private readonly Scratch<T> _row = new();
    private double _time;
    private bool _isPerRow;
    private nint _rows;

    public DenseLinearization(DenseEvaluator<T> evaluator)
    {
        _evaluator = evaluator;
        _kernels = evaluator.Kernels;
        int layers = evaluator.Layers.Length;
        _inputs = Create(layers);
        _slopes = Create(layers);
        _cotangents = Create(layers);
        _before = Array.ConvertAll(evaluator.Before, Record);
        _behind = Array.ConvertAll(evaluator.Behind, Record);

        RowNormalizationRecord<T>? Record(RowNormalization<T>? normalization) =>
            normalization is null ? null : new RowNormalizationRecord<T>(normalization, _kernels);

        static Scratch<T>[] Create(int count) => [.. Enumerable.Range(0, count).Select(_ => new Scratch<T>())];
    }

    private DenseLayer<T>[] Layers => _evaluator.Layers;

    private T* Times => _isPerRow ? _times.Start : null;

    public override long? MemoryBytes => sizeof(T)
        * (_inputs.Concat(_slopes).Concat(_cotangents).Append(_inputSlopes).Sum(scratch => scratch.Count)
            + Normalizations.Sum(record => record.Count));

    private IEnumerable<RowNormalizationRecord<T>> Normalizations => _before.Concat(_behind).OfType<RowNormalizationRecord<T>>();

    /// <summary>Computes f and keeps what its derivatives need.</summary>
    public void Evaluate(ReadOnlySpan<double> times, T* perRow, T* state, T* derivative, nint rows)
    {
        _rows = rows;
        _isPerRow = perRow != null;
        _time = _isPerRow ? 0 : times[0];
        if (_isPerRow)
            new ReadOnlySpan<T>(perRow, (int)rows).CopyTo(new Span<T>(_times.Ensure(rows), (int)rows));
        _inputSlopes.Ensure(_evaluator.InputActivation is null ? 0 : rows * Layers[0].PaddedInputs);
        for (int l = 0; l < Layers.Length; l++)
        {
            _inputs[l].Ensure(rows * Layers[l].PaddedInputs);
            _slopes[l].Ensure(l == Layers.Length - 1 ? 0 : rows * Layers[l].PaddedOutputs);
            _before[l]?.Ensure(rows);
            _behind[l]?.Ensure(rows);
        }
        Run((_, start, count) => Evaluate(state, derivative, start, count));
    }

    public override void Pull(Tensor cotangent, Tensor state, Span<double> times)
    {
        T* incoming = (T*)StateKernels.Address(cotangent);
        T* outgoing = (T*)StateKernels.Address(state);
        for (int l = 0; l < Layers.Length; l++)
            _cotangents[l].Ensure(_rows * Layers[l].PaddedOutputs);
        Run((_, start, count) => Pull(incoming, outgoing, start, count));
        times.Clear();
        for (int l = 0; l < Layers.Length; l++)
            AddTimes(Layers[l], _cotangents[l].Start, times);
    }

    public override void AddParameterGradients(double weight, IReadOnlyList<Tensor?> gradients)
    {
        T alpha = T.CreateTruncating(weight);
        for (int l = 0; l < Layers.Length; l++)
        {
            DenseLayer<T> layer = Layers[l];
            DenseSlots slots = _evaluator.Slots[l];
            T* delta = _cotangents[l].Start;
            if (gradients[slots.Weight] is { } matrix)
            {
                layer.OuterProducts(
                    delta, _inputs[l].Start, _rows, (T*)StateKernels.Address(matrix) + layer.FirstColumn, layer.Inputs, layer.Columns,
                    alpha, accumulate: true);
                if (layer.HasTimeColumn)
                    AddSum(layer, delta, Times, _isPerRow ? weight : weight * _time, matrix, layer.TimeColumn, layer.Columns);
            }
            if (slots.Bias is { } own && gradients[own] is { } bias)
                AddSum(layer, delta, null, weight, bias);
            if (slots.TimeBias is { } added && gradients[added] is { } timeBias)
                AddSum(layer, delta, null, weight, timeBias);
            if (layer.HasTime && slots.Time is { } time && gradients[time] is { } timeWeight)
                AddSum(layer, delta, Times, _isPerRow ? weight : weight * _time, timeWeight);
        }
        foreach (RowNormalizationRecord<T> normalization in Normalizations)
            normalization.AddGradients(weight, _rows, gradients);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _evaluator.Return(this);
        base.Dispose(disposing);
    }

    private void Run(RowBlocks.Body body) =>
        RowBlocks.Run(RowBlocks.Workers(_rows, DenseEvaluator<T>.BlockRows, _rows * _evaluator.MultiplyAdds), _rows,
            DenseEvaluator<T>.BlockRows, body);

    /// <summary>f of a block of rows.</summary>
    private void Evaluate(T* state, T* derivative, nint start, nint count)
    {
        DenseLayer<T> first = Layers[0];
        nint place = start * first.PaddedInputs;
        T* inputs = _inputs[0].Start + place;
        DenseKernels<T>.CopyRows(state + start * first.Inputs, first.Inputs, inputs, first.PaddedInputs, first.Inputs, count);
        if (_evaluator.InputActivation is { } input)
            _kernels.Activate(input, inputs, _inputSlopes.Start + place, first.PaddedInputs, count, null, null);
        T* times = Times == null ? null : Times + start;
        for (int l = 0; l < Layers.Length; l++)
        {
            DenseLayer<T> layer = Layers[l];
            bool isLast = l == Layers.Length - 1;
            nint stride = isLast ? layer.Outputs : layer.PaddedOutputs;
            T* x = _inputs[l].Start + start * layer.PaddedInputs;
            T* y = (isLast ? derivative : _inputs[l + 1].Start) + start * stride;
            _before[l]?.Apply(x, layer.PaddedInputs, start, count);
            _evaluator.Forward(l, x, layer.PaddedInputs, y, stride, count, times);
            _behind[l]?.Apply(y, stride, start, count);
            if (!isLast)
                _kernels.Activate(
                    _evaluator.ActivationOf(l), y, _slopes[l].Start + start * stride, stride, count, _evaluator.TimesOf(l, times),
                    layer.TimeWeight);
        }
    }

    /// <summary>Carries the cotangents of a block of rows back through the layers.</summary>
    private void Pull(T* cotangent, T* state, nint start, nint count)
    {
        DenseLayer<T> last = Layers[^1];
        T* delta = _cotangents[^1].Start + start * last.PaddedOutputs;
        DenseKernels<T>.CopyRows(cotangent + start * last.Outputs, last.Outputs, delta, last.PaddedOutputs, last.Outputs, count);
        for (int l = Layers.Length - 1; l >= 0; l--)
        {
            DenseLayer<T> layer = Layers[l];
            nint stride = l == 0 ? layer.Inputs : layer.PaddedInputs;
            T* next = (l == 0 ? state : _cotangents[l - 1].Start) + start * stride;
            _behind[l]?.Pull(delta, layer.PaddedOutputs, start, count);
            _kernels.Multiply(delta, layer.PaddedOutputs, 1, layer.Rows, layer.PaddedInputs, next, stride, count, layer.Outputs, stride,
                null, T.One, accumulate: false);
            _before[l]?.Pull(next, stride, start, count);
            if (l > 0)
                _kernels.MultiplyBy(next, _slopes[l - 1].Start + start * stride, count * stride);
            else if (_evaluator.InputActivation is not null)
                MultiplyByInputSlopes(next, start, count);
            delta = next;
        }
    }

    private void MultiplyByInputSlopes(T* rows, nint start, nint count)
    {
        DenseLayer<T> first = Layers[0];
        T* slopes = _inputSlopes.Start + start * first.PaddedInputs;
        for (nint r = 0; r < count; r++)
            for (int i = 0; i < first.Inputs; i++)
                rows[r * first.Inputs + i] *= slopes[r * first.PaddedInputs + i];
    }

    /// <summary>δᵀ w of the layer's time weights: of each row, or of all.</summary>
    private void AddTimes(DenseLayer<T> layer, T* delta, Span<double> times)
    {
        if (times.IsEmpty || !layer.HasTime)
            return;
        for (nint r = 0; r < _rows; r++)
            times[times.Length == 1 ? 0 : (int)r] += _kernels.Dot(delta + r * layer.PaddedOutputs, layer.TimeWeight, layer.PaddedOutputs);
    }

    private void AddSum(
        DenseLayer<T> layer, T* delta, T* rowWeights, double weight, Tensor target, int first = 0, int stride = 1)
    {
        T* sum = _row.Ensure(layer.PaddedOutputs);
        _kernels.SumRows(sum, delta, layer.PaddedOutputs, _rows, rowWeights);
        T* to = (T*)StateKernels.Address(target) + first;
        T alpha = T.CreateTruncating(weight);
        for (int i = 0; i < layer.Outputs; i++)
            to[i * stride] += alpha * sum[i];
    }
}
