using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>Where an image lies in memory: rows of positions, of each position its channels, padded to whole registers.</summary>
/// <param name="start">The first channel of the first position.</param>
/// <param name="row">The distance from one row to the next.</param>
internal readonly unsafe struct Plane<T>(T* start, nint row)
    where T : unmanaged
{
    public T* Start => start;

    public nint Row => row;
}

/// <summary>
/// Passes over a channels-last image, in the widest registers the machine has. Vectors of channels are padded as the image is.
/// </summary>
internal abstract unsafe class ImageKernels<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    public static ImageKernels<T> Instance { get; } =
        Vector512.IsHardwareAccelerated ? new ImageKernels<T, Lanes512<T>>()
        : Vector256.IsHardwareAccelerated ? new ImageKernels<T, Lanes256<T>>()
        : new ImageKernels<T, Lanes128<T>>();

    /// <summary>sum ← Σ x over the positions; before that x += shift, an image without gaps, where it is not null.</summary>
    public abstract void Sum(Plane<T> x, T* shift, int height, int width, int channels, T* sum);

    /// <summary>sum ← Σ (x − mean)² over the positions.</summary>
    public abstract void SumSquares(Plane<T> x, T* mean, int height, int width, int channels, T* sum);

    /// <summary>
    /// target ← scale times the sum over each channel's group: groups of <paramref name="size"/> channels that follow one another.
    /// </summary>
    public abstract void SumGroups(T* source, int channels, int size, T scale, T* target);

    /// <summary>x ← 1 / √(x + epsilon) over padded memory.</summary>
    public abstract void InverseRoot(T* x, int count, T epsilon);

    /// <summary>
    /// to ← act(z weight + bias) with z = (x − mean) inverse; z is kept in <paramref name="normalized"/>, an image without gaps, where that
    /// is not null. No activation: act is the identity. No mean: z is x.
    /// </summary>
    public abstract void Normalize(
        Activation? activation, Plane<T> x, T* mean, T* inverse, T* weight, T* bias, int height, int width, int channels,
        T* normalized, Plane<T> to);

    /// <summary>
    /// λ ← λ act′(z weight + bias) in place, with sum ← Σ λ and products ← Σ λ z over the positions. z is an image without gaps.
    /// </summary>
    public abstract void PullActivation(
        Activation? activation, Plane<T> cotangent, T* normalized, T* weight, T* bias, int height, int width, int channels,
        T* sum, T* products);

    /// <summary>
    /// to ← λ scale − (offset + z slope). z and <paramref name="to"/> are images without gaps; a second copy goes to a plane where there is
    /// one.
    /// </summary>
    public abstract void PullNormalization(
        Plane<T> cotangent, T* normalized, T* scale, T* offset, T* slope, int height, int width, int channels, T* to, Plane<T> copy);

    /// <summary>to[j, i] ← from[i, j].</summary>
    public abstract void Transpose(T* from, nint fromRow, int rows, int columns, T* to, nint toRow);
}

