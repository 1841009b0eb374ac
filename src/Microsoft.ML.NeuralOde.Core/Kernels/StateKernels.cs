using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>
/// The arithmetic of a step over CPU memory, one pass each. A state is <c>lanes × width</c> numbers: one lane for a batch that
/// shares its steps, one a row where each row has its own. Coefficients are lane-major.
/// </summary>
internal static unsafe class StateKernels
{
    /// <summary>
    /// Numbers of a large lane that a thread has at a time; a partial sum of float32 numbers of this length is still accurate.
    /// </summary>
    private const int BlockSize = 32768;

    /// <summary>A number costs as much as this many multiply–adds, since it comes from memory.</summary>
    private const double CostOfNumber = 16;

    /// <summary>Whether the kernels can work on a tensor's memory; the tensor must also be contiguous.</summary>
    public static bool Supports(Tensor tensor) =>
        tensor.device_type == DeviceType.CPU && tensor.dtype is ScalarType.Float32 or ScalarType.Float64;

    /// <summary>target = y + Σ_j c_j k_j, lane by lane; y may be null (zero).</summary>
    public static void Combine(Tensor target, Tensor? y, ReadOnlySpan<double> coefficients, ReadOnlySpan<Tensor> k, int lanes)
    {
        if (target.dtype == ScalarType.Float32)
            Combine<float>(target, y, coefficients, k, lanes);
        else
            Combine<double>(target, y, coefficients, k, lanes);
    }

    /// <summary>
    /// The sum of squares, or the maximum, of e / (atol + rtol max(|y0|, |y1|)) with e = Σ_j c_j k_j, lane by lane.
    /// </summary>
    public static void ScaledError(
        Span<double> result, Tensor y0, Tensor y1, ReadOnlySpan<double> coefficients, ReadOnlySpan<Tensor> k, double rtol,
        double atol, bool maximum)
    {
        if (y0.dtype == ScalarType.Float32)
            ScaledError<float>(result, y0, y1, coefficients, k, rtol, atol, maximum);
        else
            ScaledError<double>(result, y0, y1, coefficients, k, rtol, atol, maximum);
    }

    /// <summary>target = y + Σ_j (h w_j) k_j of one lane in memory of the caller's; y may be null (zero).</summary>
    public static void Combine<T>(T* target, T* y, double h, ReadOnlySpan<double> weights, T** k, int width)
        where T : unmanaged, INumber<T>
    {
        T** active = stackalloc T*[weights.Length];
        T* scaled = stackalloc T[weights.Length];
        CombineLane(target, y, scaled, active, Gather(h, weights, k, active, scaled), width, 0);
    }

    /// <summary>The same of the error h Σ_j w_j k_j as below, of one lane in memory of the caller's.</summary>
    public static double ScaledError<T>(
        T* y0, T* y1, double h, ReadOnlySpan<double> weights, T** k, int width, double rtol, double atol, bool maximum)
        where T : unmanaged, INumber<T>
    {
        T** active = stackalloc T*[weights.Length];
        T* scaled = stackalloc T[weights.Length];
        int count = Gather(h, weights, k, active, scaled);
        return ScaledError(y0, y1, scaled, active, count, width, T.CreateTruncating(rtol), T.CreateTruncating(atol), maximum);
    }

    /// <summary>Copies the lanes of <paramref name="source"/> that are marked.</summary>
    public static void CopyLanes(Tensor target, Tensor source, ReadOnlySpan<bool> mask)
    {
        Span<byte> to = target.bytes;
        Span<byte> from = source.bytes;
        int width = to.Length / mask.Length;
        for (int lane = 0; lane < mask.Length; lane++)
            if (mask[lane])
                from.Slice(lane * width, width).CopyTo(to.Slice(lane * width, width));
    }

    /// <summary>Whether every number is finite.</summary>
    public static bool IsFinite(Tensor tensor) =>
        tensor.dtype == ScalarType.Float32
            ? IsFinite(MemoryMarshal.Cast<byte, float>(tensor.bytes))
            : IsFinite(MemoryMarshal.Cast<byte, double>(tensor.bytes));

