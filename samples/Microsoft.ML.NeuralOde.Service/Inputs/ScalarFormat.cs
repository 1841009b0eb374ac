using System.Globalization;
using System.Text.Json;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Service.Http;
using Microsoft.OpenApi;

namespace Microsoft.ML.NeuralOde.Service.Inputs;

/// <summary>How one value of a column stands in JSON.</summary>
/// <typeparam name="T">The column's raw type.</typeparam>
/// <param name="Name">What messages call it: “a number”.</param>
/// <param name="TextBytes">How long it may be in a request, with what stands around it.</param>
/// <param name="Read">Reads it; the second argument is the place for messages.</param>
/// <param name="Probe">Values to try a model with.</param>
/// <param name="Describe">Its JSON schema.</param>
internal sealed record ScalarFormat<T>(string Name, int TextBytes, ScalarReader<T> Read, T[] Probe, Func<OpenApiSchema> Describe)
    : ScalarFormat(typeof(T));

internal delegate T ScalarReader<T>(ref Utf8JsonReader reader, string place);

/// <summary>The formats of all types that a request can carry.</summary>
internal abstract record ScalarFormat(Type RawType)
{
    private const int NumberBytes = 32;
    private const int MomentBytes = 64;

    private delegate bool TryRead<T>(ref Utf8JsonReader reader, out T value);

