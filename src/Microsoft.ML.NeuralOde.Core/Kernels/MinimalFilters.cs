using System.Numerics;
using System.Runtime.CompilerServices;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>
/// One dimension of the minimal filtering algorithm F(m, 3) (S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin, S. Gray,
/// Fast Algorithms for Convolutional Neural Networks, 2016): m outputs of a filter g of three taps over m + 2 inputs d are Aᵀ((G g) ⊙ (Bᵀ
/// d)), with m + 2 multiplications. The matrices belong to m + 1 finite points, at which polynomials are evaluated, and infinity.
/// </summary>
/// <remarks>Numbers lie in memory at a distance of <c>step</c>, a register of them each.</remarks>
internal unsafe interface IMinimalFilter<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>m.</summary>
    static abstract int Outputs { get; }

    /// <summary>The finite points.</summary>
    static abstract ReadOnlySpan<double> Points { get; }

    /// <summary>Bᵀ: m + 2 numbers from m + 2.</summary>
    static abstract void Input(T* from, nint fromStep, T* to, nint toStep);

    /// <summary>Aᵀ: m numbers from m + 2.</summary>
    static abstract void Output(T* from, nint fromStep, T* to, nint toStep);

    /// <summary>A: m + 2 numbers from m.</summary>
    static abstract void Cotangent(T* from, nint fromStep, T* to, nint toStep);
}

