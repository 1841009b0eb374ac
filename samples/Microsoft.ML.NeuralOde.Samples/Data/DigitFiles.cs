using System.Globalization;
using SkiaSharp;

namespace Microsoft.ML.NeuralOde.Samples.Data;

/// <summary>A row of the sample's data: an image file and what it shows.</summary>
internal sealed class DigitRow
{
    public string ImagePath { get; set; } = "";

    /// <summary>"0" to "9"; empty where it is not known.</summary>
    public string Label { get; set; } = "";
}

/// <summary>Digits as PNG files, as a user would have them. They are written once and found again in the next run.</summary>
internal sealed class DigitFiles
{
    private DigitFiles(string folder, DigitRow[] train, DigitRow[] test, int written)
    {
        Folder = folder;
        Train = train;
        Test = test;
        Written = written;
    }

    public string Folder { get; }

    public IReadOnlyList<DigitRow> Train { get; }

    public IReadOnlyList<DigitRow> Test { get; }

    /// <summary>How many files had to be written; the others were there.</summary>
    public int Written { get; }

    /// <summary>
    /// Files lie in <c>{workFolder}/images/{name}-{fingerprint}/{train|test}/{digit}/{number}.png</c>: other data never meet them, and
    /// since each appears complete under its name or not at all, a file that exists need not be written again.
    /// </summary>
    /// <param name="data">The digits; the fingerprint is taken of all of them.</param>
    /// <param name="limit">How many images of each part are needed at most.</param>
    /// <param name="workFolder">Where the folder <c>images</c> is.</param>
    /// <param name="progress">Told the share that is done, 0 to 1.</param>
    /// <param name="cancellationToken">Stops the work; what was written stays and is used by the next run.</param>
    public static DigitFiles Prepare(
        DigitData data, int? limit, string workFolder, Action<double> progress, CancellationToken cancellationToken)
    {
        string folder = Path.GetFullPath(Path.Combine(workFolder, "images", $"{data.Name}-{data.Fingerprint()}"));
        DigitData needed = data.Limit(limit);
        int total = needed.Train.Count + needed.Test.Count;
        int done = 0;
        int written = 0;

        DigitRow[] train = Write(needed.Train, Path.Combine(folder, "train"));
        DigitRow[] test = Write(needed.Test, Path.Combine(folder, "test"));
        return new DigitFiles(folder, train, test, written);

        DigitRow[] Write(MnistImages images, string part)
        {
            for (int digit = 0; digit < MnistDataset.ClassCount; digit++)
                Directory.CreateDirectory(Path.Combine(part, Text(digit)));

            var rows = new DigitRow[images.Count];
            Parallel.For(0, images.Count, new ParallelOptions { CancellationToken = cancellationToken }, i =>
            {
                string label = Text(images.Labels.Span[i]);
                string path = Path.Combine(part, label, i.ToString("D5", CultureInfo.InvariantCulture) + ".png");
                if (!File.Exists(path))
                {
                    WritePng(path, images.GetPixels(i));
                    Interlocked.Increment(ref written);
                }
                rows[i] = new DigitRow { ImagePath = path, Label = label };
                int now = Interlocked.Increment(ref done);
                if (now % 500 == 0 || now == total)
                    progress((double)now / total);
            });
            return rows;
        }
    }

    /// <summary>A digit as the content of a PNG file.</summary>
    public static byte[] ToPng(ReadOnlySpan<byte> pixels)
    {
        var format = new SKImageInfo(MnistDataset.ImageSize, MnistDataset.ImageSize, SKColorType.Gray8, SKAlphaType.Opaque);
        using var image = SKImage.FromPixelCopy(format, pixels);
        using SKData png = image.Encode(SKEncodedImageFormat.Png, 100);
        return png.ToArray();
    }

    private static void WritePng(string path, ReadOnlySpan<byte> pixels)
    {
        string temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            File.WriteAllBytes(temporary, ToPng(pixels));
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    private static string Text(int digit) => digit.ToString(CultureInfo.InvariantCulture);
}
