using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>
/// The transforms of minimal filtering in two dimensions. Images are channels-last, with padded channels and whole tiles of m × m
/// positions; the transforms of a tile are (m + 2)² vectors of channels, one a point, at a distance of <c>pointStep</c>, and the tiles
/// follow one another.
/// </summary>
internal abstract unsafe class FilterKernels<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private static readonly FilterKernels<T>[] All =
        Vector512.IsHardwareAccelerated
        ? Create<Lanes512<T>>() : Vector256.IsHardwareAccelerated ? Create<Lanes256<T>>() : Create<Lanes128<T>>();

    protected FilterKernels(int outputs) => Outputs = outputs;

    /// <summary>m: how many outputs a tile has in each direction.</summary>
    public int Outputs { get; }

    /// <summary>m + 2: how many inputs a tile has in each direction.</summary>
    public int Inputs => Outputs + 2;

    /// <summary>(m + 2)²: how many products there are.</summary>
    public int Points => Inputs * Inputs;

    /// <summary>The kernels with the fewest multiplications for an image.</summary>
    public static FilterKernels<T> For(int height, int width) =>
        All.MinBy(kernels => kernels.Tiles(height) * kernels.Tiles(width) * kernels.Points)!;

    /// <summary>How many tiles cover a length.</summary>
    public int Tiles(int length) => (length + Outputs - 1) / Outputs;

    /// <summary>Bᵀ d B of all tiles of an image with a border of one position around it.</summary>
    public abstract void TransformInput(T* image, nint row, nint channels, int tilesY, int tilesX, T* to, nint pointStep);

    /// <summary>Aᵀ M A of all tiles, written as an image without border.</summary>
    public abstract void TransformOutput(T* from, nint pointStep, int tilesY, int tilesX, T* image, nint row, nint channels);

    /// <summary>A y Aᵀ of all tiles of an image without border.</summary>
    public abstract void TransformCotangent(T* image, nint row, nint channels, int tilesY, int tilesX, T* to, nint pointStep);

    /// <summary>G g Gᵀ of vectors of filters: nine taps, a vector each, become (m + 2)² points.</summary>
    public abstract void TransformTaps(T* taps, nint tapStep, nint channels, T* to, nint pointStep);

    /// <summary>Gᵀ U G of vectors of points, summed over parts that lie at a distance of <paramref name="partStep"/>.</summary>
    public abstract void TransformTapCotangent(T* from, nint pointStep, int parts, nint partStep, T* taps, nint tapStep, nint channels);

    private static FilterKernels<T>[] Create<V>()
        where V : struct, ILanes<V, T> =>
        [new FilterKernels<T, V, MinimalFilter2<T, V>>(), new FilterKernels<T, V, MinimalFilter3<T, V>>(),
            new FilterKernels<T, V, MinimalFilter4<T, V>>()];
}

