using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>What a label column is and how a row's label becomes numbers.</summary>
/// <param name="column">The column's name.</param>
/// <param name="role">What it is, in messages.</param>
internal abstract class LabelFormat(string column, string role = "label")
{
    /// <summary>Reads the label of the current row into a span; false where it is missing.</summary>
    public delegate bool Reader(Span<float> target);

    public string Column { get; } = column;

    public string Role { get; } = role;

    protected abstract string Expected { get; }

    /// <exception cref="ArgumentOutOfRangeException">The column is missing or has the wrong type.</exception>
    public DataViewSchema.Column Find(IExceptionContext context, DataViewSchema schema)
    {
        DataViewSchema.Column found = schema.GetColumnOrNull(Column) ?? throw Schemas.Mismatch(context, "inputSchema", Role, Column);
        return Accepts(found)
            ? found : throw Schemas.Mismatch(context, "inputSchema", Role, Column, Expected, found.Type + Remedy(found.Type));
    }

    /// <exception cref="ArgumentOutOfRangeException">The column is missing or has the wrong type.</exception>
    public SchemaShape.Column Find(IExceptionContext context, SchemaShape schema)
    {
        if (!schema.TryFindColumn(Column, out SchemaShape.Column found))
            throw Schemas.Mismatch(context, "inputSchema", Role, Column);
        return Accepts(found)
            ? found : throw Schemas.Mismatch(context, "inputSchema", Role, Column, Expected, found.GetTypeString() + Remedy(found));
    }

    /// <summary>How many numbers a label is.</summary>
    public virtual int Width(DataViewType type) => 1;

    public abstract Reader Open(DataViewRow row, DataViewSchema.Column column);

    protected abstract bool Accepts(DataViewSchema.Column column);

    protected abstract bool Accepts(SchemaShape.Column column);

    /// <summary>What would make the column one that is accepted, behind what was found; empty where nothing simple does.</summary>
    protected virtual string Remedy(DataViewType type) => "";

    /// <inheritdoc cref="Remedy(DataViewType)"/>
    protected virtual string Remedy(SchemaShape.Column column) => "";
}

/// <summary>A key: its place among the classes, from 0.</summary>
/// <param name="column">The column's name.</param>
/// <param name="places">The place among the classes of each key; null where they are the same.</param>
internal sealed class KeyLabel(string column, int[]? places = null) : LabelFormat(column)
{
    protected override string Expected => "a key (see mlContext.Transforms.Conversion.MapValueToKey)";

    /// <summary>The label of other data, whose keys may stand for the same classes in another order.</summary>
    /// <param name="own">This label's column.</param>
    /// <param name="other">The column of the same name in the other data.</param>
    /// <exception cref="InvalidOperationException">The keys stand for other classes, or it is not known for which.</exception>
    public KeyLabel Matching(DataViewSchema.Column own, DataViewSchema.Column other)
    {
        LabelKeys keys = LabelKeys.Of(own), found = LabelKeys.Of(other);
        if (keys.Values is null && found.Values is null)
            return keys.Count == found.Count
                ? this : throw Differs($"has {found.Count} classes there and {keys.Count} in the training data");
        if (keys.Values is null || found.Values is null || keys.ValueType != found.ValueType)
            throw Differs($"has {found.Describe()} there and {keys.Describe()} in the training data");
        if (keys.Values.SequenceEqual(found.Values))
            return this;
        var order = new Dictionary<string, int>();
        foreach (string value in keys.Values)
            order.TryAdd(value, order.Count);
        string[] unknown = [.. found.Values.Where(value => !order.ContainsKey(value))];
        if (unknown.Length > 0 || order.Count != keys.Count)
            throw Differs(
                "has classes there that the training data do not have: "
                + $"{string.Join(", ", unknown.Take(5))}{(unknown.Length > 5 ? ", …" : "")}");
        return new KeyLabel(Column, [.. found.Values.Select(value => order[value])]);

        InvalidOperationException Differs(string how) => new(
            $"The validation data cannot be compared with the training data: the label column '{Column}' {how}. " +
            "Fit MapValueToKey to the training data and transform the validation data with it.");
    }

