using System.Globalization;
using System.Text.Json;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Service.Http;
using Microsoft.OpenApi;

namespace Microsoft.ML.NeuralOde.Service.Answers;

/// <summary>Writes one row's part of an answer.</summary>
internal delegate void AnswerWriter(Utf8JsonWriter writer);

/// <summary>Columns of the scored data, as one or more fields of an answer.</summary>
internal abstract class AnswerField(params DataViewSchema.Column[] columns)
{
    /// <summary>The columns that it needs.</summary>
    public IReadOnlyList<DataViewSchema.Column> Columns => columns;

    /// <summary>Its fields in answers and their JSON schemas.</summary>
    public abstract IEnumerable<(string Name, OpenApiSchema Schema)> Describe();

    /// <summary>Makes a writer for the rows of a cursor; a score that is no number throws.</summary>
    public abstract AnswerWriter Open(DataViewRow row);

    /// <summary>Features near the limits of Single have no solution; their scores are no numbers, which JSON does not know.</summary>
    protected static float Finite(float value) => float.IsFinite(value) ? value : throw new RequestException(
        StatusCodes.Status422UnprocessableEntity, "The row cannot be scored: the model gives it a score that is not finite.");

    protected static OpenApiSchema Number(string description) =>
        new() { Type = JsonSchemaType.Number, Format = "float", Description = description };

    protected static OpenApiSchema List(OpenApiSchema items, int count, string description) =>
        new() { Type = JsonSchemaType.Array, Items = items, MinItems = count, MaxItems = count, Description = description };
}

/// <summary>A number.</summary>
internal sealed class NumberField(string name, DataViewSchema.Column column, string description) : AnswerField(column)
{
    public override IEnumerable<(string, OpenApiSchema)> Describe() => [(name, Number(description))];

    public override AnswerWriter Open(DataViewRow row)
    {
        ValueGetter<float> get = row.GetGetter<float>(column);
        float value = 0;
        return writer =>
        {
            get(ref value);
            writer.WriteNumber(name, Finite(value));
        };
    }
}

/// <summary>A number that is the same for all rows.</summary>
internal sealed class ConstantField(string name, float value, string description) : AnswerField
{
    public override IEnumerable<(string, OpenApiSchema)> Describe() => [(name, Number(description))];

    public override AnswerWriter Open(DataViewRow row) => writer => writer.WriteNumber(name, value);
}

/// <summary>A list of numbers.</summary>
internal sealed class NumbersField(string name, DataViewSchema.Column column, string description) : AnswerField(column)
{
    public override IEnumerable<(string, OpenApiSchema)> Describe() =>
        [(name, List(Number("A number."), ((VectorDataViewType)column.Type).Size, description))];

    public override AnswerWriter Open(DataViewRow row)
    {
        ValueGetter<VBuffer<float>> get = row.GetGetter<VBuffer<float>>(column);
        VBuffer<float> values = default;
        return writer =>
        {
            get(ref values);
            writer.WriteStartArray(name);
            foreach (float value in values.DenseValues())
                writer.WriteNumberValue(Finite(value));
            writer.WriteEndArray();
        };
    }
}

/// <summary>The probabilities of classes, with the classes' names and the largest of them.</summary>
internal sealed class ClassesField(DataViewSchema.Column column, IReadOnlyList<string> classes) : AnswerField(column)
{
    private readonly JsonEncodedText[] _names = [.. classes.Select(name => JsonEncodedText.Encode(name))];

    public override IEnumerable<(string, OpenApiSchema)> Describe() =>
    [
        ("probability", Number("The probability of the label, 0 to 1.")),
        ("scores", List(Number("A probability."), classes.Count, "The probability of each class, in the order of 'classes'.")),
        ("classes", List(new OpenApiSchema { Type = JsonSchemaType.String }, classes.Count, "The names of the classes.")),
    ];

