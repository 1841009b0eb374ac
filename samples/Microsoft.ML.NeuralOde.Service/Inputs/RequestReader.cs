using System.Buffers;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.ML.NeuralOde.Service.Http;
using Microsoft.ML.NeuralOde.Service.Models;
using Microsoft.Net.Http.Headers;

namespace Microsoft.ML.NeuralOde.Service.Inputs;

/// <summary>Reads the rows of a request: JSON, a form, or an image by itself.</summary>
internal static class RequestReader
{
    private const string Json = "application/json";
    private const string Form = "multipart/form-data";
    private const int FirstBytes = 1 << 14;

    /// <param name="context">The request.</param>
    /// <param name="fields">The model's fields.</param>
    /// <param name="limits">What the request may have.</param>
    /// <param name="isBatch">Whether it has several rows.</param>
    /// <returns>Its rows, at least one.</returns>
    /// <exception cref="RequestException">The request is not what the model reads.</exception>
    public static async Task<RequestRows> ReadAsync(HttpContext context, InputFields fields, ModelLimits limits, bool isBatch)
    {
        MediaTypeHeaderValue type = ContentType(context.Request);
        string media = type.MediaType.Value!.ToLowerInvariant();
        bool isImage = fields.Inputs is [ImageColumn] && !isBatch && ImageColumn.MediaTypes.Contains(media);
        if (media is not (Json or Form) && !isImage)
            throw new RequestException(
                StatusCodes.Status415UnsupportedMediaType, $"The content type is '{media}'; {Accepted(fields, isBatch)} would be right.");
        if (media == Json && type.Charset.HasValue && HeaderUtilities.RemoveQuotes(type.Charset).Value is { } charset && !IsUtf8(charset))
            throw new RequestException(StatusCodes.Status415UnsupportedMediaType, $"The charset is '{charset}'; JSON is read as UTF-8.");
        if (context.Request.Headers.ContentEncoding is { Count: > 0 } encoding
            && !string.Equals(encoding, "identity", StringComparison.OrdinalIgnoreCase))
            throw new RequestException(StatusCodes.Status415UnsupportedMediaType,
                $"The content encoding is '{encoding}'; a body that is not compressed would be right.");

        using BodyBuffer body = await BodyAsync(context, isBatch ? limits.BatchBytes : limits.RowBytes, limits.BodyTime);
        var rows = new RequestRows();
        try
        {
            if (isImage)
                rows.Add([((ImageColumn)fields.Inputs[0]).Read(body.Content.ToArray(), "The body")]);
            else if (media == Form)
                await FormRequest.ReadAsync(body.Content, type, fields, rows, isBatch ? limits.Rows : 1);
            else if (isBatch)
                JsonRequest.ReadMany(body.Content, fields, rows, limits.Rows, context.RequestAborted);
            else
                JsonRequest.ReadOne(body.Content, fields, rows);
            return rows;
        }
        catch
        {
            rows.Dispose();
            throw;
        }
    }

    /// <summary>The content types that a request may have, in words.</summary>
    public static string Accepted(InputFields fields, bool isBatch) =>
        fields.Inputs is [ImageColumn] && !isBatch ? $"{string.Join(", ", ImageColumn.MediaTypes)}, {Form} or {Json}" : $"{Json} or {Form}";

    private static MediaTypeHeaderValue ContentType(HttpRequest request) =>
        MediaTypeHeaderValue.TryParse(request.ContentType, out MediaTypeHeaderValue? type) ? type
        : throw new RequestException(
            StatusCodes.Status415UnsupportedMediaType,
            string.IsNullOrEmpty(request.ContentType) ? $"The content type is missing; {Json} would be right for JSON."
                : $"The content type '{request.ContentType}' cannot be read; {Json} would be right for JSON.");

    private static bool IsUtf8(string charset) =>
        string.Equals(charset, "utf-8", StringComparison.OrdinalIgnoreCase)
        || string.Equals(charset, "utf8", StringComparison.OrdinalIgnoreCase)
        || string.Equals(charset, "us-ascii", StringComparison.OrdinalIgnoreCase);

    private static async Task<BodyBuffer> BodyAsync(HttpContext context, long maximum, TimeSpan time)
    {
        if (context.Request.ContentLength > maximum)
            throw TooLarge(maximum, $"has {context.Request.ContentLength:N0} bytes");
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } feature)
            feature.MaxRequestBodySize = maximum;
        using var late = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        late.CancelAfter(time);
        var body = new BodyBuffer((int)Math.Min(context.Request.ContentLength + 1 ?? FirstBytes, maximum + 1));
        try
        {
            while (await context.Request.Body.ReadAsync(body.Free(), late.Token) is > 0 and var count)
            {
                body.Keep(count);
                if (body.Content.Length > maximum)
                    throw TooLarge(maximum, "has more");
            }
            return body;
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            body.Dispose();
            if (HttpProtocol.IsHttp11(context.Request.Protocol))
                context.Response.Headers.Connection = "close";
            throw new RequestException(
                StatusCodes.Status408RequestTimeout, $"The body did not come within {time.TotalSeconds} seconds (Limits:BodyTime).");
        }
        catch
        {
            body.Dispose();
            throw;
        }
    }

    private static RequestException TooLarge(long maximum, string found) =>
        new(StatusCodes.Status413PayloadTooLarge, $"The body {found}; at most {maximum:N0} bytes are allowed for this model.");

    /// <summary>Bytes in rented memory that grows.</summary>
    private sealed class BodyBuffer(int length) : IDisposable
    {
        private byte[] _bytes = ArrayPool<byte>.Shared.Rent(length);
        private int _count;

        public ReadOnlyMemory<byte> Content => _bytes.AsMemory(0, _count);

        public Memory<byte> Free()
        {
            if (_count == _bytes.Length)
            {
                byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(2L * _count, Array.MaxLength));
                _bytes.AsSpan(0, _count).CopyTo(larger);
                ArrayPool<byte>.Shared.Return(_bytes);
                _bytes = larger;
            }
            return _bytes.AsMemory(_count);
        }

        public void Keep(int count) => _count += count;

        public void Dispose()
        {
            ArrayPool<byte>.Shared.Return(_bytes);
            _bytes = [];
        }
    }
}
