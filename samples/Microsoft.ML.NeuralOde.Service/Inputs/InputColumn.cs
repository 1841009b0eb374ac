using System.Text;
using System.Text.Json;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Service.Http;
using Microsoft.ML.NeuralOde.Service.Settings;
using Microsoft.ML.Transforms.Image;
using Microsoft.OpenApi;

namespace Microsoft.ML.NeuralOde.Service.Inputs;

/// <summary>A column that the model reads, as a field of a request.</summary>
internal abstract class InputColumn
{
    protected InputColumn(string name, DataViewType type)
    {
        Name = name;
        Type = type;
        Field = JsonNamingPolicy.CamelCase.ConvertName(name);
    }

    /// <summary>The column's name.</summary>
    public string Name { get; }

    public DataViewType Type { get; }

    /// <summary>The field's name in requests.</summary>
    public string Field { get; }

    /// <summary>What a value is, for messages and for people: “784 numbers”.</summary>
    public abstract string Wanted { get; }

    /// <summary>The kind, for the page: “numbers”, “image” and so on.</summary>
    public abstract string Kind { get; }

    /// <summary>How many bytes a value may have in a request.</summary>
    public abstract long RequestBytes { get; }

    /// <summary>How many bytes a value takes in memory.</summary>
    public abstract long MemoryBytes { get; }

    /// <summary>Reads the value at which the reader stands and leaves it at its end.</summary>
    /// <exception cref="RequestException">The value does not suit the column.</exception>
    public abstract object ReadJson(ref Utf8JsonReader reader, string place);

    /// <summary>Reads the value from a part of a form; text columns take it as it is, others as JSON.</summary>
    /// <exception cref="RequestException">The value does not suit the column.</exception>
    public virtual object ReadPart(ReadOnlyMemory<byte> content, string place)
    {
        var reader = new Utf8JsonReader(content.Span);
        reader.Read();
        object value = ReadJson(ref reader, place);
        if (reader.Read())
            throw new RequestException($"{place} has more after its value.");
        return value;
    }

    /// <summary>Some value to try the model with.</summary>
    public abstract object Probe(int number);

    /// <summary>ML.NET's getter of the column over the current row's value.</summary>
    public abstract Delegate Getter(Func<object> value);

    /// <summary>Its JSON schema.</summary>
    public abstract OpenApiSchema Describe();

    /// <summary>The field for a column of a model; null where a request cannot carry its type.</summary>
    public static InputColumn? Create(DataViewSchema.Column column, LimitSettings limits)
    {
        if (column.Type is ImageDataViewType image)
            return new ImageColumn(column.Name, image, limits);
        return ScalarFormat.Of(column.Type is VectorDataViewType vector ? vector.ItemType : column.Type) is { } format
            ? (InputColumn)Activator.CreateInstance(
                (column.Type is VectorDataViewType ? typeof(VectorColumn<>) : typeof(ScalarColumn<>)).MakeGenericType(format.RawType),
                column.Name, column.Type, format)!
            : null;
    }
}

/// <summary>A column of single values.</summary>
internal sealed class ScalarColumn<T>(string name, DataViewType type, ScalarFormat<T> format) : InputColumn(name, type)
{
    public override string Wanted => format.Name;

    public override string Kind => typeof(T) == typeof(ReadOnlyMemory<char>) ? "text" : typeof(T) == typeof(bool) ? "boolean"
        : typeof(T) == typeof(DateTime) || typeof(T) == typeof(DateTimeOffset) || typeof(T) == typeof(TimeSpan) ? "moment" : "number";

    public override long RequestBytes => format.TextBytes;

    public override long MemoryBytes => format.TextBytes;

    public override object ReadJson(ref Utf8JsonReader reader, string place) => format.Read(ref reader, place)!;