    public override AnswerWriter Open(DataViewRow row)
    {
        ValueGetter<VBuffer<float>> get = row.GetGetter<VBuffer<float>>(column);
        VBuffer<float> values = default;
        return writer =>
        {
            get(ref values);
            float largest = float.NegativeInfinity;
            foreach (float value in values.DenseValues())
                largest = Math.Max(largest, Finite(value));
            writer.WriteNumber("probability", largest);
            writer.WriteStartArray("scores");
            foreach (float value in values.DenseValues())
                writer.WriteNumberValue(value);
            writer.WriteEndArray();
            writer.WriteStartArray("classes");
            foreach (JsonEncodedText name in _names)
                writer.WriteStringValue(name);
            writer.WriteEndArray();
        };
    }
}

/// <summary>The predicted label, whatever its type.</summary>
internal abstract class LabelField(DataViewSchema.Column column) : AnswerField(column)
{
    /// <summary>The field for a column; null where its type is none of labels.</summary>
    /// <param name="column">The label's column.</param>
    /// <param name="keyNames">What its values mean where it is a key, in their order.</param>
    /// <param name="description">What it says.</param>
    public static LabelField? Create(DataViewSchema.Column column, IReadOnlyList<string>? keyNames, string description)
    {
        if (column.Type is KeyDataViewType { RawType: var raw } && raw == typeof(uint))
            return new LabelField<uint>(
                column, JsonSchemaType.String, description, value => value == 0 || (keyNames is not null && value > keyNames.Count) ? null
                : keyNames is null ? value.ToString(CultureInfo.InvariantCulture) : keyNames[(int)value - 1]);
        return column.Type.RawType switch
        {
            Type type when type == typeof(ReadOnlyMemory<char>) => new LabelField<ReadOnlyMemory<char>>(
                column, JsonSchemaType.String, description, value => value.IsEmpty ? null : value.ToString()),
            Type type when type == typeof(bool) => new LabelField<bool>(column, JsonSchemaType.Boolean, description, value => value),
            Type type when type == typeof(float) =>
            new LabelField<float>(column, JsonSchemaType.Number, description, value => float.IsFinite(value) ? value : null),
            Type type when type == typeof(double) =>
            new LabelField<double>(column, JsonSchemaType.Number, description, value => double.IsFinite(value) ? value : null),
            Type type when type == typeof(sbyte) => Whole<sbyte>(),
            Type type when type == typeof(byte) => Whole<byte>(),
            Type type when type == typeof(short) => Whole<short>(),
            Type type when type == typeof(ushort) => Whole<ushort>(),
            Type type when type == typeof(int) => Whole<int>(),
            Type type when type == typeof(uint) => Whole<uint>(),
            Type type when type == typeof(long) => Whole<long>(),
            Type type when type == typeof(ulong) => Whole<ulong>(),
            Type type when type == typeof(DateTime) => new LabelField<DateTime>(column, JsonSchemaType.String, description, value => value),
            Type type when type == typeof(DateTimeOffset) =>
            new LabelField<DateTimeOffset>(column, JsonSchemaType.String, description, value => value),
            Type type when type == typeof(TimeSpan) => new LabelField<TimeSpan>(column, JsonSchemaType.String, description, value => value),
            _ => null,
        };

        LabelField<T> Whole<T>()
            where T : struct => new(column, JsonSchemaType.Integer, description, value => value);
    }
}

/// <summary>The predicted label.</summary>
/// <param name="column">Its column.</param>
/// <param name="type">Its type in JSON.</param>
/// <param name="description">What it says.</param>
/// <param name="convert">What stands in the answer; null for a value that is missing.</param>
internal sealed class LabelField<T>(DataViewSchema.Column column, JsonSchemaType type, string description, Func<T, object?> convert)
    : LabelField(column)
{
    private const string Label = "label";

    private readonly DataViewSchema.Column _column = column;

    public override IEnumerable<(string, OpenApiSchema)> Describe() =>
        [(Label, new OpenApiSchema { Type = type, Description = description })];

    public override AnswerWriter Open(DataViewRow row)
    {
        ValueGetter<T> get = row.GetGetter<T>(_column);
        T value = default!;
        return writer =>
        {
            get(ref value);
            object label = convert(value)
                ?? throw new RequestException(
                    StatusCodes.Status422UnprocessableEntity, "The row cannot be scored: the model gives it no label.");
            writer.WritePropertyName(Label);
            if (label is string text)
                writer.WriteStringValue(text);
            else
                JsonSerializer.Serialize(writer, label, label.GetType());
        };
    }
}
