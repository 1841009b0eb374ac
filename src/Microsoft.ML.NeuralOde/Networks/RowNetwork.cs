using System.Buffers;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Inference;
using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>
/// A trained network as plain arrays: normalisation, encoder, ODE block and head, without a tensor. Each row is computed by itself and in
/// the same order of operations whatever its neighbours, so that its outputs are the same to the last bit alone and in any batch. Has no
/// state that a call changes.
/// </summary>
internal sealed unsafe class RowNetwork
{
    /// <summary>Rows that one thread takes at a time: their activations stay in its cache.</summary>
    private const int Block = 32;

    private readonly float[]? _mean;
    private readonly float[]? _scale;
    private readonly SparseLinear? _first;
    private readonly PackedLinear[] _encoder;
    private readonly DenseRowSolver _solver;
    private readonly PackedLinear _head;
    private readonly PackedLinear? _lift;
    private readonly int _encoded;
    private readonly int _width;

    private RowNetwork(
        float[]? mean, float[]? scale, int features, SparseLinear? first, PackedLinear[] encoder, DenseRowSolver solver, PackedLinear head,
        StateAugmentation? augmentation)
    {
        _encoded = solver.Features - (int)(augmentation?.Dimensions ?? 0);
        if (augmentation is { IsLearned: true })
            _lift = new PackedLinear(Values(augmentation.Weight!), Values(augmentation.Bias!));
        _first = first;
        _mean = mean;
        _scale = scale;
        _encoder = encoder;
        _solver = solver;
        _head = head;
        _width = Math.Max(encoder.Append(head).Max(layer => layer.Width), first is null ? 0 : PackedLinear.Pad(first.Outputs));
        _width = Math.Max(_width, _lift?.Width ?? 0);
        FeatureCount = features;
    }

    public int FeatureCount { get; }

    public int OutputCount => _head.Outputs;

    /// <summary>The network with its weights as they are now; null where its block or its options need the general solver.</summary>
    /// <param name="mean">Subtracted from the features, one number or one a feature; null for none.</param>
    /// <param name="scale">What the difference is multiplied with.</param>
    /// <param name="encoder">Linear layers with ReLU between them.</param>
    /// <param name="block">The ODE block.</param>
    /// <param name="options">How to solve.</param>
    /// <param name="head">The last layer.</param>
    /// <param name="isSparse">Whether rows come without their zeros, and the mean is zero.</param>
    public static RowNetwork? TryCreate(
        Tensor? mean, Tensor? scale, IReadOnlyList<Linear> encoder, OdeBlock block, OdeSolverOptions options, Linear head,
        bool isSparse = false)
    {
        if (DenseRowSolver.TryCreate(block, options) is not { } solver)
            return null;
        float[]? means = mean is null ? null : Values(mean), scales = scale is null ? null : Values(scale);
        int features = encoder.Count > 0 ? (int)encoder[0].weight!.shape[1] : solver.Features - (int)(block.Augmentation?.Dimensions ?? 0);
        return isSparse
            ? new RowNetwork(null, null, features, new SparseLinear(encoder[0].weight!, encoder[0].bias, scales),
                [.. encoder.Skip(1).Select(Pack)], solver, Pack(head), block.Augmentation)
            : new RowNetwork(means, scales, features, null, [.. encoder.Select(Pack)], solver, Pack(head), block.Augmentation);
    }

    /// <summary>The outputs of some rows, on several threads where there are many.</summary>
    public void Forward(float[] features, int rows, float[] outputs)
    {
        if (_first is not null)
        {
            Forward(SparseRows.Of(features, rows, FeatureCount), outputs);
            return;
        }
        RowBlocks.Run(Workers(rows), rows, Block, (_, start, count) => ForwardBlock(features, outputs, (int)start, (int)count));
    }

    /// <summary>The outputs of rows without their zeros, the same to the last bit as those of the same rows with them.</summary>
    public void Forward(SparseRows rows, float[] outputs) =>
        RowBlocks.Run(Workers(rows.Count), rows.Count, Block, (_, start, count) => ForwardBlock(rows, outputs, (int)start, (int)count));

    /// <summary>Two blocks or fewer are not worth another thread.</summary>
    private static int Workers(int rows) => Math.Max(1, Math.Min(get_num_threads(), (rows + Block - 1) / Block / 2));

