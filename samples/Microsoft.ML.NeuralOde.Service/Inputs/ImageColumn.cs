using System.Text.Json;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Service.Http;
using Microsoft.ML.NeuralOde.Service.Settings;
using Microsoft.ML.Transforms.Image;
using Microsoft.OpenApi;
using SkiaSharp;

namespace Microsoft.ML.NeuralOde.Service.Inputs;

/// <summary>A column of images: the file's bytes in the body or in a part of a form, or in JSON as base64.</summary>
internal sealed class ImageColumn(string name, ImageDataViewType type, LimitSettings limits) : InputColumn(name, type)
{
    /// <summary>The media types that may be sent.</summary>
    public static readonly string[] MediaTypes = ["image/png", "image/jpeg", "image/gif", "image/bmp", "image/webp"];

    private const string DataUrl = "base64,";

    public override string Wanted => "an image (PNG, JPEG, GIF, BMP or WebP), in JSON as base64";

    public override string Kind => "image";

    // Base64 makes four bytes of three.
    public override long RequestBytes => limits.MaximumImageBytes / 3 * 4 + 64;

    public override long MemoryBytes => limits.MaximumImageBytes + 2 * 4L * limits.MaximumPixels;

    public override object ReadJson(ref Utf8JsonReader reader, string place)
    {
        string text = ScalarFormat.ReadText(ref reader, place, "an image as base64");
        // A data URL says what it is before its base64.
        int start = text.StartsWith("data:", StringComparison.OrdinalIgnoreCase)
            && text.IndexOf(DataUrl, StringComparison.OrdinalIgnoreCase) is >= 0 and var found
            ? found + DataUrl.Length : 0;
        byte[] bytes = new byte[(text.Length - start) / 4 * 3 + 3];
        return Convert.TryFromBase64Chars(text.AsSpan(start), bytes, out int count) ? Read(bytes[..count], place)
            : throw new RequestException($"{place} is no base64; an image file's bytes as base64 would be right.");
    }

    public override object ReadPart(ReadOnlyMemory<byte> content, string place) => Read(content.ToArray(), place);

    /// <summary>Decodes an image once, so that one that is damaged or cut off is found here: ML.NET makes a black one of it.</summary>
    /// <exception cref="RequestException">The bytes are no image, or too large a one.</exception>
    public ImageValue Read(byte[] bytes, string place)
    {
        if (bytes.Length > limits.MaximumImageBytes)
            throw new RequestException(
                StatusCodes.Status413PayloadTooLarge,
                $"{place} has {bytes.Length:N0} bytes; at most {limits.MaximumImageBytes:N0} are allowed (Limits:MaximumImageBytes).");
        using SKData data = SKData.CreateCopy(bytes);
        using SKCodec? codec = SKCodec.Create(data);
        if (codec is null)
            throw new RequestException($"{place} is not an image that can be read; PNG, JPEG, GIF, BMP or WebP would be right.");
        SKImageInfo info = codec.Info;
        if (info.Width <= 0 || info.Height <= 0 || (long)info.Width * info.Height > limits.MaximumPixels)
            throw new RequestException(
                StatusCodes.Status413PayloadTooLarge,
                $"{place} has {info.Width} × {info.Height} pixels; at most {limits.MaximumPixels:N0} are allowed (Limits:MaximumPixels).");
        if (type.Width > 0 && type.Height > 0 && (info.Width != type.Width || info.Height != type.Height))
            throw new RequestException($"{place} has {info.Width} × {info.Height} pixels; the model needs {type.Width} × {type.Height}.");
        using var bitmap = new SKBitmap();
        SKCodecResult result = bitmap.TryAllocPixels(new SKImageInfo(info.Width, info.Height, SKColorType.Bgra8888, SKAlphaType.Premul))
            ? codec.GetPixels(bitmap.Info, bitmap.GetPixels()) : SKCodecResult.InternalError;
        return result switch
        {
            SKCodecResult.Success => new ImageValue(bytes),
            SKCodecResult.IncompleteInput =>
            throw new RequestException($"{place} is an image that is cut off: its file ends before its last pixel."),
            _ => throw new RequestException($"{place} is an image that is damaged ({result})."),
        };
    }

    public override object Probe(int number)
    {
        using var bitmap = new SKBitmap(type.Width > 0 ? type.Width : 28, type.Height > 0 ? type.Height : 28);
        bitmap.Erase(number % 3 == 0 ? SKColors.Black : number % 3 == 1 ? SKColors.Gray : SKColors.White);
        using SKData png = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        return new ImageValue(png.ToArray());
    }

    public override Delegate Getter(Func<object> value) => (ValueGetter<MLImage>)((ref MLImage target) =>
    {
        target?.Dispose();
        target = ((ImageValue)value()).Decode();
    });

    public override OpenApiSchema Describe() =>
        new() { Type = JsonSchemaType.String, Format = "byte", Description = $"{Wanted}; at most {limits.MaximumImageBytes:N0} bytes." };
}

/// <summary>An image file that was found readable, and the images that were decoded of it.</summary>
internal sealed class ImageValue(byte[] bytes) : IDisposable
{
    private readonly List<MLImage> _decoded = [];

    /// <summary>Another image at each call, as ML.NET's loader of files gives: whoever gets it may dispose of it.</summary>
    public MLImage Decode()
    {
        using var stream = new MemoryStream(bytes, writable: false);
        var image = MLImage.CreateFromStream(stream);
        _decoded.Add(image);
        return image;
    }

    /// <summary>Frees what readers still hold.</summary>
    public void Dispose()
    {
        foreach (MLImage image in _decoded)
            image.Dispose();
        _decoded.Clear();
    }
}
