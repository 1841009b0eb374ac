using System.Numerics;

namespace Microsoft.ML.NeuralOde.Inference;

/// <summary>Activations over float32 memory, in place; lengths are whole vectors.</summary>
internal static unsafe class Activations
{
    public static void Apply(Activation activation, float* values, int count)
    {
        switch (activation)
        {
            case Activation.Tanh:
                Tanh(values, count);
                break;
            case Activation.Softplus:
                Softplus(values, count);
                break;
            case Activation.Silu:
                Silu(values, count);
                break;
            default:
                Relu(values, count);
                break;
        }
    }

    public static void Relu(float* values, int count)
    {
        // NaN stays NaN, as in torch.
        for (int i = 0; i < count; i += Vector<float>.Count)
        {
            Vector<float> x = Vector.Load(values + i);
            Vector.ConditionalSelect(Vector.LessThan(x, Vector<float>.Zero), Vector<float>.Zero, x).Store(values + i);
        }
    }

    private static void Tanh(float* values, int count)
    {
        Vector<float> one = Vector<float>.One;
        for (int i = 0; i < count; i += Vector<float>.Count)
        {
            Vector<float> x = Vector.Load(values + i);
            Vector<float> size = Vector.Abs(x);
            Vector<float> e = Vector.Exp(size * -2);
            Vector<float> far = Vector.CopySign((one - e) / (one + e), x);
            // Near zero the difference loses its digits; the Taylor series does not.
            Vector<float> q = x * x;
            Vector<float> near = x * (one + q * (new Vector<float>(-1f / 3) + q * (new Vector<float>(2f / 15) + q * (new Vector<float>(-17f / 315) + q * (62f / 2835)))));
            Vector.ConditionalSelect(Vector.LessThan(size, new Vector<float>(0.25f)), near, far).Store(values + i);
        }
    }

    private static void Softplus(float* values, int count)
    {
        for (int i = 0; i < count; i += Vector<float>.Count)
        {
            Vector<float> x = Vector.Load(values + i);
            Vector<float> e = Vector.Exp(-Vector.Abs(x));
            // ln(1 + e) for e ≤ 1; the quotient repairs what the sum rounds away.
            Vector<float> sum = Vector<float>.One + e;
            Vector<float> difference = sum - Vector<float>.One;
            Vector<float> logarithm = Vector.ConditionalSelect(Vector.Equals(difference, Vector<float>.Zero), e, Vector.Log(sum) * (e / difference));
            (Vector.Max(x, Vector<float>.Zero) + logarithm).Store(values + i);
        }
    }

    private static void Silu(float* values, int count)
    {
        for (int i = 0; i < count; i += Vector<float>.Count)
        {
            Vector<float> x = Vector.Load(values + i);
            (x / (Vector<float>.One + Vector.Exp(-x))).Store(values + i);
        }
    }
}
