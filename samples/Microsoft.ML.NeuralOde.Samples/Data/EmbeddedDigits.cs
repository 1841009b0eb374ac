using SkiaSharp;

namespace Microsoft.ML.NeuralOde.Samples.Data;

/// <summary>
/// The 5,000 real digits that the program carries with it (Assets/digits.png): 100 columns and 50 rows of 20×20 pixels, five rows a
/// digit, zeros first.
/// </summary>
internal static class EmbeddedDigits
{
    private const int Columns = 100;
    private const int Rows = 50;
    private const int RowsPerDigit = 5;
    private const int CellSize = 20;
    private const int Padding = (MnistDataset.ImageSize - CellSize) / 2;
    private const int PixelsPerImage = MnistDataset.ImageSize * MnistDataset.ImageSize;

    /// <summary>4,000 digits for training and 1,000 for testing, equally many of each class, padded to 28×28 pixels.</summary>
    public static DigitData Load()
    {
        MnistImages all = ReadSheet();
        (int[] train, int[] test) = StratifiedSplit.Split(all.Labels.Span, every: 5);
        return new DigitData("embedded", "embedded digits", Select(all, train), Select(all, test));
    }

    internal static MnistImages ReadSheet()
    {
        using Stream png = typeof(EmbeddedDigits).Assembly.GetManifestResourceStream("digits.png")!;
        using var sheet = SKBitmap.Decode(png, new SKImageInfo(Columns * CellSize, Rows * CellSize, SKColorType.Gray8));
        ReadOnlySpan<byte> source = sheet.GetPixelSpan();
        byte[] pixels = new byte[Rows * Columns * PixelsPerImage];
        byte[] labels = new byte[Rows * Columns];
        for (int i = 0; i < labels.Length; i++)
        {
            (int row, int column) = Math.DivRem(i, Columns);
            labels[i] = (byte)(row / RowsPerDigit);
            Span<byte> image = pixels.AsSpan(i * PixelsPerImage, PixelsPerImage);
            for (int y = 0; y < CellSize; y++)
                source.Slice((row * CellSize + y) * sheet.RowBytes + column * CellSize, CellSize)
                    .CopyTo(image[((y + Padding) * MnistDataset.ImageSize + Padding)..]);
        }
        return new MnistImages(pixels, labels);
    }

    private static MnistImages Select(MnistImages all, int[] indices)
    {
        byte[] pixels = new byte[indices.Length * PixelsPerImage];
        byte[] labels = new byte[indices.Length];
        for (int i = 0; i < indices.Length; i++)
        {
            all.GetPixels(indices[i]).CopyTo(pixels.AsSpan(i * PixelsPerImage));
            labels[i] = all.Labels.Span[indices[i]];
        }
        return new MnistImages(pixels, labels);
    }
}
