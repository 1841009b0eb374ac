using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Samples.Digits;

/// <summary>An image file as a user gives it: whether it can be read, and whether it looks like what the model has learned from.</summary>
internal static class DigitImage
{
    private static readonly string[] Extensions = [".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"];

    // Of 255: a digit on black has a dark border, and strokes that are bright somewhere.
    private const int LightBorder = 96, LightImage = 144, FaintInk = 64;

    /// <summary>
    /// The files that the arguments name; of a folder all its image files, those in folders below it too, by their names.
    /// </summary>
    /// <exception cref="UserException">A folder holds no image file.</exception>
    public static IEnumerable<string> Find(IEnumerable<string> paths) => paths.SelectMany(path =>
    {
        if (!Directory.Exists(path))
            return [path];
        string[] files = [.. Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories)
            .Where(file => Extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase))
            .Order(StringComparer.Ordinal)];
        return files.Length > 0
            ? files
            : throw new UserException($"The folder '{path}' holds no image file ({string.Join(", ", Extensions)}).");
    });

    /// <summary>Reads an image: ML.NET takes one that cannot be read for a black one without a word.</summary>
    /// <param name="path">The file.</param>
    /// <returns>What makes it unlike a white digit on black; null where it looks like one.</returns>
    /// <exception cref="UserException">It is not there or cannot be read.</exception>
    public static string? Check(string path)
    {
        if (!File.Exists(path))
            throw new UserException($"There is no image '{path}'.");
        try
        {
            using var image = MLImage.CreateFromFile(path);
            if (image is { Width: > 0, Height: > 0 })
                return Doubt(image);
        }
        catch (Exception e) when (e is ArgumentException
            or InvalidOperationException or NullReferenceException or IOException or UnauthorizedAccessException)
        {
            if (e is IOException or UnauthorizedAccessException)
                throw new UserException($"'{path}' cannot be opened: {e.Message}", e);
            // Falls through to the message below: the image library says nothing useful.
        }
        throw new UserException($"'{path}' is not an image that can be read; PNG, JPEG, BMP, GIF or WebP would be right.");
    }

    private static string? Doubt(MLImage image)
    {
        ReadOnlySpan<byte> pixels = image.Pixels;
        int red = image.PixelFormat == MLPixelFormat.Rgba32 ? 0 : 2, bytes = image.BitsPerPixel / 8;
        int stride = pixels.Length / image.Height;
        long sum = 0, border = 0, borderPixels = 0;
        int darkest = 255, brightest = 0;
        for (int y = 0; y < image.Height; y++)
            for (int x = 0; x < image.Width; x++)
            {
                int value = pixels[y * stride + x * bytes + red]; // The channel that the pipeline takes.
                sum += value;
                (darkest, brightest) = (Math.Min(darkest, value), Math.Max(brightest, value));
                if (x > 0 && y > 0 && x < image.Width - 1 && y < image.Height - 1)
                    continue;
                border += value;
                borderPixels++;
            }
        if (brightest - darkest < FaintInk)
            return "nothing is drawn on it";
        bool isLight = border > LightBorder * borderPixels || sum > LightImage * (long)image.Width * image.Height;
        return isLight ? "its background is light, and the model has learned white digits on black" : null;
    }
}
