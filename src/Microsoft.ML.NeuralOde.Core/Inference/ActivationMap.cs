using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Inference;

/// <summary>Activations over float32 memory, in place; lengths are those of <see cref="PackedLinear.Pad"/>.</summary>
internal static unsafe class ActivationMap
{
    public static void Apply(Activation activation, float* values, int count)
    {
        if (Vector256.IsHardwareAccelerated)
            Apply<Lanes256<float>>(activation, values, count);
        else
            Apply<Lanes128<float>>(activation, values, count);
    }

    private static void Apply<V>(Activation activation, float* values, int count)
        where V : struct, ILanes<V, float>
    {
        switch (activation)
        {
            case Activation.Tanh:
                Map<Tanh<float, V>, V>(values, count);
                break;
            case Activation.Softplus:
                Map<Softplus<float, V>, V>(values, count);
                break;
            case Activation.Silu:
                Map<Silu<float, V>, V>(values, count);
                break;
            default:
                Map<Relu<float, V>, V>(values, count);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Map<A, V>(float* values, int count)
        where A : IActivation<V>
        where V : struct, ILanes<V, float>
    {
        for (int i = 0; i < count; i += V.Count)
            A.Apply(V.Load(values + i), out _).Store(values + i);
    }
}
