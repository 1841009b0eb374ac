using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>
/// The arithmetic of small dense networks over plain memory, in the widest registers the machine has. Rows of scratch memory are padded to
/// <see cref="Pad"/>; padding may hold anything finite.
/// </summary>
internal abstract unsafe class DenseKernels<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    // Outputs whose gradients a thread adds up together, and rows of a pass: what a pass reads stays in the cache.
    private const int BlockOutputs = 16, BlockDepth = 128;

    public static DenseKernels<T> Instance { get; } =
        Vector512.IsHardwareAccelerated ? new DenseKernels<T, Lanes512<T>>()
        : Vector256.IsHardwareAccelerated ? new DenseKernels<T, Lanes256<T>>()
        : new DenseKernels<T, Lanes128<T>>();

    /// <summary>The next multiple of the register width.</summary>
    public abstract int Pad(long count);

    /// <summary>
    /// C = A B + bias, or C += α A B. A is <c>rows × depth</c> with any strides; the rows of B and the bias are padded; those of C need not
    /// be.
    /// </summary>
    public abstract void Multiply(
        T* a, nint aRow, nint aStep, T* b, nint bRow, T* c, nint cRow, nint rows, nint depth, nint columns, T* bias, T alpha,
        bool accumulate);

    /// <summary>
    /// x ← act(x + t w) in place, and act′ where <paramref name="slope"/> is not null. t is one number a row, and w a vector; both null for
    /// none.
    /// </summary>
    public abstract void Activate(Nonlinearity activation, T* x, T* slope, nint row, nint rows, T* times, T* timeWeight);

    /// <summary>target += scale · source over padded memory.</summary>
    public abstract void AddScaled(T* target, T* source, T scale, nint count);

    /// <summary>target ← target · factor over padded memory.</summary>
    public abstract void MultiplyBy(T* target, T* factor, nint count);

    /// <summary>target ← target where value is positive, else 0, over padded memory.</summary>
    public abstract void KeepWherePositive(T* target, T* value, nint count);

    /// <summary>target ← a b over padded memory.</summary>
    public abstract void Product(T* target, T* a, T* b, nint count);

    /// <summary>target += a b over padded memory.</summary>
    public abstract void AddProduct(T* target, T* a, T* b, nint count);

    /// <summary>Whether <see cref="Curve"/> knows the second derivative of an activation.</summary>
    public static bool HasCurvature(Activation activation) => activation != Activation.Silu;

    /// <summary>target ← target · act′ + factor · act″ over padded memory, given the values of act and act′.</summary>
    public abstract void Curve(Activation activation, T* target, T* value, T* slope, T* factor, nint count);

    /// <summary>target ← Σ of the rows of a padded matrix, each times its weight; weights null for 1.</summary>
    public abstract void SumRows(T* target, T* source, nint row, nint rows, T* weights);

    /// <summary>Σ a b over padded memory whose padding is zero in one of both.</summary>
    public abstract double Dot(T* a, T* b, nint count);

    /// <summary>G = Σ δ xᵀ over rows, or G += α Σ δ xᵀ: what the gradient of a layer's weights is made of.</summary>
    /// <param name="delta">Cotangents of the outputs.</param>
    /// <param name="deltaRow">From one row of them to the next.</param>
    /// <param name="inputs">x, rows padded.</param>
    /// <param name="inputsRow">From one row of it to the next.</param>
    /// <param name="rows">How many rows.</param>
    /// <param name="gradient">G, <paramref name="outputs"/> by <paramref name="columns"/>.</param>
    /// <param name="gradientRow">From one row of it to the next.</param>
    /// <param name="outputs">How many outputs.</param>
    /// <param name="columns">How many inputs, or those with padding.</param>
    /// <param name="alpha">α.</param>
    /// <param name="accumulate">Whether to add.</param>
    public void OuterProducts(
        T* delta, nint deltaRow, T* inputs, nint inputsRow, nint rows, T* gradient, nint gradientRow, nint outputs, nint columns, T alpha,
        bool accumulate)
    {
        int workers = RowBlocks.Workers(outputs, BlockOutputs, (double)rows * outputs * columns);
        RowBlocks.Run(workers, outputs, BlockOutputs, (_, start, count) =>
        {
            for (nint from = 0; from < rows; from += BlockDepth)
                Multiply(
                    delta + from * deltaRow + start, 1, deltaRow, inputs + from * inputsRow, inputsRow, gradient + start * gradientRow,
                    gradientRow, count, Math.Min(BlockDepth, rows - from), columns, null, alpha, accumulate || from > 0);
        });
    }

    /// <summary>Copies the first numbers of each row.</summary>
    public static void CopyRows(T* from, nint fromStride, T* to, nint toStride, int width, nint rows)
    {
        if (fromStride == toStride)
        {
            Buffer.MemoryCopy(from, to, rows * toStride * sizeof(T), rows * fromStride * sizeof(T));
            return;
        }
        for (nint r = 0; r < rows; r++)
            new ReadOnlySpan<T>(from + r * fromStride, width).CopyTo(new Span<T>(to + r * toStride, width));
    }
}

