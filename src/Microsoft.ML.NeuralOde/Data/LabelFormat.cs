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
        return Accepts(found.Type) ? found : throw Schemas.Mismatch(context, "inputSchema", Role, Column, Expected, found.Type.ToString());
    }

    /// <exception cref="ArgumentOutOfRangeException">The column is missing or has the wrong type.</exception>
    public SchemaShape.Column Find(IExceptionContext context, SchemaShape schema)
    {
        if (!schema.TryFindColumn(Column, out SchemaShape.Column found))
            throw Schemas.Mismatch(context, "inputSchema", Role, Column);
        return Accepts(found) ? found : throw Schemas.Mismatch(context, "inputSchema", Role, Column, Expected, found.GetTypeString());
    }

    /// <summary>How many numbers a label is.</summary>
    public virtual int Width(DataViewType type) => 1;

    public abstract Reader Open(DataViewRow row, DataViewSchema.Column column);

    protected abstract bool Accepts(DataViewType type);

    protected abstract bool Accepts(SchemaShape.Column column);
}

/// <summary>A key: its place among the classes, from 0.</summary>
internal sealed class KeyLabel(string column) : LabelFormat(column)
{
    protected override string Expected => "a key (see mlContext.Transforms.Conversion.MapValueToKey)";

    public override Reader Open(DataViewRow row, DataViewSchema.Column column)
    {
        Type raw = column.Type.RawType;
        return raw == typeof(uint) ? Read<uint>() : raw == typeof(byte) ? Read<byte>() : raw == typeof(ushort) ? Read<ushort>() : Read<ulong>();

        Reader Read<T>()
            where T : struct, System.Numerics.INumber<T>
        {
            ValueGetter<T> getter = row.GetGetter<T>(column);
            return target =>
            {
                T value = default;
                getter(ref value);
                // Keys start at 1; 0 is missing.
                target[0] = float.CreateChecked(value) - 1;
                return target[0] >= 0;
            };
        }
    }

    protected override bool Accepts(DataViewType type) => type is KeyDataViewType;

    protected override bool Accepts(SchemaShape.Column column) => column.Kind == SchemaShape.Column.VectorKind.Scalar && column.IsKey;
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

    protected override bool Accepts(DataViewType type) => type is BooleanDataViewType;

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
            ValueGetter<VBuffer<float>> getVector = row.GetGetter<VBuffer<float>>(column);
            VBuffer<float> values = default;
            return target =>
            {
                getVector(ref values);
                values.CopyTo(target);
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

    protected override bool Accepts(DataViewType type) =>
        type is NumberDataViewType ? type.RawType == typeof(float) : type is VectorDataViewType { IsKnownSize: true } vector && vector.ItemType.Equals(NumberDataViewType.Single);

    protected override bool Accepts(SchemaShape.Column column) =>
        column.Kind is SchemaShape.Column.VectorKind.Scalar or SchemaShape.Column.VectorKind.Vector && !column.IsKey && column.ItemType.Equals(NumberDataViewType.Single);
}
