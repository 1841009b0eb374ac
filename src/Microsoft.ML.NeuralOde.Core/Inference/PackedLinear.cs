using System.Numerics;
using System.Runtime.CompilerServices;

namespace Microsoft.ML.NeuralOde.Inference;

/// <summary>
/// A linear layer whose weights lie as rows of few inputs want them. The sums of a row are formed in the same order however many rows come
/// together, so that a row's result is the same to the last bit alone and among others.
/// </summary>
/// <remarks>Weights are kept in panels of two vectors of outputs, input by input; outputs are padded with zeros to whole panels.</remarks>
internal sealed unsafe class PackedLinear
{
    private readonly float[] _weights;
    private readonly float[] _bias;

    /// <param name="weight">Row-major <c>[outputs, inputs]</c>.</param>
    /// <param name="bias"><c>[outputs]</c>.</param>
    public PackedLinear(ReadOnlySpan<float> weight, ReadOnlySpan<float> bias)
    {
        Outputs = bias.Length;
        Inputs = weight.Length / bias.Length;
        Width = Pad(Outputs);
        // Pinned: the kernels go over it with pointers.
        _weights = GC.AllocateArray<float>(Width * Inputs, pinned: true);
        _bias = GC.AllocateArray<float>(Width, pinned: true);
        bias.CopyTo(_bias);
        for (int output = 0; output < Outputs; output++)
            for (int input = 0; input < Inputs; input++)
                _weights[(output / Panel * Inputs + input) * Panel + output % Panel] = weight[output * Inputs + input];
    }

    public int Inputs { get; }

    public int Outputs { get; }

    /// <summary>The number of outputs with their padding: results take that much room.</summary>
    public int Width { get; }

    /// <summary>The bias, <see cref="Width"/> numbers.</summary>
    public ReadOnlySpan<float> Bias => _bias;

    private static int Panel => 2 * Vector<float>.Count;

    /// <summary>A number of values rounded up to what the kernels work with.</summary>
    public static int Pad(int count) => (count + Panel - 1) / Panel * Panel;

    /// <summary>y = W x + b for some rows, with another bias where one is given.</summary>
    // Optimised at once: a service's first predictions are to be as fast as its later ones.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Apply(float* x, int xStride, int rows, float* y, int yStride, float* bias = null)
    {
        fixed (float* weights = _weights, own = _bias)
        {
            bias = bias == null ? own : bias;
            int row = 0;
            for (; row <= rows - 4; row += 4)
                for (int panel = 0; panel < Width; panel += Panel)
                    FourRows(x + (nint)row * xStride, xStride, weights + (nint)panel * Inputs, bias + panel,
                        y + (nint)row * yStride + panel, yStride);
            for (; row < rows; row++)
            {
                float* input = x + (nint)row * xStride;
                float* output = y + (nint)row * yStride;
                int panel = 0;
                for (; panel <= Width - 4 * Panel; panel += 4 * Panel)
                    FourPanels(input, weights + (nint)panel * Inputs, bias + panel, output + panel);
                for (; panel < Width; panel += Panel)
                    OnePanel(input, weights + (nint)panel * Inputs, bias + panel, output + panel);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FourRows(float* x, int xStride, float* w, float* bias, float* y, int yStride)
    {
        int n = Vector<float>.Count;
        Vector<float> b0 = Vector.Load(bias), b1 = Vector.Load(bias + n);
        Vector<float> s00 = b0, s01 = b1, s10 = b0, s11 = b1, s20 = b0, s21 = b1, s30 = b0, s31 = b1;
        float* x1 = x + xStride, x2 = x1 + xStride, x3 = x2 + xStride;
        for (int i = 0; i < Inputs; i++)
        {
            Vector<float> w0 = Vector.Load(w), w1 = Vector.Load(w + n);
            w += 2 * n;
            var v = new Vector<float>(x[i]);
            s00 = Vector.FusedMultiplyAdd(v, w0, s00);
            s01 = Vector.FusedMultiplyAdd(v, w1, s01);
            v = new Vector<float>(x1[i]);
            s10 = Vector.FusedMultiplyAdd(v, w0, s10);
            s11 = Vector.FusedMultiplyAdd(v, w1, s11);
            v = new Vector<float>(x2[i]);
            s20 = Vector.FusedMultiplyAdd(v, w0, s20);
            s21 = Vector.FusedMultiplyAdd(v, w1, s21);
            v = new Vector<float>(x3[i]);
            s30 = Vector.FusedMultiplyAdd(v, w0, s30);
            s31 = Vector.FusedMultiplyAdd(v, w1, s31);
        }
        Store(s00, s01, y);
        Store(s10, s11, y += yStride);
        Store(s20, s21, y += yStride);
        Store(s30, s31, y + yStride);
    }

    /// <summary>One row, with enough sums at once to keep the arithmetic units busy.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FourPanels(float* x, float* w, float* bias, float* y)
    {
        int n = Vector<float>.Count;
        nint next = (nint)Inputs * Panel;
        float* wb = w + next, wc = wb + next, wd = wc + next;
        Vector<float> a0 = Vector.Load(bias), a1 = Vector.Load(bias + n), b0 = Vector.Load(bias + 2 * n), b1 = Vector.Load(bias + 3 * n);
        Vector<float> c0 = Vector.Load(bias + 4 * n), c1 = Vector.Load(bias + 5 * n), d0 = Vector.Load(bias + 6 * n),
            d1 = Vector.Load(bias + 7 * n);
        for (int i = 0; i < Inputs; i++)
        {
            nint at = (nint)i * 2 * n;
            var v = new Vector<float>(x[i]);
            a0 = Vector.FusedMultiplyAdd(v, Vector.Load(w + at), a0);
            a1 = Vector.FusedMultiplyAdd(v, Vector.Load(w + at + n), a1);
            b0 = Vector.FusedMultiplyAdd(v, Vector.Load(wb + at), b0);
            b1 = Vector.FusedMultiplyAdd(v, Vector.Load(wb + at + n), b1);
            c0 = Vector.FusedMultiplyAdd(v, Vector.Load(wc + at), c0);
            c1 = Vector.FusedMultiplyAdd(v, Vector.Load(wc + at + n), c1);
            d0 = Vector.FusedMultiplyAdd(v, Vector.Load(wd + at), d0);
            d1 = Vector.FusedMultiplyAdd(v, Vector.Load(wd + at + n), d1);
        }
        Store(a0, a1, y);
        Store(b0, b1, y + 2 * n);
        Store(c0, c1, y + 4 * n);
        Store(d0, d1, y + 6 * n);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void OnePanel(float* x, float* w, float* bias, float* y)
    {
        int n = Vector<float>.Count;
        Vector<float> s0 = Vector.Load(bias), s1 = Vector.Load(bias + n);
        for (int i = 0; i < Inputs; i++)
        {
            var v = new Vector<float>(x[i]);
            s0 = Vector.FusedMultiplyAdd(v, Vector.Load(w), s0);
            s1 = Vector.FusedMultiplyAdd(v, Vector.Load(w + n), s1);
            w += 2 * n;
        }
        Store(s0, s1, y);
    }

    private static void Store(Vector<float> first, Vector<float> second, float* y)
    {
        first.Store(y);
        second.Store(y + Vector<float>.Count);
    }
}
