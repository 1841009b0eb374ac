using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Images of 28×28 pixels with their labels, in memory: white digits on black, one byte a pixel.
/// </summary>
public sealed class MnistImages
{
    private const int PixelsPerImage = MnistDataset.ImageSize * MnistDataset.ImageSize;

    private readonly ReadOnlyMemory<byte> _pixels;

    /// <summary>Takes images in MNIST's format from any source, for digits of one's own; the memory is not copied.</summary>
    /// <param name="pixels">The images one after the other, each row by row: 784 bytes an image, 0 is black and 255 is white.</param>
    /// <param name="labels">The class of every image, 0 to 9.</param>
    /// <exception cref="ArgumentException">The lengths do not belong together, or a label is above 9.</exception>
    public MnistImages(ReadOnlyMemory<byte> pixels, ReadOnlyMemory<byte> labels)
    {
        if (pixels.Length != (long)labels.Length * PixelsPerImage)
            throw new ArgumentException($"{labels.Length} labels need {(long)labels.Length * PixelsPerImage} pixels " +
                $"({PixelsPerImage} an image); there are {pixels.Length}.", nameof(pixels));
        int wrong = labels.Span.IndexOfAnyExceptInRange((byte)0, (byte)(MnistDataset.ClassCount - 1));
        if (wrong >= 0)
            throw new ArgumentException($"Label {labels.Span[wrong]} at position {wrong} is not a digit from 0 to " +
                $"{MnistDataset.ClassCount - 1}.", nameof(labels));
        _pixels = pixels;
        Labels = labels;
    }

    /// <summary>The number of images.</summary>
    public int Count => Labels.Length;

    /// <summary>The class of every image, 0 to 9.</summary>
    public ReadOnlyMemory<byte> Labels { get; }

    /// <summary>The pixels of an image, row by row: 784 bytes, 0 is black and 255 is white.</summary>
    /// <param name="index">The image, counted from 0.</param>
    /// <returns>A view of the pixels, not a copy.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such image.</exception>
    public ReadOnlySpan<byte> GetPixels(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        return _pixels.Span.Slice(index * PixelsPerImage, PixelsPerImage);
    }

    /// <summary>The first images, as a view without a copy.</summary>
    /// <param name="count">How many at most; more than <see cref="Count"/> gives all.</param>
    /// <returns>The first <paramref name="count"/> images.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is negative.</exception>
    public MnistImages Take(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        count = Math.Min(count, Count);
        return new MnistImages(_pixels[..(count * PixelsPerImage)], Labels[..count]);
    }

    /// <summary>The images as rows for a trainer, without a detour through image files.</summary>
    /// <param name="mlContext">The context the rows belong to.</param>
    /// <returns>A view with the columns <c>Features</c>, <c>Vector&lt;Single&gt;</c> of dimensions <c>[28, 28]</c> with pixels scaled
    /// to 0 … 1, and <c>Label</c>, a key of ten values whose key values are the digits <c>"0"</c> to <c>"9"</c>.</returns>
    /// <remarks>Rows are converted while they are read; the view itself takes no memory for them.</remarks>
    public IDataView ToDataView(MLContext mlContext)
    {
        ArgumentNullException.ThrowIfNull(mlContext);
        SchemaDefinition schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType =
            new VectorDataViewType(NumberDataViewType.Single, MnistDataset.ImageSize, MnistDataset.ImageSize);

        var names = new VBuffer<ReadOnlyMemory<char>>(
            MnistDataset.ClassCount, [.. Enumerable.Range(0, MnistDataset.ClassCount).Select(digit => $"{digit}".AsMemory())]);
        schema[nameof(Row.Label)].AddAnnotation(
            "KeyValues", names, new VectorDataViewType(TextDataViewType.Instance, MnistDataset.ClassCount));
        return mlContext.Data.LoadFromEnumerable(Rows(), schema);
    }

    private IEnumerable<Row> Rows()
    {
        // ML.NET copies what it needs of a row before it asks for the next, so that one row per enumeration is enough.
        var row = new Row();
        for (int i = 0; i < Count; i++)
        {
            ReadOnlySpan<byte> pixels = GetPixels(i);
            for (int p = 0; p < pixels.Length; p++)
                row.Features[p] = pixels[p] / 255f;
            row.Label = Labels.Span[i]; // Counted from 0 here; in the view 0 stands for "missing" and keys count from 1.
            yield return row;
        }
    }

    private sealed class Row
    {
        [VectorType(PixelsPerImage)]
        public float[] Features = new float[PixelsPerImage];

        [KeyType(MnistDataset.ClassCount)]
        public uint Label;
    }
}