    public override object ReadPart(ReadOnlyMemory<byte> content, string place)
    {
        if (Kind is not ("text" or "moment"))
            return base.ReadPart(content, place);
        try
        {
            string text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(content.Span);
            return typeof(T) == typeof(ReadOnlyMemory<char>)
                ? text.AsMemory() : base.ReadPart(JsonSerializer.SerializeToUtf8Bytes(text), place);
        }
        catch (DecoderFallbackException exception)
        {
            throw new RequestException($"{place} is not encoded as UTF-8.", exception);
        }
    }

    public override object Probe(int number) => format.Probe[number % format.Probe.Length]!;

    public override Delegate Getter(Func<object> value) => (ValueGetter<T>)((ref T target) => target = (T)value());

    public override OpenApiSchema Describe() => format.Describe();
}

/// <summary>A column of vectors, as lists.</summary>
internal sealed class VectorColumn<T>(string name, VectorDataViewType type, ScalarFormat<T> format) : InputColumn(name, type)
{
    /// <summary>How many values a vector of any length may have.</summary>
    private const int MostValues = 1 << 16;

    private readonly int _size = type.Size;

    public override string Wanted => _size > 0 ? $"a list of {_size} {Values}" : $"a list of at most {MostValues} {Values}";

    public override string Kind => typeof(T) == typeof(float) || typeof(T) == typeof(double) ? "numbers" : "list";

    public override long RequestBytes => (_size > 0 ? _size : MostValues) * (long)Math.Min(format.TextBytes, 256);

    public override long MemoryBytes => (_size > 0 ? _size : MostValues) * 8L;

    private string Values => format.Name == "a number" ? "numbers" : $"values, each {format.Name}";

    public override object ReadJson(ref Utf8JsonReader reader, string place)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw new RequestException($"{place} is {ScalarFormat.Found(ref reader)}; it must be {Wanted}.");
        T[] values = new T[_size > 0 ? _size : 16];
        int count = 0;
        for (; reader.Read() && reader.TokenType != JsonTokenType.EndArray; count++)
        {
            // Too many are counted, not kept.
            if (count >= (_size > 0 ? _size : MostValues))
            {
                reader.Skip();
                continue;
            }
            if (count == values.Length)
                Array.Resize(ref values, Math.Min(2 * count, MostValues));
            // The place is put into words only where something is wrong with it.
            if (reader.TokenType is JsonTokenType.Null or JsonTokenType.StartArray or JsonTokenType.StartObject)
                throw new RequestException($"{place} has {ScalarFormat.Found(ref reader)} at place {count}; {format.Name} would be right.");
            values[count] = ReadValue(ref reader, place, count);
        }
        if (_size > 0 ? count != _size : count > MostValues)
            throw new RequestException($"{place} has {count} {Values}; the model needs {(_size > 0 ? _size : $"at most {MostValues}")}.");
        return _size > 0 ? values : values[..count];
    }

    public override object Probe(int number)
    {
        T[] values = new T[_size > 0 ? _size : 1];
        Array.Fill(values, format.Probe[number % format.Probe.Length]);
        return values;
    }

    public override Delegate Getter(Func<object> value) => (ValueGetter<VBuffer<T>>)((ref VBuffer<T> target) =>
    {
        T[] values = (T[])value();
        // A copy: a buffer belongs to whoever reads it, and may be changed there.
        VBufferEditor<T> editor = VBufferEditor.Create(ref target, values.Length);
        values.CopyTo(editor.Values);
        target = editor.Commit();
    });

    public override OpenApiSchema Describe() => new()
    {
        Type = JsonSchemaType.Array,
        Items = format.Describe(),
        MinItems = _size > 0 ? _size : null,
        MaxItems = _size > 0 ? _size : MostValues,
    };

    private T ReadValue(ref Utf8JsonReader reader, string place, int index)
    {
        try
        {
            return format.Read(ref reader, place);
        }
        catch (RequestException exception) when (exception.Message.StartsWith(place, StringComparison.Ordinal))
        {
            throw new RequestException($"{place}, place {index},{exception.Message[place.Length..]}", exception);
        }
    }
}