/// <inheritdoc/>
internal sealed unsafe class ImageKernels<T, V> : ImageKernels<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Sum(Plane<T> x, T* shift, int height, int width, int channels, T* sum)
    {
        for (nint c = 0; c < channels; c += V.Count)
        {
            V total = V.Broadcast(T.Zero);
            T* added = shift + c;
            for (nint i = 0; i < height; i++)
            {
                T* from = x.Start + c + i * x.Row;
                for (nint j = 0; j < width; j++)
                {
                    V value = V.Load(from);
                    if (shift != null)
                    {
                        value += V.Load(added);
                        value.Store(from);
                        added += channels;
                    }
                    total += value;
                    from += channels;
                }
            }
            total.Store(sum + c);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void SumSquares(Plane<T> x, T* mean, int height, int width, int channels, T* sum)
    {
        for (nint c = 0; c < channels; c += V.Count)
        {
            V total = V.Broadcast(T.Zero);
            V middle = V.Load(mean + c);
            for (nint i = 0; i < height; i++)
            {
                T* from = x.Start + c + i * x.Row;
                for (nint j = 0; j < width; j++)
                {
                    V value = V.Load(from) - middle;
                    total = V.MultiplyAdd(value, value, total);
                    from += channels;
                }
            }
            total.Store(sum + c);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void SumGroups(T* source, int channels, int size, T scale, T* target)
    {
        for (nint first = 0; first < channels; first += size)
        {
            T sum = source[first];
            for (nint i = first + 1; i < first + size; i++)
                sum += source[i];
            sum *= scale;
            for (nint i = first; i < first + size; i++)
                target[i] = sum;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void InverseRoot(T* x, int count, T epsilon)
    {
        V one = V.Broadcast(T.One), added = V.Broadcast(epsilon);
        for (nint i = 0; i < count; i += V.Count)
            (one / V.Sqrt(V.Load(x + i) + added)).Store(x + i);
    }

    public override void Normalize(
        Activation? activation, Plane<T> x, T* mean, T* inverse, T* weight, T* bias, int height, int width, int channels,
        T* normalized, Plane<T> to)
    {
        switch (activation)
        {
            case null:
                Normalize<Identity<T, V>>(x, mean, inverse, weight, bias, height, width, channels, normalized, to);
                break;
            case Activation.Tanh:
                Normalize<Tanh<T, V>>(x, mean, inverse, weight, bias, height, width, channels, normalized, to);
                break;
            case Activation.Softplus:
                Normalize<Softplus<T, V>>(x, mean, inverse, weight, bias, height, width, channels, normalized, to);
                break;
            case Activation.Relu:
                Normalize<Relu<T, V>>(x, mean, inverse, weight, bias, height, width, channels, normalized, to);
                break;
            default:
                Normalize<Silu<T, V>>(x, mean, inverse, weight, bias, height, width, channels, normalized, to);
                break;
        }
    }

    public override void PullActivation(
        Activation? activation, Plane<T> cotangent, T* normalized, T* weight, T* bias, int height, int width, int channels,
        T* sum, T* products)
    {
        switch (activation)
        {
            case null:
                PullActivation<Identity<T, V>>(cotangent, normalized, weight, bias, height, width, channels, sum, products);
                break;
            case Activation.Tanh:
                PullActivation<Tanh<T, V>>(cotangent, normalized, weight, bias, height, width, channels, sum, products);
                break;
            case Activation.Softplus:
                PullActivation<Softplus<T, V>>(cotangent, normalized, weight, bias, height, width, channels, sum, products);
                break;
            case Activation.Relu:
                PullActivation<Relu<T, V>>(cotangent, normalized, weight, bias, height, width, channels, sum, products);
                break;
            default:
                PullActivation<Silu<T, V>>(cotangent, normalized, weight, bias, height, width, channels, sum, products);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void PullNormalization(
        Plane<T> cotangent, T* normalized, T* scale, T* offset, T* slope, int height, int width, int channels, T* to, Plane<T> copy)
    {
        for (nint c = 0; c < channels; c += V.Count)
        {
            V a = V.Load(scale + c), b = V.Load(offset + c), d = V.Load(slope + c);
            nint place = c;
            for (nint i = 0; i < height; i++)
            {
                T* from = cotangent.Start + c + i * cotangent.Row;
                T* second = copy.Start + c + i * copy.Row;
                for (nint j = 0; j < width; j++)
                {
                    V value = V.Load(from + j * channels) * a - V.MultiplyAdd(V.Load(normalized + place), d, b);
                    value.Store(to + place);
                    if (copy.Start != null)
                        value.Store(second + j * channels);
                    place += channels;
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Transpose(T* from, nint fromRow, int rows, int columns, T* to, nint toRow)
    {
        nint i = 0;
        if (typeof(T) == typeof(float))
            for (; i <= rows - 4; i += 4)
                TransposeFour((float*)(from + i * fromRow), fromRow, columns, (float*)(to + i), toRow);
        for (; i < rows; i++)
            for (nint j = 0; j < columns; j++)
                to[j * toRow + i] = from[i * fromRow + j];
    }

    /// <summary>Four rows become four columns, by blocks of four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TransposeFour(float* from, nint fromRow, nint columns, float* to, nint toRow)
    {
        nint j = 0;
        for (; j <= columns - 4; j += 4)
        {
            Vector128<float> a = Vector128.Load(from + j), b = Vector128.Load(from + fromRow + j);
            Vector128<float> c = Vector128.Load(from + 2 * fromRow + j), d = Vector128.Load(from + 3 * fromRow + j);
            Vector128<double> ab = Low(a, b).AsDouble(), cd = Low(c, d).AsDouble();
            Low(ab, cd).Store((double*)(to + j * toRow));
            High(ab, cd).Store((double*)(to + (j + 1) * toRow));
            ab = High(a, b).AsDouble();
            cd = High(c, d).AsDouble();
            Low(ab, cd).Store((double*)(to + (j + 2) * toRow));
            High(ab, cd).Store((double*)(to + (j + 3) * toRow));
        }
        for (; j < columns; j++)
            Vector128.Create(from[j], from[fromRow + j], from[2 * fromRow + j], from[3 * fromRow + j]).Store(to + j * toRow);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Low(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported
        ? Sse.UnpackLow(a, b) : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b) : Vector128.Create(a[0], b[0], a[1], b[1]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> High(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported
        ? Sse.UnpackHigh(a, b) : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b) : Vector128.Create(a[2], b[2], a[3], b[3]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<double> Low(Vector128<double> a, Vector128<double> b) =>
        Sse2.IsSupported ? Sse2.UnpackLow(a, b) : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b) : Vector128.Create(a[0], b[0]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<double> High(Vector128<double> a, Vector128<double> b) =>
        Sse2.IsSupported ? Sse2.UnpackHigh(a, b) : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b) : Vector128.Create(a[1], b[1]);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Normalize<TActivation>(
        Plane<T> x, T* mean, T* inverse, T* weight, T* bias, int height, int width, int channels, T* normalized, Plane<T> to)
        where TActivation : struct, IActivation<V>
    {
        for (nint c = 0; c < channels; c += V.Count)
        {
            V middle = mean == null ? V.Broadcast(T.Zero) : V.Load(mean + c);
            V factor = mean == null ? V.Broadcast(T.One) : V.Load(inverse + c);
            V w = V.Load(weight + c), b = V.Load(bias + c);
            T* kept = normalized + c;
            for (nint i = 0; i < height; i++)
            {
                T* from = x.Start + c + i * x.Row;
                T* target = to.Start + c + i * to.Row;
                for (nint j = 0; j < width; j++)
                {
                    V z = (V.Load(from + j * channels) - middle) * factor;
                    if (normalized != null)
                    {
                        z.Store(kept);
                        kept += channels;
                    }
                    TActivation.Apply(V.MultiplyAdd(z, w, b), out _).Store(target + j * channels);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PullActivation<TActivation>(
        Plane<T> cotangent, T* normalized, T* weight, T* bias, int height, int width, int channels, T* sum, T* products)
        where TActivation : struct, IActivation<V>
    {
        for (nint c = 0; c < channels; c += V.Count)
        {
            V total = V.Broadcast(T.Zero), product = total;
            V w = V.Load(weight + c), b = V.Load(bias + c);
            T* kept = normalized + c;
            for (nint i = 0; i < height; i++)
            {
                T* place = cotangent.Start + c + i * cotangent.Row;
                for (nint j = 0; j < width; j++)
                {
                    V z = V.Load(kept);
                    V value = V.Load(place);
                    if (typeof(TActivation) != typeof(Identity<T, V>))
                    {
                        TActivation.Apply(V.MultiplyAdd(z, w, b), out V slope);
                        value *= slope;
                        value.Store(place);
                    }
                    total += value;
                    product = V.MultiplyAdd(value, z, product);
                    kept += channels;
                    place += channels;
                }
            }
            total.Store(sum + c);
            product.Store(products + c);
        }
    }
}
