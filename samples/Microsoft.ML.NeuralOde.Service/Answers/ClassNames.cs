using System.Globalization;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Service.Answers;

/// <summary>The names of classes, as the columns of a classifier carry them.</summary>
internal static class ClassNames
{
    private static readonly string[] Kinds = ["KeyValues", "TrainingLabelValues", "SlotNames"];

    /// <summary>The names that a column carries, one a class; null for none.</summary>
    public static string[]? Of(DataViewSchema.Column column)
    {
        foreach (string kind in Kinds)
            if (column.Annotations.Schema.GetColumnOrNull(kind) is { Type: VectorDataViewType type } values)
                return Values(column.Annotations, kind, type.ItemType.RawType);
        return null;
    }

    private static string[] Values(DataViewSchema.Annotations annotations, string kind, Type type) =>
        (string[])typeof(ClassNames).GetMethod(
            nameof(Read), System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Static)!
            .MakeGenericMethod(type).Invoke(null, [annotations, kind])!;

    private static string[] Read<T>(DataViewSchema.Annotations annotations, string kind)
    {
        VBuffer<T> values = default;
        annotations.GetValue(kind, ref values);
        return [.. values.DenseValues()
            .Select(value => value is IFormattable number ? number.ToString(null, CultureInfo.InvariantCulture) : $"{value}")];
    }
}
