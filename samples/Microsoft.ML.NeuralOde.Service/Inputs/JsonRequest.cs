using System.Text.Json;
using Microsoft.ML.NeuralOde.Service.Http;

namespace Microsoft.ML.NeuralOde.Service.Inputs;

/// <summary>
/// Reads rows from JSON: <c>{"features": [1, 2]}</c>, or several as <c>{"rows": [{"features": [1, 2]}, …]}</c>. Where the model reads one
/// field alone, a row of several may be its bare value: <c>{"rows": [[1, 2], …]}</c>. What is wrong ends the reading at once, so that
/// nothing is kept of it.
/// </summary>
internal static class JsonRequest
{
    private const string Rows = "rows";

    private static readonly byte[] Mark = [0xEF, 0xBB, 0xBF];

    /// <exception cref="RequestException">The body is no such row.</exception>
    public static void ReadOne(ReadOnlyMemory<byte> body, InputFields fields, RequestRows rows) =>
        Guarded(body, (ref Utf8JsonReader reader) =>
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new RequestException($"The body is {ScalarFormat.Found(ref reader)}; an object with the fields of a row would be right.");
        ReadRow(ref reader, fields, rows, "");
    });

    /// <exception cref="RequestException">The body is no list of rows.</exception>
    /// <exception cref="OperationCanceledException">The client went away.</exception>
    public static void ReadMany(ReadOnlyMemory<byte> body, InputFields fields, RequestRows rows, int maximum,
        CancellationToken cancellation) => Guarded(body, (ref Utf8JsonReader reader) =>
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new RequestException($"The body is {ScalarFormat.Found(ref reader)}; an object with the list '{Rows}' would be right.");
        bool isRead = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = ScalarName(ref reader);
            if (!string.Equals(name, Rows, StringComparison.OrdinalIgnoreCase))
                throw new RequestException($"Unknown field '{name}'; '{Rows}' is the only one.");
            if (isRead)
                throw new RequestException($"'{Rows}' is given twice.");
            isRead = true;
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartArray)
                throw new RequestException($"'{Rows}' is {ScalarFormat.Found(ref reader)}; it must be a list of 1 to {maximum} rows.");
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                cancellation.ThrowIfCancellationRequested();
                if (rows.Count == maximum)
                    throw new RequestException(
                        StatusCodes.Status413PayloadTooLarge, $"'{Rows}' has more than {maximum} rows; it must have 1 to {maximum}.");
                if (reader.TokenType == JsonTokenType.StartObject)
                    ReadRow(ref reader, fields, rows, $"Row {rows.Count} of '{Rows}': ");
                else if (fields.Inputs.Count == 1)
                    Keep(rows, [fields.Inputs[0].ReadJson(ref reader, $"Row {rows.Count} of '{Rows}'")]);
                else
                    throw new RequestException(
                        $"Row {rows.Count} of '{Rows}' is {ScalarFormat.Found(ref reader)}; an object with the fields of a row would be right.");
            }
        }
        if (!isRead)
            throw new RequestException($"'{Rows}' is missing; it must be a list of 1 to {maximum} rows.");
        if (rows.Count == 0)
            throw new RequestException($"'{Rows}' has 0 rows; it must have 1 to {maximum}.");
    });

    private delegate void Reading(ref Utf8JsonReader reader);

    private static void ReadRow(ref Utf8JsonReader reader, InputFields fields, RequestRows rows, string where)
    {
        object?[] row = new object?[fields.Inputs.Count];
        try
        {
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                int place = fields.Find(ScalarName(ref reader), where);
                string field = $"{where}'{fields.Inputs[place].Field}'";
                if (row[place] is not null)
                    throw new RequestException($"{field} is given twice.");
                reader.Read();
                row[place] = fields.Inputs[place].ReadJson(ref reader, field);
            }
            fields.CheckComplete(row, where);
            Keep(rows, row!);
        }
        catch
        {
            Array.ForEach(row, value => (value as IDisposable)?.Dispose());
            throw;
        }
    }

    private static void Keep(RequestRows rows, object[] row) => rows.Add(row);

    private static string ScalarName(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException exception)
        {
            throw new RequestException($"The name of a field is no text that Unicode knows: {exception.Message}", exception);
        }
    }

    private static void Guarded(ReadOnlyMemory<byte> body, Reading read)
    {
        ReadOnlySpan<byte> json = body.Span.StartsWith(Mark) ? body.Span[Mark.Length..] : body.Span;
        var reader = new Utf8JsonReader(json);
        try
        {
            reader.Read();
            read(ref reader);
            while (reader.Read())
            {
                // What stands behind the value is no JSON, and said to be none here.
            }
        }
        catch (JsonException exception)
        {
            throw new RequestException(
                json.IsEmpty ? "The body is empty; JSON would be right." : $"The body is no JSON: {exception.Message}", exception);
        }
    }
}
