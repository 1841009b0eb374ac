using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>
/// Linear layers with ReLU between them over plain memory, and their derivatives. Takes the weights anew each time; what it keeps is
/// memory alone.
/// </summary>
internal sealed unsafe class LinearLayersKernel<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    // Rows that go through all layers together, and inputs of a pass: what a pass reads stays in the cache.
    private const int BlockRows = 64, BlockDepth = 128;

    private const long MostBytesKept = 1 << 24;

    private static readonly EvaluatorPool<LinearLayersKernel<T>> Pool = new();

    private readonly DenseKernels<T> _kernels = DenseKernels<T>.Instance;
    private readonly Scratch<T> _inputs = new(), _weights = new(), _delta = new(), _next = new(), _sum = new();

    /// <summary>One with memory, for one call.</summary>
    public static LinearLayersKernel<T> Rent() => Pool.Take() ?? new LinearLayersKernel<T>();

    /// <summary>Gives it back; what a large batch took is not held on to.</summary>
    public void Return()
    {
        if ((_inputs.Count + _weights.Count + _delta.Count + _next.Count + _sum.Count) * sizeof(T) <= MostBytesKept)
            Pool.Return(this);
    }

    /// <summary>How many numbers <see cref="Forward"/> keeps of a row: the results of all layers but the last, padded.</summary>
    public static nint HiddenWidth(ReadOnlySpan<LinearShape> layers)
    {
        nint width = 0;
        foreach (LinearShape layer in layers[..^1])
            width += DenseKernels<T>.Instance.Pad(layer.Outputs);
        return width;
    }

    /// <summary>The result of the last layer.</summary>
    /// <param name="layers">Their sizes.</param>
    /// <param name="x">The input, <c>[rows, inputs]</c>.</param>
    /// <param name="weights">The weights <c>[outputs, inputs]</c> and biases of all layers, contiguous; null for no bias.</param>
    /// <param name="hidden">Where the results of the other layers stay, layer by layer, rows padded.</param>
    /// <param name="result">Where it is written, <c>[rows, outputs]</c>.</param>
    public void Forward(LinearShape[] layers, Tensor x, IReadOnlyList<(Tensor Weight, Tensor? Bias)> weights, Tensor hidden, Tensor result)
    {
        nint rows = (nint)x.size(0);
        var plans = new Plan[layers.Length];
        nint room = 0;
        foreach (LinearShape layer in layers)
            room += (layer.Inputs + 1) * _kernels.Pad(layer.Outputs);
        T* transposed = _weights.Ensure(room), to = Address(hidden);
        double work = 0;
        for (int l = 0; l < layers.Length; l++)
        {
            LinearShape layer = layers[l];
            bool isLast = l == layers.Length - 1;
            nint width = _kernels.Pad(layer.Outputs);
            Transposition<T>.Run(Address(weights[l].Weight), layer.Inputs, layer.Outputs, layer.Inputs, transposed, width);
            T* shift = transposed + layer.Inputs * width;
            if (weights[l].Bias is { } bias)
                new ReadOnlySpan<T>(Address(bias), layer.Outputs).CopyTo(new Span<T>(shift, layer.Outputs));
            nint columns = isLast ? layer.Outputs : width;
            plans[l] = new Plan(
                (nint)transposed, (nint)(weights[l].Bias is null ? null : shift), (nint)(isLast ? Address(result) : to), columns);
            transposed = shift + width;
            to += rows * width;
            work += (double)rows * layer.Inputs * layer.Outputs;
        }
        T* from = Address(x);
        RowBlocks.Run(RowBlocks.Workers(rows, BlockRows, work), rows, BlockRows, (_, start, count) =>
            ForwardBlock(layers, plans, from + start * layers[0].Inputs, start, count));
    }

    /// <summary>The derivatives, each where a tensor for it is given.</summary>
    /// <param name="layers">The layers' sizes.</param>
    /// <param name="x">The input that <see cref="Forward"/> was given.</param>
    /// <param name="weights">The layers' weights as they were then.</param>
    /// <param name="hidden">What it kept.</param>
    /// <param name="cotangent">Of the result, contiguous.</param>
    /// <param name="input">Of the input; null where none is needed.</param>
    /// <param name="gradients">Of the weights and biases; null where none is needed.</param>
    public void Backward(
        LinearShape[] layers, Tensor x, IReadOnlyList<Tensor> weights, Tensor hidden, Tensor cotangent, Tensor? input,
        IReadOnlyList<(Tensor? Weight, Tensor? Bias)> gradients)
    {
        nint rows = (nint)x.size(0);
        int last = layers.Length - 1, lowest = input is not null ? 0 : Lowest(gradients);
        nint stride = _kernels.Pad(layers[last].Outputs);
        nint widest = stride;
        foreach (LinearShape layer in layers)
            widest = Math.Max(widest, _kernels.Pad(layer.Outputs));
        T* delta = _delta.Ensure(rows * widest), next = _next.Ensure(rows * widest);
        DenseKernels<T>.CopyRows(Address(cotangent), layers[last].Outputs, delta, stride, layers[last].Outputs, rows);
        T* behind = Address(hidden) + rows * HiddenWidth(layers);
        for (int l = last; l >= lowest; l--)
        {
            LinearShape layer = layers[l];
            nint inputsRow = _kernels.Pad(layer.Inputs);
            behind -= l == 0 ? 0 : rows * inputsRow;
            if (gradients[l].Bias is { } bias)
            {
                T* sum = _sum.Ensure(stride);
                _kernels.SumRows(sum, delta, stride, rows, null);
                new ReadOnlySpan<T>(sum, layer.Outputs).CopyTo(new Span<T>(Address(bias), layer.Outputs));
            }
            if (gradients[l].Weight is { } weight)
                _kernels.OuterProducts(
                    delta, stride, l == 0 ? Padded(Address(x), layer.Inputs, rows, _inputs) : behind, inputsRow, rows, Address(weight),
                    layer.Inputs, layer.Outputs, layer.Inputs, T.One, accumulate: false);
            if (l == lowest && (l > 0 || input is null))
                return;
            Pull(
                layer, Padded(Address(weights[l]), layer.Inputs, layer.Outputs, _weights), delta, stride, rows,
                l == 0 ? Address(input!) : next, l == 0 ? null : behind);
            T* done = delta;
            delta = next;
            next = done;
            stride = inputsRow;
        }
    }

    /// <summary>The first layer that something is asked for.</summary>
    private static int Lowest(IReadOnlyList<(Tensor? Weight, Tensor? Bias)> gradients)
    {
        int layer = 0;
        while (layer < gradients.Count - 1 && gradients[layer] is { Weight: null, Bias: null })
            layer++;
        return layer;
    }

    private static T* Address(Tensor tensor) => (T*)StateKernels.Address(tensor);

    /// <summary>All layers of a block of rows.</summary>
    private void ForwardBlock(LinearShape[] layers, Plan[] plans, T* x, nint start, nint count)
    {
        nint stride = layers[0].Inputs;
        for (int l = 0; l < layers.Length; l++)
        {
            Plan plan = plans[l];
            T* y = (T*)plan.Result + start * plan.Columns, weight = (T*)plan.Transposed;
            nint depth = layers[l].Inputs, width = _kernels.Pad(layers[l].Outputs);
            for (nint from = 0; from < depth; from += BlockDepth)
                _kernels.Multiply(
                    x + from, stride, 1, weight + from * width, width, y, plan.Columns, count, Math.Min(BlockDepth, depth - from), plan.Columns,
                    from == 0 ? (T*)plan.Shift : null, T.One, accumulate: from > 0);
            if (l < layers.Length - 1)
                _kernels.Activate(Nonlinearity.Relu, y, null, plan.Columns, count, null, null);
            x = y;
            stride = plan.Columns;
        }
    }

    /// <summary>δ W, where the layer's input was positive if a ReLU stands in front of it.</summary>
    private void Pull(LinearShape layer, T* weight, T* delta, nint deltaRow, nint rows, T* target, T* behind)
    {
        nint weightRow = _kernels.Pad(layer.Inputs), row = behind == null ? layer.Inputs : weightRow;
        double work = (double)rows * layer.Inputs * layer.Outputs;
        RowBlocks.Run(RowBlocks.Workers(rows, BlockRows, work), rows, BlockRows, (_, start, count) =>
        {
            T* to = target + start * row;
            for (nint from = 0; from < layer.Outputs; from += BlockDepth)
                _kernels.Multiply(
                    delta + start * deltaRow + from, deltaRow, 1, weight + from * weightRow, weightRow, to, row, count,
                    Math.Min(BlockDepth, layer.Outputs - from), row, null, T.One, accumulate: from > 0);
            if (behind != null)
                _kernels.KeepWherePositive(to, behind + start * row, count * row);
        });
    }

    /// <summary>The rows where they are, or copied so that kernels may read behind their ends.</summary>
    private T* Padded(T* rows, int width, nint count, Scratch<T> room)
    {
        int padded = _kernels.Pad(width);
        if (padded == width)
            return rows;
        T* copy = room.Ensure(count * padded);
        DenseKernels<T>.CopyRows(rows, width, copy, padded, width, count);
        return copy;
    }

    /// <summary>Where a layer's weights and bias lie, where its results go, and how many numbers a row of them has.</summary>
    private readonly record struct Plan(nint Transposed, nint Shift, nint Result, nint Columns);
}

/// <summary>The size of a linear layer.</summary>
internal readonly record struct LinearShape(int Inputs, int Outputs);
