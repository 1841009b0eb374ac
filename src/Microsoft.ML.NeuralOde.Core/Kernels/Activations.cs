using System.Numerics;
using System.Runtime.CompilerServices;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>An activation function on registers, with its derivative.</summary>
internal interface IActivation<V>
{
    static abstract V Apply(V x, out V derivative);
}

/// <summary>eˣ − 1 by reduction to |r| ≤ ln 2 / 2 and the Taylor series, which converges to rounding there.</summary>
internal static class Exponential<T, V>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    /// <summary>ln 2 in two parts; the product of the first with a small integer is exact in float32 too.</summary>
    private const double HighLn2 = 22713.0 / 32768;

    private const double LowLn2 = 1.42860682030941723212e-6;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Constant(double value) => V.Broadcast(T.CreateTruncating(value));

    /// <summary>eˣ = power + product and eˣ − 1 = (power − 1) + product, where |x| ≤ 87 (float32) or 700 (float64).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Split(V x, out V power, out V product)
    {
        // Adding 1.5 · 2^(bits of the significand) rounds to an integer, which then stands in the lowest bits: with the exponent's bias
        // added, 2^n.
        V magic = Constant(typeof(T) == typeof(float) ? 12582912.0 + 127 : 6755399441055744.0 + 1023);
        V shifted = V.MultiplyAdd(x, Constant(1.44269504088896340736), magic);
        V n = shifted - magic;
        V r = V.MultiplyAdd(n, Constant(-LowLn2), V.MultiplyAdd(n, Constant(-HighLn2), x));
        V p;
        if (typeof(T) == typeof(float))
        {
            p = Constant(1.0 / 5040);
        }
        else
        {
            p = V.MultiplyAdd(r, Constant(1.0 / 6227020800), Constant(1.0 / 479001600));
            p = V.MultiplyAdd(r, p, Constant(1.0 / 39916800));
            p = V.MultiplyAdd(r, p, Constant(1.0 / 3628800));
            p = V.MultiplyAdd(r, p, Constant(1.0 / 362880));
            p = V.MultiplyAdd(r, p, Constant(1.0 / 40320));
            p = V.MultiplyAdd(r, p, Constant(1.0 / 5040));
        }
        p = V.MultiplyAdd(r, p, Constant(1.0 / 720));
        p = V.MultiplyAdd(r, p, Constant(1.0 / 120));
        p = V.MultiplyAdd(r, p, Constant(1.0 / 24));
        p = V.MultiplyAdd(r, p, Constant(1.0 / 6));
        p = V.MultiplyAdd(r, p, Constant(0.5));
        p = V.MultiplyAdd(r * r, p, r);
        power = V.ShiftToExponent(shifted);
        product = power * p;
    }

    /// <summary>x between −limit and limit; NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Clamp(V x, double limit) => V.Max(Constant(-limit), V.Min(Constant(limit), x));

    /// <summary>The largest argument of <see cref="Split"/> whose power is a normal number.</summary>
    public static double Limit
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => typeof(T) == typeof(float) ? 87 : 700;
    }

    /// <summary>1 / (1 + e⁻ˣ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sigmoid(V x)
    {
        V zero = Constant(0), one = Constant(1);
        Split(Clamp(zero - x, Limit), out V power, out V product);
        return one / (one + (power + product));
    }
}

internal readonly struct Identity<T, V> : IActivation<V>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply(V x, out V derivative)
    {
        derivative = Exponential<T, V>.Constant(1);
        return x;
    }
}

internal readonly struct Tanh<T, V> : IActivation<V>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    /// <summary>u / (u + 2) with u = e^(2x) − 1, which keeps its relative accuracy near 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply(V x, out V derivative)
    {
        V one = Exponential<T, V>.Constant(1);
        // Beyond the limit tanh rounds to ±1.
        V doubled = Exponential<T, V>.Clamp(x + x, typeof(T) == typeof(float) ? 20 : 40);
        Exponential<T, V>.Split(doubled, out V power, out V product);
        V u = (power - one) + product;
        V value = u / (u + Exponential<T, V>.Constant(2));
        derivative = one - value * value;
        return value;
    }
}

