using System.Reflection;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>A row as it came out of a cursor.</summary>
internal sealed record ReadRow(long Position, string Id, IReadOnlyDictionary<string, string> Values);

/// <summary>Reads any columns of any type, as text that tells exactly what was read.</summary>
internal static class Cursors
{
    public static List<ReadRow> Read(
        IDataView view, IEnumerable<DataViewSchema.Column> columns, Random? random = null, int limit = int.MaxValue)
    {
        using DataViewRowCursor cursor = view.GetRowCursor(columns, random);
        return [.. Rows(cursor, columns).Take(limit)];
    }

    /// <summary>Rows as the cursor moves.</summary>
    public static IEnumerable<ReadRow> Rows(DataViewRowCursor cursor, IEnumerable<DataViewSchema.Column> columns)
    {
        (string Name, Func<string> Read)[] getters = [.. columns.Select(column => (Key(column), Getter(cursor, column)))];
        ValueGetter<DataViewRowId> getId = cursor.GetIdGetter();
        while (cursor.MoveNext())
        {
            DataViewRowId id = default;
            getId(ref id);
            yield return new ReadRow(cursor.Position, id.ToString(), getters.ToDictionary(getter => getter.Name, getter => getter.Read()));
        }
    }

    /// <summary>A column's name; a hidden column has that of another one.</summary>
    private static string Key(DataViewSchema.Column column) => column.IsHidden ? $"{column.Name} (hidden, {column.Index})" : column.Name;

    public static Func<string> Getter(DataViewRow row, DataViewSchema.Column column)
    {
        string method = column.Type is VectorDataViewType ? nameof(Vector) : nameof(Scalar);
        Type item = column.Type is VectorDataViewType vector ? vector.ItemType.RawType : column.Type.RawType;
        return (Func<string>)typeof(Cursors).GetMethod(method, BindingFlags.NonPublic | BindingFlags.Static)!.MakeGenericMethod(item)
            .Invoke(null, [row, column])!;
    }

    private static Func<string> Scalar<T>(DataViewRow row, DataViewSchema.Column column)
    {
        ValueGetter<T> getter = row.GetGetter<T>(column);
        return () =>
        {
            T value = default!;
            getter(ref value);
            return Text(value);
        };
    }

    private static Func<string> Vector<T>(DataViewRow row, DataViewSchema.Column column)
    {
        ValueGetter<VBuffer<T>> getter = row.GetGetter<VBuffer<T>>(column);
        return () =>
        {
            VBuffer<T> value = default;
            getter(ref value);
            return $"[{string.Join(" ", value.DenseValues().Select(Text))}]";
        };
    }

    private static string Text<T>(T value) => value switch
    {
        float number => number.ToString("R", System.Globalization.CultureInfo.InvariantCulture),
        double number => number.ToString("R", System.Globalization.CultureInfo.InvariantCulture),
        DateTime time => time.Ticks.ToString(System.Globalization.CultureInfo.InvariantCulture),
        DateTimeOffset time => time.ToString("O"),
        _ => value?.ToString() ?? "null",
    };
}