    public override Reader Open(DataViewRow row, DataViewSchema.Column column)
    {
        Type raw = column.Type.RawType;
        ulong count = ((KeyDataViewType)column.Type).Count;
        return raw == typeof(uint)
            ? Read<uint>() : raw == typeof(byte) ? Read<byte>() : raw == typeof(ushort) ? Read<ushort>() : Read<ulong>();

        Reader Read<T>()
            where T : struct, System.Numerics.INumber<T>
        {
            ValueGetter<T> getter = row.GetGetter<T>(column);
            return target =>
            {
                T value = default;
                getter(ref value);
                ulong key = ulong.CreateChecked(value);
                // Views keep to their types by custom only.
                if (key > count)
                    throw new InvalidOperationException(
                        $"The label column '{Column}' has the key {key} in row {row.Position}; "
                        + $"its type, {column.Type}, has keys up to {count}.");
                // Keys start at 1; 0 is missing.
                if (key > 0)
                    target[0] = places is null ? key - 1 : places[key - 1];
                return key > 0;
            };
        }
    }

    // Values of other types could not be kept, and MapKeyToValue would miss them after the training.
    protected override bool Accepts(DataViewSchema.Column column) => column.Type is KeyDataViewType
        && (column.Annotations.Schema.GetColumnOrNull(AnnotationUtils.Kinds.KeyValues) is not { } values
            || (values.Type is VectorDataViewType type && ClassValueType.Of(type.ItemType) is not null));

    protected override bool Accepts(SchemaShape.Column column) => column.Kind == SchemaShape.Column.VectorKind.Scalar && column.IsKey
        && (!column.Annotations.TryFindColumn(AnnotationUtils.Kinds.KeyValues, out SchemaShape.Column values)
            || ClassValueType.Of(values.ItemType) is not null);

    protected override string Remedy(DataViewType type) =>
        type is KeyDataViewType ? $" (its values must be of one of the types {ClassValueType.Names})" : "";

    protected override string Remedy(SchemaShape.Column column) =>
        column.IsKey ? $" (its values must be of one of the types {ClassValueType.Names})" : "";
}

/// <summary>True or false: 1 or 0.</summary>
internal sealed class BooleanLabel(string column) : LabelFormat(column)
{
    protected override string Expected => "Boolean";

    public override Reader Open(DataViewRow row, DataViewSchema.Column column)
    {
        ValueGetter<bool> getter = row.GetGetter<bool>(column);
        return target =>
        {
            bool value = false;
            getter(ref value);
            target[0] = value ? 1 : 0;
            return true;
        };
    }

    protected override bool Accepts(DataViewSchema.Column column) => column.Type is BooleanDataViewType;

    protected override bool Accepts(SchemaShape.Column column) =>
        column.Kind == SchemaShape.Column.VectorKind.Scalar && !column.IsKey && column.ItemType is BooleanDataViewType;
}

/// <summary>A number, or a vector of numbers of known size: one or several targets.</summary>
internal sealed class NumberLabel(string column, string role = "label") : LabelFormat(column, role)
{
    protected override string Expected => "Single, or a vector of Single of known size";

    public override int Width(DataViewType type) => type is VectorDataViewType vector ? vector.Size : 1;

    public override Reader Open(DataViewRow row, DataViewSchema.Column column)
    {
        if (column.Type is VectorDataViewType)
        {
            var vector = new VectorReader(row, column, Role);
            return target =>
            {
                vector.Read(target);
                foreach (float value in target)
                    if (!float.IsFinite(value))
                        return false;
                return true;
            };
        }
        ValueGetter<float> getter = row.GetGetter<float>(column);
        return target =>
        {
            getter(ref target[0]);
            return float.IsFinite(target[0]);
        };
    }

    protected override bool Accepts(DataViewSchema.Column column) => column.Type is NumberDataViewType
        ? column.Type.RawType == typeof(float)
        : column.Type is VectorDataViewType { IsKnownSize: true } vector && vector.ItemType.Equals(NumberDataViewType.Single);

    protected override bool Accepts(SchemaShape.Column column) =>
        column.Kind is SchemaShape.Column.VectorKind.Scalar or SchemaShape.Column.VectorKind.Vector && !column.IsKey
            && column.ItemType.Equals(NumberDataViewType.Single);

    protected override string Remedy(DataViewType type) => type is VectorDataViewType ? Schemas.VectorRemedy(type) : "";

    protected override string Remedy(SchemaShape.Column column) =>
        column.Kind == SchemaShape.Column.VectorKind.Scalar ? "" : Schemas.VectorRemedy(column.Kind, column.ItemType, column.IsKey);
}
