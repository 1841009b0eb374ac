using System.Buffers;
using Microsoft.ML.NeuralOde.Inference;
using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>
/// A trained network as plain arrays: normalisation, encoder, ODE block and head, without a tensor. Each row is computed by itself and in the same
/// order of operations whatever its neighbours, so that its outputs are the same to the last bit alone and in any batch. Has no state that a
/// call changes.
/// </summary>
internal sealed unsafe class RowNetwork
{
    /// <summary>Rows that one thread takes at a time: their activations stay in its cache.</summary>
    private const int Block = 32;

    private readonly float[]? _mean;
    private readonly float[]? _scale;
    private readonly PackedLinear[] _encoder;
    private readonly DenseRowSolver _solver;
    private readonly PackedLinear _head;
    private readonly int _width;

    private RowNetwork(float[]? mean, float[]? scale, PackedLinear[] encoder, DenseRowSolver solver, PackedLinear head)
    {
        _mean = mean;
        _scale = scale;
        _encoder = encoder;
        _solver = solver;
        _head = head;
        _width = encoder.Append(head).Max(layer => layer.Width);
        FeatureCount = encoder.Length > 0 ? encoder[0].Inputs : solver.Features;
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
    public static RowNetwork? TryCreate(Tensor? mean, Tensor? scale, IReadOnlyList<Linear> encoder, OdeBlock block, OdeSolverOptions options, Linear head) =>
        DenseRowSolver.TryCreate(block, options) is { } solver
            ? new RowNetwork(mean is null ? null : Values(mean), scale is null ? null : Values(scale), [.. encoder.Select(Pack)], solver, Pack(head))
            : null;

    /// <summary>The outputs of some rows, on several threads where there are many.</summary>
    public void Forward(float[] features, int rows, float[] outputs)
    {
        // Two blocks or fewer are not worth another thread.
        int workers = Math.Max(1, Math.Min(get_num_threads(), (rows + Block - 1) / Block / 2));
        RowBlocks.Run(workers, rows, Block, (_, start, count) => ForwardBlock(features, outputs, (int)start, (int)count));
    }

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
                float* odd = even + layer;
                float* states = odd + layer;
                float* scratch = states + count * _solver.Width;
                Normalize(features.AsSpan(first * FeatureCount, count * FeatureCount), new Span<float>(x, count * FeatureCount));
                float* encoded = Encode(x, count, even, odd, out int stride);
                for (int row = 0; row < count; row++)
                {
                    float* state = states + row * _solver.Width;
                    new Span<float>(encoded + row * stride, _solver.Features).CopyTo(new Span<float>(state, _solver.Features));
                    new Span<float>(state + _solver.Features, _solver.Width - _solver.Features).Clear();
                    _solver.Solve(state, scratch);
                }
                _head.Apply(states, _solver.Width, count, even, _width);
                for (int row = 0; row < count; row++)
                    new ReadOnlySpan<float>(even + row * _width, OutputCount).CopyTo(outputs.AsSpan((first + row) * OutputCount, OutputCount));
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(memory);
        }
    }

    private float* Encode(float* x, int count, float* even, float* odd, out int stride)
    {
        float* input = x;
        stride = FeatureCount;
        for (int i = 0; i < _encoder.Length; i++)
        {
            float* target = i % 2 == 0 ? even : odd;
            _encoder[i].Apply(input, stride, count, target, _width);
            if (i < _encoder.Length - 1)
                Activations.Apply(Activation.Relu, target, count * _width);
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