/// <summary>F(2, 3) at 0, 1, −1 and ∞.</summary>
internal readonly unsafe struct MinimalFilter2<T, V> : IMinimalFilter<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    public static int Outputs => 2;

    public static ReadOnlySpan<double> Points => [0, 1, -1];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Input(T* from, nint fromStep, T* to, nint toStep)
    {
        V d0 = V.Load(from), d1 = V.Load(from + fromStep), d2 = V.Load(from + 2 * fromStep), d3 = V.Load(from + 3 * fromStep);
        (d2 - d0).Store(to);
        (d2 + d1).Store(to + toStep);
        (d2 - d1).Store(to + 2 * toStep);
        (d3 - d1).Store(to + 3 * toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Output(T* from, nint fromStep, T* to, nint toStep)
    {
        V m1 = V.Load(from + fromStep), m2 = V.Load(from + 2 * fromStep);
        (V.Load(from) + (m1 + m2)).Store(to);
        (m1 - m2 + V.Load(from + 3 * fromStep)).Store(to + toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Cotangent(T* from, nint fromStep, T* to, nint toStep)
    {
        V y0 = V.Load(from), y1 = V.Load(from + fromStep);
        y0.Store(to);
        (y0 + y1).Store(to + toStep);
        (y0 - y1).Store(to + 2 * toStep);
        y1.Store(to + 3 * toStep);
    }
}

/// <summary>F(3, 3) at 0, 1, −1, −1/2 and ∞: of the small points those whose rounding errors are among the smallest.</summary>
internal readonly unsafe struct MinimalFilter3<T, V> : IMinimalFilter<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    public static int Outputs => 3;

    public static ReadOnlySpan<double> Points => [0, 1, -1, -0.5];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Input(T* from, nint fromStep, T* to, nint toStep)
    {
        V half = Constant(0.5);
        V d0 = V.Load(from), d1 = V.Load(from + fromStep), d2 = V.Load(from + 2 * fromStep);
        V d3 = V.Load(from + 3 * fromStep), d4 = V.Load(from + 4 * fromStep);
        V odd = d3 - d1;
        V.MultiplyAdd(half, d2 - d0, odd).Store(to);
        V.MultiplyAdd(Constant(1.5), d2, V.MultiplyAdd(half, d1, d3)).Store(to + toStep);
        V.MultiplyAdd(Constant(-0.5), d1 + d2, d3).Store(to + 2 * toStep);
        odd.Store(to + 3 * toStep);
        V.MultiplyAdd(half, odd, d4 - d2).Store(to + 4 * toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Output(T* from, nint fromStep, T* to, nint toStep)
    {
        V m1 = V.Load(from + fromStep), m2 = V.Load(from + 2 * fromStep), m3 = V.Load(from + 3 * fromStep);
        V even = m1 + m2;
        (V.Load(from) + m3 + even).Store(to);
        V.MultiplyAdd(Constant(-0.5), m3, m1 - m2).Store(to + toStep);
        V.MultiplyAdd(Constant(0.25), m3, even + V.Load(from + 4 * fromStep)).Store(to + 2 * toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Cotangent(T* from, nint fromStep, T* to, nint toStep)
    {
        V y0 = V.Load(from), y1 = V.Load(from + fromStep), y2 = V.Load(from + 2 * fromStep);
        V even = y0 + y2;
        y0.Store(to);
        (even + y1).Store(to + toStep);
        (even - y1).Store(to + 2 * toStep);
        V.MultiplyAdd(Constant(0.25), y2, V.MultiplyAdd(Constant(-0.5), y1, y0)).Store(to + 3 * toStep);
        y2.Store(to + 4 * toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Constant(double value) => V.Broadcast(T.CreateTruncating(value));
}

/// <summary>F(4, 3) at 0, 1, −1, 1/2, −2 and ∞: with ±2 instead of the last two, rounding errors would be 2.5 times as large.</summary>
internal readonly unsafe struct MinimalFilter4<T, V> : IMinimalFilter<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    public static int Outputs => 4;

    public static ReadOnlySpan<double> Points => [0, 1, -1, 0.5, -2];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Input(T* from, nint fromStep, T* to, nint toStep)
    {
        V d0 = V.Load(from), d1 = V.Load(from + fromStep), d2 = V.Load(from + 2 * fromStep);
        V d3 = V.Load(from + 3 * fromStep), d4 = V.Load(from + 4 * fromStep), d5 = V.Load(from + 5 * fromStep);
        V half = Constant(0.5), minusTwo = Constant(-2), threeHalves = Constant(1.5), fiveHalves = Constant(2.5);
        V even = d4 - d2, odd = d3 - d1;
        V.MultiplyAdd(threeHalves, odd, V.MultiplyAdd(minusTwo, d2, d0 + d4)).Store(to);
        V.MultiplyAdd(fiveHalves, d3, V.MultiplyAdd(half, d2, d4 - d1)).Store(to + toStep);
        V.MultiplyAdd(Constant(-2.5), d2, V.MultiplyAdd(half, d3, d4 + d1)).Store(to + 2 * toStep);
        V.MultiplyAdd(Constant(2), odd, even).Store(to + 3 * toStep);
        V.MultiplyAdd(Constant(-0.5), odd, even).Store(to + 4 * toStep);
        V.MultiplyAdd(threeHalves, even, V.MultiplyAdd(minusTwo, d3, d1 + d5)).Store(to + 5 * toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Output(T* from, nint fromStep, T* to, nint toStep)
    {
        V m1 = V.Load(from + fromStep), m2 = V.Load(from + 2 * fromStep), m3 = V.Load(from + 3 * fromStep),
            m4 = V.Load(from + 4 * fromStep);
        V even = m1 + m2, odd = m1 - m2;
        (V.Load(from) + even + (m3 + m4)).Store(to);
        V.MultiplyAdd(Constant(-2), m4, V.MultiplyAdd(Constant(0.5), m3, odd)).Store(to + toStep);
        V.MultiplyAdd(Constant(4), m4, V.MultiplyAdd(Constant(0.25), m3, even)).Store(to + 2 * toStep);
        V.MultiplyAdd(Constant(-8), m4, V.MultiplyAdd(Constant(0.125), m3, odd + V.Load(from + 5 * fromStep))).Store(to + 3 * toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Cotangent(T* from, nint fromStep, T* to, nint toStep)
    {
        V y0 = V.Load(from), y1 = V.Load(from + fromStep), y2 = V.Load(from + 2 * fromStep), y3 = V.Load(from + 3 * fromStep);
        V even = y0 + y2, odd = y1 + y3;
        y0.Store(to);
        (even + odd).Store(to + toStep);
        (even - odd).Store(to + 2 * toStep);
        At(Constant(0.5), y0, y1, y2, y3).Store(to + 3 * toStep);
        At(Constant(-2), y0, y1, y2, y3).Store(to + 4 * toStep);
        y3.Store(to + 5 * toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V At(V x, V y0, V y1, V y2, V y3) => V.MultiplyAdd(x, V.MultiplyAdd(x, V.MultiplyAdd(x, y3, y2), y1), y0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Constant(double value) => V.Broadcast(T.CreateTruncating(value));
}