    private static PackedLinear Pack(Linear layer)
    {
        float[] weight = Values(layer.weight!);
        return new PackedLinear(weight, layer.bias is { } bias ? Values(bias) : new float[layer.weight!.shape[0]]);
    }

    private static float[] Values(Tensor tensor)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor plain = tensor.detach().cpu().contiguous();
        return plain.data<float>().ToArray();
    }

    private void ForwardBlock(float[] features, float[] outputs, int first, int count)
    {
        int layer = count * _width;
        float[] memory = ArrayPool<float>.Shared.Rent(count * FeatureCount + 2 * layer + count * _solver.Width + _solver.ScratchLength);
        try
        {
            fixed (float* start = memory)
            {
                float* x = start;
                float* even = x + count * FeatureCount;
                Normalize(features.AsSpan(first * FeatureCount, count * FeatureCount), new Span<float>(x, count * FeatureCount));
                float* encoded = Encode(x, FeatureCount, count, even, even + layer, out int stride);
                Solve(encoded, stride, even, even + 2 * layer, outputs, first, count);
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(memory);
        }
    }

    private void ForwardBlock(SparseRows rows, float[] outputs, int first, int count)
    {
        int layer = count * _width;
        float[] memory = ArrayPool<float>.Shared.Rent(3 * layer + count * _solver.Width + _solver.ScratchLength);
        try
        {
            fixed (float* start = memory)
            {
                float* x = start;
                for (int row = 0; row < count; row++)
                    _first!.Apply(rows.Row(first + row), new Span<float>(x + row * _width, _first.Outputs));
                if (_encoder.Length > 0)
                    ActivationMap.Apply(Activation.Relu, x, layer);
                float* even = x + layer;
                float* encoded = Encode(x, _width, count, even, even + layer, out int stride);
                Solve(encoded, stride, even, even + 2 * layer, outputs, first, count);
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(memory);
        }
    }

    private void Solve(float* encoded, int stride, float* target, float* states, float[] outputs, int first, int count)
    {
        float* scratch = states + count * _solver.Width;
        for (int row = 0; row < count; row++)
        {
            float* state = states + row * _solver.Width;
            new Span<float>(encoded + row * stride, _encoded).CopyTo(new Span<float>(state, _encoded));
            new Span<float>(state + _encoded, _solver.Width - _encoded).Clear();
            if (_lift is not null)
            {
                // What was encoded may lie where results go; this row's is not needed any more.
                float* lifted = target + row * _width;
                _lift.Apply(state, 0, 1, lifted, 0);
                new Span<float>(lifted, _lift.Outputs).CopyTo(new Span<float>(state + _encoded, _lift.Outputs));
            }
            _solver.Solve(state, scratch);
        }
        _head.Apply(states, _solver.Width, count, target, _width);
        for (int row = 0; row < count; row++)
            new ReadOnlySpan<float>(target + row * _width, OutputCount).CopyTo(outputs.AsSpan((first + row) * OutputCount, OutputCount));
    }

    private float* Encode(float* x, int xStride, int count, float* even, float* odd, out int stride)
    {
        float* input = x;
        stride = xStride;
        for (int i = 0; i < _encoder.Length; i++)
        {
            float* target = i % 2 == 0 ? even : odd;
            _encoder[i].Apply(input, stride, count, target, _width);
            if (i < _encoder.Length - 1)
                ActivationMap.Apply(Activation.Relu, target, count * _width);
            input = target;
            stride = _width;
        }
        return input;
    }

    private void Normalize(ReadOnlySpan<float> from, Span<float> to)
    {
        if (_mean is null || _scale is null)
        {
            from.CopyTo(to);
            return;
        }
        for (int start = 0; start < from.Length; start += FeatureCount)
        {
            ReadOnlySpan<float> row = from.Slice(start, FeatureCount);
            Span<float> target = to.Slice(start, FeatureCount);
            if (_mean.Length == 1)
            {
                TensorPrimitives.Subtract(row, _mean[0], target);
                TensorPrimitives.Multiply(target, _scale[0], target);
            }
            else
            {
                TensorPrimitives.Subtract(row, _mean, target);
                TensorPrimitives.Multiply(target, _scale, target);
            }
        }
    }
}