internal readonly struct Softplus<T, V> : IActivation<V>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    /// <summary>max(0, x) + ln(1 + e) with e = e^(−|x|), and ln(1 + e) = 2 artanh s with s = e / (2 + e) ≤ 1/3 by its series.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply(V x, out V derivative)
    {
        V zero = Exponential<T, V>.Constant(0), one = Exponential<T, V>.Constant(1);
        V magnitude = V.Max(zero - x, x);
        Exponential<T, V>.Split(Exponential<T, V>.Clamp(zero - magnitude, Exponential<T, V>.Limit), out V power, out V product);
        V e = power + product;
        V sigmoid = one / (one + e);
        derivative = V.WherePositive(x, sigmoid, e * sigmoid);
        V s = e / (e + Exponential<T, V>.Constant(2));
        V square = s * s;
        const int Float32Terms = 7, Float64Terms = 16;
        int terms = typeof(T) == typeof(float) ? Float32Terms : Float64Terms;
        V series = Exponential<T, V>.Constant(1.0 / (2 * terms + 1));
        for (int i = terms - 1; i >= 0; i--)
            series = V.MultiplyAdd(series, square, Exponential<T, V>.Constant(1.0 / (2 * i + 1)));
        return V.MultiplyAdd(s + s, series, V.Max(zero, x));
    }
}

internal readonly struct Relu<T, V> : IActivation<V>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply(V x, out V derivative)
    {
        V zero = Exponential<T, V>.Constant(0);
        derivative = V.WherePositive(x, Exponential<T, V>.Constant(1), zero);
        return V.Max(zero, x);
    }
}

internal readonly struct Silu<T, V> : IActivation<V>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply(V x, out V derivative)
    {
        V one = Exponential<T, V>.Constant(1);
        V sigmoid = Exponential<T, V>.Sigmoid(x);
        V value = x * sigmoid;
        // σ + x σ (1 − σ).
        derivative = V.MultiplyAdd(value, one - sigmoid, sigmoid);
        return value;
    }
}

internal readonly struct Sigmoid<T, V> : IActivation<V>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply(V x, out V derivative)
    {
        V value = Exponential<T, V>.Sigmoid(x);
        derivative = value * (Exponential<T, V>.Constant(1) - value);
        return value;
    }
}