    /// <summary>Address of the first element.</summary>
    public static void* Address(Tensor tensor) => Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.bytes));

    private static void Combine<T>(Tensor target, Tensor? y, ReadOnlySpan<double> coefficients, ReadOnlySpan<Tensor> k, int lanes)
        where T : unmanaged, INumber<T>
    {
        T* to = (T*)Address(target);
        T* from = y is null ? null : (T*)Address(y);
        T** inputs = stackalloc T*[k.Length];
        T** active = stackalloc T*[k.Length];
        T* weights = stackalloc T[k.Length];
        for (int j = 0; j < k.Length; j++)
            inputs[j] = (T*)Address(k[j]);
        nint width = (nint)(target.numel() / lanes);
        for (int lane = 0; lane < lanes; lane++)
        {
            nint offset = lane * width;
            int count = Gather(coefficients.Slice(lane * k.Length, k.Length), inputs, offset, active, weights);
            Combine(to + offset, from == null ? null : from + offset, weights, active, count, width);
        }
    }

    private static void Combine<T>(T* to, T* y, T* c, T** k, int count, nint width)
        where T : unmanaged, INumber<T>
    {
        int workers = Workers(width, count);
        if (workers == 1)
            CombineLane(to, y, c, k, count, width, 0);
        else
            CombineBlocks((nint)to, (nint)y, (nint)c, (nint)k, count, width, workers);

        static void CombineBlocks(nint to, nint y, nint c, nint k, int count, nint width, int workers) =>
            RowBlocks.Run(workers, width, BlockSize, (_, start, length) =>
                CombineLane((T*)to + start, y == 0 ? null : (T*)y + start, (T*)c, (T**)k, count, length, start));
    }

    private static int Workers(nint width, int count) => RowBlocks.Workers(width, BlockSize, CostOfNumber * width * (count + 1));

    /// <summary>Leaves out the inputs whose coefficient is zero: their memory need not be read.</summary>
    private static int Gather<T>(ReadOnlySpan<double> coefficients, T** inputs, nint offset, T** active, T* weights)
        where T : unmanaged, INumber<T>
    {
        int count = 0;
        for (int j = 0; j < coefficients.Length; j++)
            if (coefficients[j] != 0)
            {
                weights[count] = T.CreateTruncating(coefficients[j]);
                active[count++] = inputs[j] + offset;
            }
        return count;
    }

    private static int Gather<T>(double h, ReadOnlySpan<double> weights, T** inputs, T** active, T* scaled)
        where T : unmanaged, INumber<T>
    {
        int count = 0;
        for (int j = 0; j < weights.Length; j++)
        {
            double weight = weights[j] * h;
            if (weight == 0)
                continue;
            scaled[count] = T.CreateTruncating(weight);
            active[count++] = inputs[j];
        }
        return count;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CombineLane<T>(T* to, T* y, T* c, T** k, int count, nint width, nint offset)
        where T : unmanaged, INumber<T>
    {
        int w = Vector<T>.Count;
        nint i = 0;
        for (; i <= width - 4 * w; i += 4 * w)
        {
            Vector<T> s0 = Vector<T>.Zero, s1 = Vector<T>.Zero, s2 = Vector<T>.Zero, s3 = Vector<T>.Zero;
            for (int j = 0; j < count; j++)
            {
                T* p = k[j] + offset + i;
                var cj = new Vector<T>(c[j]);
                s0 += cj * Vector.Load(p);
                s1 += cj * Vector.Load(p + w);
                s2 += cj * Vector.Load(p + 2 * w);
                s3 += cj * Vector.Load(p + 3 * w);
            }
            if (y != null)
            {
                s0 += Vector.Load(y + i);
                s1 += Vector.Load(y + i + w);
                s2 += Vector.Load(y + i + 2 * w);
                s3 += Vector.Load(y + i + 3 * w);
            }
            s0.Store(to + i);
            s1.Store(to + i + w);
            s2.Store(to + i + 2 * w);
            s3.Store(to + i + 3 * w);
        }
        for (; i <= width - w; i += w)
        {
            Vector<T> sum = Vector<T>.Zero;
            for (int j = 0; j < count; j++)
                sum += new Vector<T>(c[j]) * Vector.Load(k[j] + offset + i);
            (y == null ? sum : sum + Vector.Load(y + i)).Store(to + i);
        }
        for (; i < width; i++)
        {
            T sum = T.Zero;
            for (int j = 0; j < count; j++)
                sum += c[j] * k[j][offset + i];
            to[i] = y == null ? sum : sum + y[i];
        }
    }

    private static void ScaledError<T>(
        Span<double> result, Tensor y0, Tensor y1, ReadOnlySpan<double> coefficients, ReadOnlySpan<Tensor> k, double rtol,
        double atol, bool maximum)
        where T : unmanaged, INumber<T>
    {
        T* from = (T*)Address(y0);
        T* to = (T*)Address(y1);
        T** inputs = stackalloc T*[k.Length];
        T** active = stackalloc T*[k.Length];
        T* weights = stackalloc T[k.Length];
        for (int j = 0; j < k.Length; j++)
            inputs[j] = (T*)Address(k[j]);
        int lanes = result.Length;
        nint width = (nint)(y0.numel() / lanes);
        for (int lane = 0; lane < lanes; lane++)
        {
            nint offset = lane * width;
            int count = Gather(coefficients.Slice(lane * k.Length, k.Length), inputs, offset, active, weights);
            result[lane] = ScaledError(
                from + offset, to + offset, weights, active, count, width, T.CreateTruncating(rtol), T.CreateTruncating(atol), maximum);
        }
    }

    private static double ScaledError<T>(T* y0, T* y1, T* c, T** k, int count, nint width, T rtol, T atol, bool maximum)
        where T : unmanaged, INumber<T>
    {
        if (width <= BlockSize)
            return ScaledErrorBlock(y0, y1, c, k, count, width, 0, rtol, atol, maximum);
        return Blocks((nint)y0, (nint)y1, (nint)c, (nint)k, count, width, rtol, atol, maximum);

        static double Blocks(nint y0, nint y1, nint c, nint k, int count, nint width, T rtol, T atol, bool maximum)
        {
            var parts = new double[(width + BlockSize - 1) / BlockSize];
            RowBlocks.Run(Workers(width, count + 1), width, BlockSize, (_, start, length) =>
                parts[start / BlockSize] = ScaledErrorBlock(
                    (T*)y0 + start, (T*)y1 + start, (T*)c, (T**)k, count, length, start, rtol, atol, maximum));
            double total = 0;
            foreach (double part in parts)
                total = Join(total, part, maximum);
            return total;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double ScaledErrorBlock<T>(T* y0, T* y1, T* c, T** k, int count, nint width, nint offset, T rtol, T atol, bool maximum)
        where T : unmanaged, INumber<T>
    {
        int w = Vector<T>.Count;
        nint i = 0;
        // Above 0, so that a component that is and stays 0 has no error.
        atol = T.Max(atol, T.CreateTruncating(typeof(T) == typeof(float) ? 1.17549435E-38 : 2.2250738585072014E-308));
        Vector<T> rtols = new(rtol), atols = new(atol);
        double total = 0;
        if (width >= w)
        {
            Vector<T> sum = Vector<T>.Zero;
            for (; i <= width - w; i += w)
            {
                Vector<T> e = Vector<T>.Zero;
                for (int j = 0; j < count; j++)
                    e += new Vector<T>(c[j]) * Vector.Load(k[j] + offset + i);
                Vector<T> scale = atols + rtols * Vector.Max(Vector.Abs(Vector.Load(y0 + i)), Vector.Abs(Vector.Load(y1 + i)));
                Vector<T> ratio = e / scale;
                sum = maximum ? MaxOrNaN(sum, Vector.Abs(ratio)) : sum + ratio * ratio;
            }
            for (int lane = 0; lane < w; lane++)
                total = Join(total, double.CreateTruncating(sum[lane]), maximum);
        }
        for (; i < width; i++)
        {
            T e = T.Zero;
            for (int j = 0; j < count; j++)
                e += c[j] * k[j][offset + i];
            T ratio = e / (atol + rtol * T.Max(T.Abs(y0[i]), T.Abs(y1[i])));
            double value = double.CreateTruncating(ratio);
            total = Join(total, maximum ? Math.Abs(value) : value * value, maximum);
        }
        return total;
    }

    private static double Join(double total, double value, bool maximum) =>
        maximum ? (double.IsNaN(total) || double.IsNaN(value) ? double.NaN : Math.Max(total, value)) : total + value;

    private static Vector<T> MaxOrNaN<T>(Vector<T> a, Vector<T> b)
        where T : unmanaged, INumber<T> =>
        Vector.ConditionalSelect(Vector.Equals(b, b), Vector.Max(a, b), b);

    private static bool IsFinite<T>(ReadOnlySpan<T> values)
        where T : unmanaged, INumber<T>
    {
        // x · 0 is 0 for finite x and NaN for the others, and NaN survives the sum.
        int w = Vector<T>.Count;
        Vector<T> sum = Vector<T>.Zero;
        int i = 0;
        for (; i <= values.Length - w; i += w)
            sum += new Vector<T>(values[i..]) * Vector<T>.Zero;
        T rest = Vector.Sum(sum);
        for (; i < values.Length; i++)
            rest += values[i] * T.Zero;
        return rest == T.Zero;
    }
}
