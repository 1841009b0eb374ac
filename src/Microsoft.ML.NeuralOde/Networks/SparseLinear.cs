using System.Numerics;
using System.Runtime.CompilerServices;
using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>
/// A linear layer for rows without their zeros: its weights lie input by input, and only those of the inputs that are there are read. The
/// numbers of a row are added in the order of their slots, so that a zero that is written out changes no bit.
/// </summary>
internal sealed unsafe class SparseLinear
{
    private readonly float[] _weights;
    private readonly float[] _bias;
    private readonly float[]? _scale;

    /// <param name="weight">Shape <c>[outputs, inputs]</c>.</param>
    /// <param name="bias">Shape <c>[outputs]</c>; null for none.</param>
    /// <param name="scale">What inputs are multiplied with, one number or one an input; null for nothing.</param>
    public SparseLinear(Tensor weight, Tensor? bias, float[]? scale)
    {
        using DisposeScope scope = NewDisposeScope();
        Outputs = (int)weight.shape[0];
        _weights = weight.detach().cpu().t().contiguous().data<float>().ToArray();
        _bias = bias is null ? new float[Outputs] : bias.detach().cpu().contiguous().data<float>().ToArray();
        _scale = scale;
    }

    public int Outputs { get; }

    /// <summary>y = W x + b for one row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Apply(RowValues row, Span<float> y)
    {
        _bias.CopyTo(y);
        fixed (float* weights = _weights, sums = y)
        {
            for (int i = 0; i < row.Values.Length; i++)
            {
                int slot = row.Slots[i];
                float value = _scale is null ? row.Values[i] : row.Values[i] * _scale[_scale.Length == 1 ? 0 : slot];
                AddScaled(weights + (nint)slot * Outputs, value, sums);
            }
        }
    }

    private void AddScaled(float* weights, float value, float* sums)
    {
        var factor = new Vector<float>(value);
        int output = 0;
        for (; output <= Outputs - Vector<float>.Count; output += Vector<float>.Count)
            Vector.FusedMultiplyAdd(factor, Vector.Load(weights + output), Vector.Load(sums + output)).Store(sums + output);
        for (; output < Outputs; output++)
            sums[output] = MathF.FusedMultiplyAdd(value, weights[output], sums[output]);
    }
}