/// <inheritdoc/>
internal sealed unsafe class FilterKernels<T, V, TFilter> : FilterKernels<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
    where V : struct, ILanes<V, T>
    where TFilter : struct, IMinimalFilter<T>
{
    private const int CacheLine = 64;
    private const int Taps = 3;

    private readonly Scratch<T> _g;
    private readonly T* _rows;

    public FilterKernels()
        : base(TFilter.Outputs)
    {
        // G: powers of the points, each row divided by the product of the point's distances from the others; the last row is that of
        // infinity.
        ReadOnlySpan<double> points = TFilter.Points;
        _g = new Scratch<T>(Taps * Inputs);
        _rows = _g.Start;
        for (int i = 0; i < points.Length; i++)
        {
            double distances = 1;
            for (int j = 0; j < points.Length; j++)
                if (j != i)
                    distances *= points[i] - points[j];
            for (int k = 0; k < Taps; k++)
                _rows[Taps * i + k] = T.CreateTruncating(Math.Pow(points[i], k) / distances);
        }
        _rows[Taps * Inputs - 1] = T.One;
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void TransformInput(T* image, nint row, nint channels, int tilesY, int tilesX, T* to, nint pointStep)
    {
        int n = TFilter.Outputs + 2;
        byte* memory = stackalloc byte[n * n * V.Count * sizeof(T) + CacheLine];
        T* between = Align(memory);
        for (nint y = 0; y < tilesY; y++)
            for (nint x = 0; x < tilesX; x++)
            {
                T* tile = image + TFilter.Outputs * (y * row + x * channels);
                for (nint c = 0; c < channels; c += V.Count)
                {
                    for (nint j = 0; j < n; j++)
                        TFilter.Input(tile + c + j * channels, row, between + j * V.Count, n * V.Count);
                    for (nint i = 0; i < n; i++)
                        TFilter.Input(between + i * n * V.Count, V.Count, to + c + i * n * pointStep, pointStep);
                }
                to += channels;
            }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void TransformOutput(T* from, nint pointStep, int tilesY, int tilesX, T* image, nint row, nint channels)
    {
        int m = TFilter.Outputs, n = m + 2;
        byte* memory = stackalloc byte[m * n * V.Count * sizeof(T) + CacheLine];
        T* between = Align(memory);
        for (nint y = 0; y < tilesY; y++)
            for (nint x = 0; x < tilesX; x++)
            {
                T* tile = image + m * (y * row + x * channels);
                for (nint c = 0; c < channels; c += V.Count)
                {
                    for (nint j = 0; j < n; j++)
                        TFilter.Output(from + c + j * pointStep, n * pointStep, between + j * V.Count, n * V.Count);
                    for (nint i = 0; i < m; i++)
                        TFilter.Output(between + i * n * V.Count, V.Count, tile + c + i * row, channels);
                }
                from += channels;
            }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void TransformCotangent(T* image, nint row, nint channels, int tilesY, int tilesX, T* to, nint pointStep)
    {
        int m = TFilter.Outputs, n = m + 2;
        byte* memory = stackalloc byte[n * m * V.Count * sizeof(T) + CacheLine];
        T* between = Align(memory);
        for (nint y = 0; y < tilesY; y++)
            for (nint x = 0; x < tilesX; x++)
            {
                T* tile = image + m * (y * row + x * channels);
                for (nint c = 0; c < channels; c += V.Count)
                {
                    for (nint j = 0; j < m; j++)
                        TFilter.Cotangent(tile + c + j * channels, row, between + j * V.Count, m * V.Count);
                    for (nint i = 0; i < n; i++)
                        TFilter.Cotangent(between + i * m * V.Count, V.Count, to + c + i * n * pointStep, pointStep);
                }
                to += channels;
            }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void TransformTaps(T* taps, nint tapStep, nint channels, T* to, nint pointStep)
    {
        int n = Inputs;
        byte* memory = stackalloc byte[n * Taps * V.Count * sizeof(T) + CacheLine];
        T* between = Align(memory);
        for (nint c = 0; c < channels; c += V.Count)
        {
            for (int i = 0; i < n; i++)
                for (int k = 0; k < Taps; k++)
                    Mix(_rows + Taps * i, 1, taps + c + k * tapStep, Taps * tapStep, Taps).Store(between + (i * Taps + k) * V.Count);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++)
                    Mix(_rows + Taps * j, 1, between + i * Taps * V.Count, V.Count, Taps).Store(to + c + (i * n + j) * pointStep);
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void TransformTapCotangent(T* from, nint pointStep, int parts, nint partStep, T* taps, nint tapStep, nint channels)
    {
        int n = Inputs;
        byte* memory = stackalloc byte[(n * n + n * Taps) * V.Count * sizeof(T) + CacheLine];
        T* sums = Align(memory);
        T* between = sums + n * n * V.Count;
        for (nint c = 0; c < channels; c += V.Count)
        {
            for (int p = 0; p < n * n; p++)
            {
                V sum = V.Load(from + c + p * pointStep);
                for (int part = 1; part < parts; part++)
                    sum += V.Load(from + c + p * pointStep + part * partStep);
                sum.Store(sums + p * V.Count);
            }
            for (int k = 0; k < Taps; k++)
                for (int j = 0; j < n; j++)
                    Mix(_rows + k, Taps, sums + j * V.Count, n * V.Count, n).Store(between + (k * n + j) * V.Count);
            for (int k = 0; k < Taps; k++)
                for (int l = 0; l < Taps; l++)
                    Mix(_rows + l, Taps, between + k * n * V.Count, V.Count, n).Store(taps + c + (k * Taps + l) * tapStep);
        }
    }

    /// <summary>Σ of vectors times coefficients.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Mix(T* coefficients, nint coefficientStep, T* from, nint step, int count)
    {
        V sum = V.Broadcast(T.Zero);
        for (int i = 0; i < count; i++)
            sum = V.MultiplyAdd(V.Broadcast(coefficients[i * coefficientStep]), V.Load(from + i * step), sum);
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T* Align(byte* memory) => (T*)(((nuint)memory + CacheLine - 1) & ~(nuint)(CacheLine - 1));
}
