using System.Runtime.InteropServices;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.ML.NeuralOde.Service.Http;
using Microsoft.Net.Http.Headers;

namespace Microsoft.ML.NeuralOde.Service.Inputs;

/// <summary>
/// Reads rows from multipart/form-data: a part a field, its content the image's file, the text, or JSON. For several rows each field is
/// given as many times as there are rows, in their order.
/// </summary>
internal static class FormRequest
{
    private const int MostBoundary = 128;

    /// <param name="body">The whole body.</param>
    /// <param name="contentType">Its media type with the boundary.</param>
    /// <param name="fields">The model's fields.</param>
    /// <param name="rows">Where the rows go.</param>
    /// <param name="maximum">Most rows.</param>
    /// <exception cref="RequestException">The body is no such form.</exception>
    public static async Task ReadAsync(
        ReadOnlyMemory<byte> body, MediaTypeHeaderValue contentType, InputFields fields, RequestRows rows, int maximum)
    {
        string? boundary = HeaderUtilities.RemoveQuotes(contentType.Boundary).Value;
        if (string.IsNullOrEmpty(boundary) || boundary.Length > MostBoundary)
            throw new RequestException($"The content type's boundary is missing or longer than {MostBoundary} characters.");
        using MemoryStream stream = MemoryMarshal.TryGetArray(body, out ArraySegment<byte> bytes)
            ? new MemoryStream(bytes.Array!, bytes.Offset, bytes.Count, writable: false)
            : new MemoryStream(body.ToArray(), writable: false);
        var reader = new MultipartReader(boundary, stream);
        int[] counts = new int[fields.Inputs.Count];
        var values = new List<object?[]>();
        try
        {
            while (await reader.ReadNextSectionAsync() is { } section)
                await ReadPartAsync(section, fields, values, counts, maximum);
            if (values.Count == 0)
                throw new RequestException("The form has no parts.");
            for (int row = 0; row < values.Count; row++)
                fields.CheckComplete(values[row], values.Count == 1 ? "" : $"Row {row}: ");
            rows.AddRange(values!);
            values.Clear();
        }
        catch (Exception exception) when (exception is InvalidDataException or IOException)
        {
            throw new RequestException($"The body is no form: {exception.Message}", exception);
        }
        finally
        {
            foreach (object?[] row in values)
                Array.ForEach(row, value => (value as IDisposable)?.Dispose());
        }
    }

    private static async Task ReadPartAsync(MultipartSection section, InputFields fields, List<object?[]> values, int[] counts, int maximum)
    {
        if (!ContentDispositionHeaderValue.TryParse(section.ContentDisposition, out ContentDispositionHeaderValue? disposition)
            || disposition.Name.Length == 0)
            throw new RequestException("A part of the form has no name.");
        string name = HeaderUtilities.RemoveQuotes(disposition.Name).Value!;
        int place = fields.Find(name, "");
        int row = counts[place]++;
        if (row == maximum)
            throw maximum == 1 ? new RequestException($"'{fields.Inputs[place].Field}' is given twice; several rows go to /predict/batch.")
                : new RequestException(StatusCodes.Status413PayloadTooLarge,
                    $"'{fields.Inputs[place].Field}' is given more than {maximum} times, the most rows of a request.");
        if (row == values.Count)
            values.Add(new object?[fields.Inputs.Count]);
        using var content = new MemoryStream();
        await section.Body.CopyToAsync(content);
        string where = $"'{fields.Inputs[place].Field}'{(maximum == 1 ? "" : $" of row {row}")}";
        values[row][place] = ReadPart(fields.Inputs[place], content.GetBuffer().AsMemory(0, (int)content.Length), where);
    }

    private static object ReadPart(InputColumn input, ReadOnlyMemory<byte> content, string where)
    {
        try
        {
            return input.ReadPart(content, where);
        }
        catch (System.Text.Json.JsonException exception)
        {
            throw new RequestException($"{where} is no JSON: {exception.Message}; it must be {input.Wanted}.", exception);
        }
    }
}
