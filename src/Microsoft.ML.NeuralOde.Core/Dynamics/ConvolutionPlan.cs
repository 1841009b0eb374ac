using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>The sizes in which <see cref="ConvolutionalEvaluator{T}"/> works: they depend on the shape of an image alone.</summary>
internal sealed class ConvolutionPlan<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>
    /// Tiles that go through the products together: enough rows for a product, and few enough that all points stay in the cache.
    /// </summary>
    private const int BlockTiles = 64;

    /// <summary>Blocks of a chunk; a larger batch makes larger chunks.</summary>
    private const int ChunkBlocks = 2, MostChunks = 16;

    /// <summary>The same of the gradients of the weights, which are large.</summary>
    private const int WeightChunkBlocks = 4, MostWeightChunks = 8, MostWeightNumbers = 8_000_000;

    public ConvolutionPlan(int channels, int groups, int height, int width)
    {
        Channels = channels;
        Groups = groups;
        Height = height;
        Width = width;
        Padded = DenseKernels<T>.Instance.Pad(channels);
        Filters = FilterKernels<T>.For(height, width);
        TilesY = Filters.Tiles(height);
        TilesX = Filters.Tiles(width);
        BlockImages = Math.Max(1, BlockTiles / Tiles);
        ImageCount = height * width * Padded;
        ImageRow = width * Padded;
        TiledRow = TilesX * Filters.Outputs * Padded;
        TiledCount = TilesY * Filters.Outputs * TiledRow;
        BorderedRow = TiledRow + 2 * Padded;
        BorderedCount = (TilesY * Filters.Outputs + 2) * BorderedRow;
        // Not a power of two: all points of a tile would meet in the same few places of the cache.
        PointStep = (BlockImages * Tiles + 1) * Padded;
    }

    public int Channels { get; }

    public int Groups { get; }

    public int Height { get; }

    public int Width { get; }

    /// <summary>Channels padded to whole registers.</summary>
    public int Padded { get; }

    public FilterKernels<T> Filters { get; }

    public int TilesY { get; }

    public int TilesX { get; }

    /// <summary>Tiles of an image.</summary>
    public int Tiles => TilesY * TilesX;

    /// <summary>Images of a block.</summary>
    public int BlockImages { get; }

    /// <summary>Numbers of an image without gaps.</summary>
    public int ImageCount { get; }

    public int ImageRow { get; }

    /// <summary>Numbers of an image of whole tiles.</summary>
    public int TiledCount { get; }

    public int TiledRow { get; }

    /// <summary>Numbers of an image of whole tiles with a border of one position.</summary>
    public int BorderedCount { get; }

    public int BorderedRow { get; }

    /// <summary>From one point of a tile's transform to the next.</summary>
    public int PointStep { get; }

    /// <summary>Numbers of the weights in transformed form.</summary>
    public int WeightCount => Filters.Points * Channels * Padded;

    /// <summary>Multiply–adds of one convolution.</summary>
    public double MultiplyAdds(int rows) => (double)rows * Tiles * WeightCount;

    public int Blocks(int rows) => (rows + BlockImages - 1) / BlockImages;

    /// <summary>Chunks: runs of blocks whose gradients of vectors and images are summed together.</summary>
    public int Chunks(int rows) => Math.Min(MostChunks, (Blocks(rows) + ChunkBlocks - 1) / ChunkBlocks);

    /// <summary>Runs of blocks whose gradients of weights are summed together.</summary>
    public int WeightChunks(int rows)
    {
        int most = Math.Clamp(MostWeightNumbers / WeightCount, 1, MostWeightChunks);
        return Math.Min(most, (Blocks(rows) + WeightChunkBlocks - 1) / WeightChunkBlocks);
    }

    /// <summary>The blocks of one of a number of chunks.</summary>
    public (int First, int End) Chunk(int chunk, int chunks, int rows)
    {
        int blocks = Blocks(rows);
        return (blocks * chunk / chunks, blocks * (chunk + 1) / chunks);
    }

    /// <summary>The images of a block.</summary>
    public (int First, int Count) Block(int block, int rows) => (block * BlockImages, Math.Min(BlockImages, rows - block * BlockImages));
}