/// <summary>D. Hendrycks, K. Gimpel, Gaussian error linear units, 2016.</summary>
internal readonly struct Gelu<T, V> : IActivation<V>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply(V x, out V derivative)
    {
        V zero = Exponential<T, V>.Constant(0), one = Exponential<T, V>.Constant(1), half = Exponential<T, V>.Constant(0.5);
        V z = V.Max(zero - x, x) * Exponential<T, V>.Constant(0.70710678118654752440);
        Exponential<T, V>.Split(Exponential<T, V>.Clamp(zero - z * z, Exponential<T, V>.Limit), out V power, out V product);
        V bell = power + product;
        // Φ(−|x|): the half of it that stays exact.
        V tail = half * bell * ScaledTail(z);
        V normal = V.WherePositive(x, one - tail, tail);
        // Φ(x) + x φ(x).
        V inside = Exponential<T, V>.Clamp(x, Exponential<T, V>.Limit);
        derivative = V.MultiplyAdd(inside * Exponential<T, V>.Constant(0.39894228040143267794), bell, normal);
        return x * normal;
    }

    /// <summary>
    /// exp(z²) erfc(z) for 0 ≤ z, by its Chebyshev series in 1 / (z + k), as powers of s between −1 and 1. Beyond the largest z of the
    /// series exp(−z²) is less than the rounding of Φ.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V ScaledTail(V z)
    {
        V p;
        if (typeof(T) == typeof(float))
        {
            V s = Place(z, largest: 4.5, k: 3.25, slope: 11.194444444444444444, offset: -2.4444444444444444444);
            p = Next(s, Exponential<T, V>.Constant(4.1440980137724782519e-7), 8.0427736097977364846e-8);
            p = Next(s, p, -0.000014422978207295478598);
            p = Next(s, p, -0.000040649794413229856969);
            p = Next(s, p, 0.00037466679920344281301);
            p = Next(s, p, 0.0041043926666480667184);
            p = Next(s, p, 0.021187005786487193827);
            p = Next(s, p, 0.073600494553459702458);
            p = Next(s, p, 0.18783132870460038959);
            p = Next(s, p, 0.36109328000217315311);
            return Next(s, p, 0.35186340942869256492);
        }
        V t = Place(z, largest: 7, k: 3.75, slope: 11.517857142857142857, offset: -2.0714285714285714286);
        p = Next(t, Exponential<T, V>.Constant(6.6585332418415639232e-13), 1.2657630332989413323e-13);
        p = Next(t, p, -1.5855079880047963055e-11);
        p = Next(t, p, 6.4855542888558004712e-12);
        p = Next(t, p, 3.108219968465373732e-10);
        p = Next(t, p, -2.1491414733657903371e-10);
        p = Next(t, p, -6.4583872723487295999e-9);
        p = Next(t, p, 1.5021033661466514524e-9);
        p = Next(t, p, 1.4656977568469771973e-7);
        p = Next(t, p, 1.9582630217430386154e-7);
        p = Next(t, p, -3.1945222435277170894e-6);
        p = Next(t, p, -0.000015301793448853920003);
        p = Next(t, p, 0.000025250152264869570701);
        p = Next(t, p, 0.0006149171538968875241);
        p = Next(t, p, 0.0038021071851545880502);
        p = Next(t, p, 0.015270775001300243166);
        p = Next(t, p, 0.046077750512674632893);
        p = Next(t, p, 0.11008116192878136646);
        p = Next(t, p, 0.21273120297896061033);
        p = Next(t, p, 0.33414822342479036637);
        return Next(t, p, 0.27726677045074411101);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Place(V z, double largest, double k, double slope, double offset)
    {
        V limited = V.Min(Exponential<T, V>.Constant(largest), z);
        return Exponential<T, V>.Constant(slope) / (limited + Exponential<T, V>.Constant(k)) + Exponential<T, V>.Constant(offset);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Next(V s, V p, double coefficient) => V.MultiplyAdd(s, p, Exponential<T, V>.Constant(coefficient));
}

/// <summary>The approximation that the same paper gives.</summary>
internal readonly struct GeluTanh<T, V> : IActivation<V>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    private const double Scale = 0.79788456080286535588, Cubic = 0.044715;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply(V x, out V derivative)
    {
        V one = Exponential<T, V>.Constant(1), half = Exponential<T, V>.Constant(0.5);
        // Beyond the limit tanh rounds to ±1.
        V inside = Exponential<T, V>.Clamp(x, 20);
        V square = inside * inside;
        V argument = inside * V.MultiplyAdd(square, Exponential<T, V>.Constant(Scale * Cubic), Exponential<T, V>.Constant(Scale));
        V tanh = Tanh<T, V>.Apply(argument, out V slope);
        V share = V.MultiplyAdd(half, tanh, half);
        V inner = V.MultiplyAdd(square, Exponential<T, V>.Constant(3 * Scale * Cubic), Exponential<T, V>.Constant(Scale));
        derivative = V.MultiplyAdd(half * inside * slope, inner, share);
        return x * share;
    }
}

internal readonly struct Square<T, V> : IActivation<V>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply(V x, out V derivative)
    {
        derivative = x + x;
        return x * x;
    }
}

internal readonly struct Cube<T, V> : IActivation<V>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply(V x, out V derivative)
    {
        V square = x * x;
        derivative = Exponential<T, V>.Constant(3) * square;
        return x * square;
    }
}