/// <inheritdoc/>
/// <remarks>Optimised at once: without, the first thousands of calls would take a hundred times as long.</remarks>
internal sealed unsafe class DenseKernels<T, V> : DenseKernels<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
{
    /// <summary>Whether there are registers for sixteen sums at once, as AVX-512 and ARM64 have.</summary>
    private static bool HasManyRegisters => Vector512.IsHardwareAccelerated || AdvSimd.Arm64.IsSupported;

    public override int Pad(long count) => (int)((count + V.Count - 1) / V.Count * V.Count);

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Multiply(
        T* a, nint aRow, nint aStep, T* b, nint bRow, T* c, nint cRow, nint rows, nint depth, nint columns, T* bias, T alpha,
        bool accumulate)
    {
        // Where sums wait that are not stored as they are. The tiles must not allocate it: sums that live across a call are kept in memory
        // all along.
        T* tile = stackalloc T[16 * V.Count];
        nint column = 0;
        while (column < columns)
        {
            nint vectors = (columns - column + V.Count - 1) / V.Count;
            nint width = vectors >= 4 && HasManyRegisters ? 4 : vectors >= 2 ? 2 : 1;
            nint valid = Math.Min(columns - column, width * V.Count);
            T* panel = b + column;
            T* shift = bias == null ? null : bias + column;
            var target = new Target(c + column, cRow, valid, alpha, accumulate);
            nint r = 0;
            for (; r <= rows - 4; r += 4)
            {
                T* from = a + r * aRow;
                if (width == 4)
                    Tile4x4(from, aRow, aStep, panel, bRow, depth, shift, tile, target, r);
                else if (width == 2)
                    Tile4x2(from, aRow, aStep, panel, bRow, depth, shift, tile, target, r);
                else
                    Tile4x1(from, aRow, aStep, panel, bRow, depth, shift, tile, target, r);
            }
            for (; r < rows; r++)
            {
                T* from = a + r * aRow;
                if (width == 4)
                    Tile1x4(from, aStep, panel, bRow, depth, shift, tile, target, r);
                else
                    for (nint v = 0; v < width; v++)
                        Tile1x1(from, aStep, panel + v * V.Count, bRow, depth, shift == null ? null : shift + v * V.Count,
                            tile, target.Part(v), r);
            }
            column += valid;
        }
    }

