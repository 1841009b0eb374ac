using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Interop;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>The classes of a key label: their number and, where the column tells, their values.</summary>
/// <param name="Count">The number of classes.</param>
/// <param name="ValueType">The type of the values; null where they are not known.</param>
/// <param name="Values">The values as that type's texts; null where they are not known.</param>
internal sealed record LabelKeys(int Count, ClassValueType? ValueType = null, IReadOnlyList<string>? Values = null) : IKeyValues
{
    public bool AreText => ValueType?.DataType is TextDataViewType;

    /// <summary>The classes of a column of keys.</summary>
    public static LabelKeys Of(DataViewSchema.Column column)
    {
        int count = (int)Math.Min(((KeyDataViewType)column.Type).Count, int.MaxValue);
        return column.Annotations.Schema.GetColumnOrNull(AnnotationUtils.Kinds.KeyValues)?.Type is VectorDataViewType type
            && type.Size == count
            && ClassValueType.Of(type.ItemType) is { } valueType
            ? new LabelKeys(count, valueType, valueType.Read(column))
            : new LabelKeys(count);
    }

    /// <summary>Adds the values, where they are known, under a name.</summary>
    public void AddTo(DataViewSchema.Annotations.Builder builder, string name)
    {
        if (Values is not null)
            ValueType!.AddTo(builder, name, Values);
    }

    /// <summary>What the keys stand for, in messages.</summary>
    public string Describe() => Values is null
        ? $"{Count} classes without names"
        : $"{Count} classes of type {ValueType!.DataType} ({string.Join(", ", Values.Take(3))}, …)";
}