    /// <summary>The format of a column's values; null where a request cannot carry them.</summary>
    public static ScalarFormat? Of(DataViewType type) => type switch
    {
        KeyDataViewType key => Key(key),
        TextDataViewType => Text,
        BooleanDataViewType => Boolean,
        DateTimeDataViewType => Moment("a date and time such as 2024-05-31T12:00:00", "date-time",
            (string text, out DateTime value) =>
            DateTime.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind, out value), new DateTime(2000, 1, 1)),
        DateTimeOffsetDataViewType => Moment("a date, time and offset such as 2024-05-31T12:00:00+02:00", "date-time",
            (string text, out DateTimeOffset value) =>
            DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out value),
            new DateTimeOffset(2000, 1, 1, 0, 0, 0, TimeSpan.Zero)),
        TimeSpanDataViewType => Moment("a duration such as 12:30:00", null,
            (string text, out TimeSpan value) => TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out value), TimeSpan.FromHours(1)),
        NumberDataViewType when type.RawType == typeof(float) => Single,
        NumberDataViewType when type.RawType == typeof(double) => Double,
        NumberDataViewType when type.RawType == typeof(sbyte) =>
        Integer((ref Utf8JsonReader reader, out sbyte value) => reader.TryGetSByte(out value)),
        NumberDataViewType when type.RawType == typeof(byte) =>
        Integer((ref Utf8JsonReader reader, out byte value) => reader.TryGetByte(out value)),
        NumberDataViewType when type.RawType == typeof(short) =>
        Integer((ref Utf8JsonReader reader, out short value) => reader.TryGetInt16(out value)),
        NumberDataViewType when type.RawType == typeof(ushort) =>
        Integer((ref Utf8JsonReader reader, out ushort value) => reader.TryGetUInt16(out value)),
        NumberDataViewType when type.RawType == typeof(int) =>
        Integer((ref Utf8JsonReader reader, out int value) => reader.TryGetInt32(out value)),
        NumberDataViewType when type.RawType == typeof(uint) =>
        Integer((ref Utf8JsonReader reader, out uint value) => reader.TryGetUInt32(out value)),
        NumberDataViewType when type.RawType == typeof(long) =>
        Integer((ref Utf8JsonReader reader, out long value) => reader.TryGetInt64(out value)),
        NumberDataViewType when type.RawType == typeof(ulong) =>
        Integer((ref Utf8JsonReader reader, out ulong value) => reader.TryGetUInt64(out value)),
        _ => null,
    };

    /// <summary>What stands in a request, for messages.</summary>
    public static string Found(ref Utf8JsonReader reader) => reader.TokenType switch
    {
        JsonTokenType.Null => "null",
        JsonTokenType.True => "true",
        JsonTokenType.False => "false",
        JsonTokenType.Number => "a number",
        JsonTokenType.String => "a text",
        JsonTokenType.StartArray => "a list",
        _ => "an object",
    };

    private static ScalarFormat<float> Single { get; } = new("a number", NumberBytes, (ref Utf8JsonReader reader, string place) =>
    {
        ExpectNumber(ref reader, place, "a number");
        return reader.TryGetSingle(out float value) && float.IsFinite(value)
            ? value : throw new RequestException($"{place} is too large for a number of type Single.");
    }, [0, 0.5f, 1], () => new OpenApiSchema { Type = JsonSchemaType.Number, Format = "float" });

    private static ScalarFormat<double> Double { get; } = new("a number", NumberBytes, (ref Utf8JsonReader reader, string place) =>
    {
        ExpectNumber(ref reader, place, "a number");
        return reader.TryGetDouble(out double value) && double.IsFinite(value)
            ? value : throw new RequestException($"{place} is too large for a number of type Double.");
    }, [0, 0.5, 1], () => new OpenApiSchema { Type = JsonSchemaType.Number, Format = "double" });

    private static ScalarFormat<bool> Boolean { get; } = new("true or false", 8, (ref Utf8JsonReader reader, string place) =>
        reader.TokenType is JsonTokenType.True or JsonTokenType.False ? reader.GetBoolean()
        : throw new RequestException($"{place} is {Found(ref reader)}; true or false would be right."),
        [false, true], () => new OpenApiSchema { Type = JsonSchemaType.Boolean });

    private static ScalarFormat<ReadOnlyMemory<char>> Text { get; } = new("a text", 1 << 12, (ref Utf8JsonReader reader, string place) =>
        ReadText(ref reader, place, "a text").AsMemory(), ["".AsMemory(), "a".AsMemory()],
        () => new OpenApiSchema { Type = JsonSchemaType.String });

    /// <summary>Reads a text, which may have been written with escapes that stand for no text.</summary>
    public static string ReadText(ref Utf8JsonReader reader, string place, string wanted)
    {
        if (reader.TokenType != JsonTokenType.String)
            throw new RequestException($"{place} is {Found(ref reader)}; {wanted} would be right.");
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException exception)
        {
            throw new RequestException($"{place} is no text that Unicode knows: {exception.Message}", exception);
        }
    }

    private static void ExpectNumber(ref Utf8JsonReader reader, string place, string wanted)
    {
        if (reader.TokenType != JsonTokenType.Number)
            throw new RequestException($"{place} is {Found(ref reader)}; {wanted} would be right.");
    }

    private static ScalarFormat<T> Integer<T>(TryRead<T> read)
        where T : struct, System.Numerics.IMinMaxValue<T>
    {
        string wanted = $"a whole number from {T.MinValue} to {T.MaxValue}";
        return new ScalarFormat<T>(wanted, NumberBytes, (ref Utf8JsonReader reader, string place) =>
        {
            ExpectNumber(ref reader, place, wanted);
            return read(ref reader, out T value)
                ? value : throw new RequestException($"{place} is another number; {wanted} would be right.");
        }, [default],
            () => new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = T.MinValue.ToString(), Maximum = T.MaxValue.ToString() });
    }

    private delegate bool TryParse<T>(string text, out T value);

    private static ScalarFormat<T> Moment<T>(string wanted, string? format, TryParse<T> parse, T probe) =>
        new(wanted, MomentBytes, (ref Utf8JsonReader reader, string place) =>
        parse(ReadText(ref reader, place, wanted), out T value)
        ? value : throw new RequestException($"{place} is another text; {wanted} would be right."),
        [probe], () => new OpenApiSchema { Type = JsonSchemaType.String, Format = format, Description = wanted });

    /// <summary>Keys count from 1 in ML.NET.</summary>
    private static ScalarFormat? Key(KeyDataViewType type) => type.RawType == typeof(byte) ? KeyOf(type, value => (byte)value)
        : type.RawType == typeof(ushort) ? KeyOf(type, value => (ushort)value)
        : type.RawType == typeof(uint) ? KeyOf(type, value => (uint)value)
        : type.RawType == typeof(ulong) ? KeyOf(type, value => value)
        : null;

    private static ScalarFormat<T> KeyOf<T>(KeyDataViewType type, Func<ulong, T> convert)
    {
        string wanted = $"a whole number from 1 to {type.Count}";
        return new ScalarFormat<T>(wanted, NumberBytes, (ref Utf8JsonReader reader, string place) =>
        {
            ExpectNumber(ref reader, place, wanted);
            return reader.TryGetUInt64(out ulong value) && value >= 1 && value <= type.Count ? convert(value)
                : throw new RequestException($"{place} is another number; {wanted} would be right.");
        }, [convert(1)],
            () => new OpenApiSchema
            {
                Type = JsonSchemaType.Integer,
                Minimum = "1",
                Maximum = type.Count.ToString(
                CultureInfo.InvariantCulture)
            });
    }
}
