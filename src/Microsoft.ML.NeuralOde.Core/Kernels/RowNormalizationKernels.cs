using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>Rows moved and scaled to mean 0 and variance 1, and back. Between rows there may be padding, which is left alone.</summary>
internal abstract unsafe class RowNormalizationKernels<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    public static RowNormalizationKernels<T> Instance { get; } =
        Vector512.IsHardwareAccelerated ? new RowNormalizationKernels<T, Lanes512<T>>()
        : Vector256.IsHardwareAccelerated ? new RowNormalizationKernels<T, Lanes256<T>>()
        : new RowNormalizationKernels<T, Lanes128<T>>();

    /// <summary>to ← n ⊙ weight + bias with n = (from − mean) / √(variance + ε).</summary>
    /// <param name="from">A row.</param>
    /// <param name="to">Where the result goes; may be the row itself.</param>
    /// <param name="width">How many numbers a row has.</param>
    /// <param name="weight">What n is multiplied by.</param>
    /// <param name="bias">What is added.</param>
    /// <param name="epsilon">ε.</param>
    /// <param name="normalized">Where n is kept; null for nowhere.</param>
    /// <returns>1 / √(variance + ε).</returns>
    public abstract T Normalize(T* from, T* to, nint width, T* weight, T* bias, T epsilon, T* normalized);

    /// <summary>The cotangent of a row from that of its result.</summary>
    /// <param name="cotangent">That of the result.</param>
    /// <param name="to">Where that of the row goes; may be the same.</param>
    /// <param name="width">How many numbers a row has.</param>
    /// <param name="weight">What n was multiplied by.</param>
    /// <param name="normalized">n.</param>
    /// <param name="inverse">What <see cref="Normalize"/> returned.</param>
    public abstract void Pull(T* cotangent, T* to, nint width, T* weight, T* normalized, T inverse);
}

/// <inheritdoc/>
internal sealed unsafe class RowNormalizationKernels<T, V> : RowNormalizationKernels<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override T Normalize(T* from, T* to, nint width, T* weight, T* bias, T epsilon, T* normalized)
    {
        nint whole = width / V.Count * V.Count;
        T count = T.CreateTruncating(width);
        T mean = Sum(from, whole, width) / count;
        T variance = SquaredDistance(from, mean, whole, width) / count;
        T inverse = T.One / T.Sqrt(variance + epsilon);
        V middle = V.Broadcast(mean), scale = V.Broadcast(inverse);
        for (nint i = 0; i < whole; i += V.Count)
        {
            V n = (V.Load(from + i) - middle) * scale;
            if (normalized != null)
                n.Store(normalized + i);
            V.MultiplyAdd(n, V.Load(weight + i), V.Load(bias + i)).Store(to + i);
        }
        for (nint i = whole; i < width; i++)
        {
            T n = (from[i] - mean) * inverse;
            if (normalized != null)
                normalized[i] = n;
            to[i] = n * weight[i] + bias[i];
        }
        return inverse;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Pull(T* cotangent, T* to, nint width, T* weight, T* normalized, T inverse)
    {
        nint whole = width / V.Count * V.Count;
        V sums = V.Broadcast(T.Zero), products = sums;
        for (nint i = 0; i < whole; i += V.Count)
        {
            V g = V.Load(cotangent + i) * V.Load(weight + i);
            sums += g;
            products = V.MultiplyAdd(g, V.Load(normalized + i), products);
        }
        T sum = V.Sum(sums), product = V.Sum(products);
        for (nint i = whole; i < width; i++)
        {
            sum += cotangent[i] * weight[i];
            product += cotangent[i] * weight[i] * normalized[i];
        }
        T count = T.CreateTruncating(width), mean = sum / count, slope = product / count;
        V middle = V.Broadcast(mean), tilt = V.Broadcast(slope), scale = V.Broadcast(inverse);
        for (nint i = 0; i < whole; i += V.Count)
            ((V.Load(cotangent + i) * V.Load(weight + i) - middle - V.Load(normalized + i) * tilt) * scale).Store(to + i);
        for (nint i = whole; i < width; i++)
            to[i] = (cotangent[i] * weight[i] - mean - normalized[i] * slope) * inverse;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Sum(T* from, nint whole, nint width)
    {
        V sums = V.Broadcast(T.Zero);
        for (nint i = 0; i < whole; i += V.Count)
            sums += V.Load(from + i);
        T sum = V.Sum(sums);
        for (nint i = whole; i < width; i++)
            sum += from[i];
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T SquaredDistance(T* from, T mean, nint whole, nint width)
    {
        V sums = V.Broadcast(T.Zero), middle = V.Broadcast(mean);
        for (nint i = 0; i < whole; i += V.Count)
        {
            V distance = V.Load(from + i) - middle;
            sums = V.MultiplyAdd(distance, distance, sums);
        }
        T sum = V.Sum(sums);
        for (nint i = whole; i < width; i++)
            sum += (from[i] - mean) * (from[i] - mean);
        return sum;
    }
}