    public override void Activate(Nonlinearity activation, T* x, T* slope, nint row, nint rows, T* times, T* timeWeight)
    {
        switch (activation)
        {
            case Nonlinearity.Tanh:
                Activate<Tanh<T, V>>(x, slope, row, rows, times, timeWeight);
                break;
            case Nonlinearity.Softplus:
                Activate<Softplus<T, V>>(x, slope, row, rows, times, timeWeight);
                break;
            case Nonlinearity.Relu:
                Activate<Relu<T, V>>(x, slope, row, rows, times, timeWeight);
                break;
            case Nonlinearity.Silu:
                Activate<Silu<T, V>>(x, slope, row, rows, times, timeWeight);
                break;
            case Nonlinearity.Sigmoid:
                Activate<Sigmoid<T, V>>(x, slope, row, rows, times, timeWeight);
                break;
            case Nonlinearity.Gelu:
                Activate<Gelu<T, V>>(x, slope, row, rows, times, timeWeight);
                break;
            case Nonlinearity.Square:
                Activate<Square<T, V>>(x, slope, row, rows, times, timeWeight);
                break;
            case Nonlinearity.Cube:
                Activate<Cube<T, V>>(x, slope, row, rows, times, timeWeight);
                break;
            default:
                Activate<GeluTanh<T, V>>(x, slope, row, rows, times, timeWeight);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void AddScaled(T* target, T* source, T scale, nint count)
    {
        V factor = V.Broadcast(scale);
        for (nint i = 0; i < count; i += V.Count)
            V.MultiplyAdd(factor, V.Load(source + i), V.Load(target + i)).Store(target + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void MultiplyBy(T* target, T* factor, nint count)
    {
        for (nint i = 0; i < count; i += V.Count)
            (V.Load(target + i) * V.Load(factor + i)).Store(target + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void KeepWherePositive(T* target, T* value, nint count)
    {
        V zero = V.Broadcast(T.Zero);
        for (nint i = 0; i < count; i += V.Count)
            V.WherePositive(V.Load(value + i), V.Load(target + i), zero).Store(target + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Product(T* target, T* a, T* b, nint count)
    {
        for (nint i = 0; i < count; i += V.Count)
            (V.Load(a + i) * V.Load(b + i)).Store(target + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void AddProduct(T* target, T* a, T* b, nint count)
    {
        for (nint i = 0; i < count; i += V.Count)
            V.MultiplyAdd(V.Load(a + i), V.Load(b + i), V.Load(target + i)).Store(target + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Curve(Activation activation, T* target, T* value, T* slope, T* factor, nint count)
    {
        V one = V.Broadcast(T.One), minusTwo = V.Broadcast(T.CreateTruncating(-2));
        for (nint i = 0; i < count; i += V.Count)
        {
            V s = V.Load(slope + i);
            V second = activation switch
            {
                Activation.Tanh => minusTwo * V.Load(value + i) * s,
                Activation.Softplus => s * (one - s),
                _ => V.Broadcast(T.Zero),
            };
            V.MultiplyAdd(second, V.Load(factor + i), V.Load(target + i) * s).Store(target + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void SumRows(T* target, T* source, nint row, nint rows, T* weights)
    {
        for (nint i = 0; i < row; i += V.Count)
        {
            V sum = V.Broadcast(T.Zero);
            for (nint r = 0; r < rows; r++)
            {
                V value = V.Load(source + r * row + i);
                sum = weights == null ? sum + value : V.MultiplyAdd(V.Broadcast(weights[r]), value, sum);
            }
            sum.Store(target + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override double Dot(T* a, T* b, nint count)
    {
        V sum = V.Broadcast(T.Zero);
        for (nint i = 0; i < count; i += V.Count)
            sum = V.MultiplyAdd(V.Load(a + i), V.Load(b + i), sum);
        return double.CreateTruncating(V.Sum(sum));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Activate<TActivation>(T* x, T* slope, nint row, nint rows, T* times, T* timeWeight)
        where TActivation : struct, IActivation<V>
    {
        if (times == null)
        {
            nint count = row * rows;
            for (nint i = 0; i < count; i += V.Count)
            {
                V value = TActivation.Apply(V.Load(x + i), out V derivative);
                value.Store(x + i);
                if (slope != null)
                    derivative.Store(slope + i);
            }
            return;
        }
        for (nint r = 0; r < rows; r++)
        {
            V time = V.Broadcast(times[r]);
            for (nint i = 0; i < row; i += V.Count)
            {
                V value = TActivation.Apply(V.MultiplyAdd(time, V.Load(timeWeight + i), V.Load(x + r * row + i)), out V derivative);
                value.Store(x + r * row + i);
                if (slope != null)
                    derivative.Store(slope + r * row + i);
            }
        }
    }

    /// <summary>Where the sums of a tile go.</summary>
    private readonly struct Target(T* start, nint row, nint valid, T alpha, bool accumulate)
    {
        /// <summary>Whether a tile of a width is stored as it is.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public bool IsPlain(nint vectors) => !accumulate && valid == vectors * V.Count;

        public nint Row => row;

        /// <summary>One vector's width of it.</summary>
        public Target Part(nint vector) =>
            new(start + vector * V.Count, row, Math.Min(V.Count, valid - vector * V.Count), alpha, accumulate);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public T* At(nint r) => start + r * row;

        /// <summary>Adds a tile that lies in memory, or stores the part of it that is wanted.</summary>
        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        public void Put(T* tile, nint r, nint rows, nint vectors)
        {
            V factor = V.Broadcast(alpha);
            for (nint i = 0; i < rows; i++)
            {
                T* to = At(r + i);
                T* from = tile + i * vectors * V.Count;
                nint column = 0;
                for (; column <= valid - V.Count; column += V.Count)
                {
                    V sum = V.Load(from + column);
                    (accumulate ? V.MultiplyAdd(factor, sum, V.Load(to + column)) : sum).Store(to + column);
                }
                for (; column < valid; column++)
                    to[column] = accumulate ? to[column] + alpha * from[column] : from[column];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Initial(T* bias, nint vector) => bias == null ? V.Broadcast(T.Zero) : V.Load(bias + vector * V.Count);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x4(T* a, nint aRow, nint aStep, T* b, nint bRow, nint depth, T* bias, T* tile, in Target target, nint r)
    {
        V s00 = Initial(bias, 0), s01 = Initial(bias, 1), s02 = Initial(bias, 2), s03 = Initial(bias, 3);
        V s10 = s00, s11 = s01, s12 = s02, s13 = s03;
        V s20 = s00, s21 = s01, s22 = s02, s23 = s03;
        V s30 = s00, s31 = s01, s32 = s02, s33 = s03;
        for (nint k = 0; k < depth; k++)
        {
            V b0 = V.Load(b), b1 = V.Load(b + V.Count), b2 = V.Load(b + 2 * V.Count), b3 = V.Load(b + 3 * V.Count);
            V a0 = V.Broadcast(a[0]);
            s00 = V.MultiplyAdd(a0, b0, s00);
            s01 = V.MultiplyAdd(a0, b1, s01);
            s02 = V.MultiplyAdd(a0, b2, s02);
            s03 = V.MultiplyAdd(a0, b3, s03);
            V a1 = V.Broadcast(a[aRow]);
            s10 = V.MultiplyAdd(a1, b0, s10);
            s11 = V.MultiplyAdd(a1, b1, s11);
            s12 = V.MultiplyAdd(a1, b2, s12);
            s13 = V.MultiplyAdd(a1, b3, s13);
            V a2 = V.Broadcast(a[2 * aRow]);
            s20 = V.MultiplyAdd(a2, b0, s20);
            s21 = V.MultiplyAdd(a2, b1, s21);
            s22 = V.MultiplyAdd(a2, b2, s22);
            s23 = V.MultiplyAdd(a2, b3, s23);
            V a3 = V.Broadcast(a[3 * aRow]);
            s30 = V.MultiplyAdd(a3, b0, s30);
            s31 = V.MultiplyAdd(a3, b1, s31);
            s32 = V.MultiplyAdd(a3, b2, s32);
            s33 = V.MultiplyAdd(a3, b3, s33);
            a += aStep;
            b += bRow;
        }
        bool isPlain = target.IsPlain(4);
        T* to = isPlain ? target.At(r) : tile;
        nint row = isPlain ? target.Row : 4 * V.Count;
        s00.Store(to);
        s01.Store(to + V.Count);
        s02.Store(to + 2 * V.Count);
        s03.Store(to + 3 * V.Count);
        to += row;
        s10.Store(to);
        s11.Store(to + V.Count);
        s12.Store(to + 2 * V.Count);
        s13.Store(to + 3 * V.Count);
        to += row;
        s20.Store(to);
        s21.Store(to + V.Count);
        s22.Store(to + 2 * V.Count);
        s23.Store(to + 3 * V.Count);
        to += row;
        s30.Store(to);
        s31.Store(to + V.Count);
        s32.Store(to + 2 * V.Count);
        s33.Store(to + 3 * V.Count);
        if (!isPlain)
            target.Put(tile, r, 4, 4);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x2(T* a, nint aRow, nint aStep, T* b, nint bRow, nint depth, T* bias, T* tile, in Target target, nint r)
    {
        V s00 = Initial(bias, 0), s01 = Initial(bias, 1);
        V s10 = s00, s11 = s01, s20 = s00, s21 = s01, s30 = s00, s31 = s01;
        for (nint k = 0; k < depth; k++)
        {
            V b0 = V.Load(b), b1 = V.Load(b + V.Count);
            V a0 = V.Broadcast(a[0]);
            s00 = V.MultiplyAdd(a0, b0, s00);
            s01 = V.MultiplyAdd(a0, b1, s01);
            V a1 = V.Broadcast(a[aRow]);
            s10 = V.MultiplyAdd(a1, b0, s10);
            s11 = V.MultiplyAdd(a1, b1, s11);
            V a2 = V.Broadcast(a[2 * aRow]);
            s20 = V.MultiplyAdd(a2, b0, s20);
            s21 = V.MultiplyAdd(a2, b1, s21);
            V a3 = V.Broadcast(a[3 * aRow]);
            s30 = V.MultiplyAdd(a3, b0, s30);
            s31 = V.MultiplyAdd(a3, b1, s31);
            a += aStep;
            b += bRow;
        }
        bool isPlain = target.IsPlain(2);
        T* to = isPlain ? target.At(r) : tile;
        nint row = isPlain ? target.Row : 2 * V.Count;
        s00.Store(to);
        s01.Store(to + V.Count);
        to += row;
        s10.Store(to);
        s11.Store(to + V.Count);
        to += row;
        s20.Store(to);
        s21.Store(to + V.Count);
        to += row;
        s30.Store(to);
        s31.Store(to + V.Count);
        if (!isPlain)
            target.Put(tile, r, 4, 2);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x1(T* a, nint aRow, nint aStep, T* b, nint bRow, nint depth, T* bias, T* tile, in Target target, nint r)
    {
        V s0 = Initial(bias, 0);
        V s1 = s0, s2 = s0, s3 = s0;
        for (nint k = 0; k < depth; k++)
        {
            V b0 = V.Load(b);
            s0 = V.MultiplyAdd(V.Broadcast(a[0]), b0, s0);
            s1 = V.MultiplyAdd(V.Broadcast(a[aRow]), b0, s1);
            s2 = V.MultiplyAdd(V.Broadcast(a[2 * aRow]), b0, s2);
            s3 = V.MultiplyAdd(V.Broadcast(a[3 * aRow]), b0, s3);
            a += aStep;
            b += bRow;
        }
        bool isPlain = target.IsPlain(1);
        T* to = isPlain ? target.At(r) : tile;
        nint row = isPlain ? target.Row : 1 * V.Count;
        s0.Store(to);
        to += row;
        s1.Store(to);
        to += row;
        s2.Store(to);
        to += row;
        s3.Store(to);
        if (!isPlain)
            target.Put(tile, r, 4, 1);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile1x4(T* a, nint aStep, T* b, nint bRow, nint depth, T* bias, T* tile, in Target target, nint r)
    {
        V s0 = Initial(bias, 0), s1 = Initial(bias, 1), s2 = Initial(bias, 2), s3 = Initial(bias, 3);
        for (nint k = 0; k < depth; k++)
        {
            V a0 = V.Broadcast(a[0]);
            s0 = V.MultiplyAdd(a0, V.Load(b), s0);
            s1 = V.MultiplyAdd(a0, V.Load(b + V.Count), s1);
            s2 = V.MultiplyAdd(a0, V.Load(b + 2 * V.Count), s2);
            s3 = V.MultiplyAdd(a0, V.Load(b + 3 * V.Count), s3);
            a += aStep;
            b += bRow;
        }
        bool isPlain = target.IsPlain(4);
        T* to = isPlain ? target.At(r) : tile;
        nint row = isPlain ? target.Row : 4 * V.Count;
        s0.Store(to);
        s1.Store(to + V.Count);
        s2.Store(to + 2 * V.Count);
        s3.Store(to + 3 * V.Count);
        if (!isPlain)
            target.Put(tile, r, 1, 4);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile1x1(T* a, nint aStep, T* b, nint bRow, nint depth, T* bias, T* tile, in Target target, nint r)
    {
        V sum = Initial(bias, 0);
        for (nint k = 0; k < depth; k++)
        {
            sum = V.MultiplyAdd(V.Broadcast(*a), V.Load(b), sum);
            a += aStep;
            b += bRow;
        }
        bool isPlain = target.IsPlain(1);
        T* to = isPlain ? target.At(r) : tile;
        nint row = isPlain ? target.Row : 1 * V.Count;
        sum.Store(to);
        if (!isPlain)
            target.Put(tile, r, 1, 1);
    }
}
