using System.Globalization;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Datasets;

/// <summary>A column of single values, of any type, of which a series keeps one.</summary>
/// <param name="column">The column.</param>
/// <param name="place">Its place among what a series keeps.</param>
internal abstract class KeptColumn(DataViewSchema.Column column, int place)
{
    public DataViewSchema.Column Column { get; } = column;

    protected int Place { get; } = place;

    public static KeptColumn Of(DataViewSchema.Column column, int place) => column.Type is TextDataViewType
        ? new TextColumn(column, place)
        : (KeptColumn)Activator.CreateInstance(typeof(ValueColumn<>).MakeGenericType(column.Type.RawType), column, place)!;

    /// <summary>Reads the value of the row at hand.</summary>
    public abstract Func<object> Open(DataViewRow row);

    /// <summary>What is equal for equal values.</summary>
    public virtual object Key(object value) => value;

    /// <summary>Whether a value stands for a missing one.</summary>
    public virtual bool IsMissing(object value) => value is float.NaN or double.NaN
        || (Column.Type is KeyDataViewType && Convert.ToUInt64(value, CultureInfo.InvariantCulture) == 0);

    public static string Describe(object value) => $"'{Convert.ToString(value, CultureInfo.InvariantCulture)}'";

    public abstract RecordColumn<SeriesGroup> ToRecordColumn();

    private sealed class ValueColumn<T>(DataViewSchema.Column column, int place) : KeptColumn(column, place)
        where T : notnull
    {
        public override Func<object> Open(DataViewRow row)
        {
            ValueGetter<T> getter = row.GetGetter<T>(Column);
            return () =>
            {
                T value = default!;
                getter(ref value);
                return value;
            };
        }

        public override RecordColumn<SeriesGroup> ToRecordColumn() =>
            RecordColumn<SeriesGroup>.Of(Column.Name, Column.Type, group => (T)group.Kept[Place], Column.Annotations);
    }

    /// <summary>Texts are copied: what a cursor hands out may be parts of larger ones.</summary>
    private sealed class TextColumn(DataViewSchema.Column column, int place) : KeptColumn(column, place)
    {
        public override Func<object> Open(DataViewRow row)
        {
            ValueGetter<ReadOnlyMemory<char>> getter = row.GetGetter<ReadOnlyMemory<char>>(Column);
            return () =>
            {
                ReadOnlyMemory<char> value = default;
                getter(ref value);
                return value.ToString();
            };
        }

        public override bool IsMissing(object value) => (string)value == "";

        public override RecordColumn<SeriesGroup> ToRecordColumn() =>
            RecordColumn<SeriesGroup>.Of(Column.Name, Column.Type, group => ((string)group.Kept[Place]).AsMemory(), Column.Annotations);
    }
}

/// <summary>Reads numbers and times of any type as numbers in float64.</summary>
internal static class ScalarReader
{
    /// <summary>Times become seconds: dates since the beginning of 1970, in UTC.</summary>
    public static Func<double> Open(DataViewRow row, DataViewSchema.Column column)
    {
        Type type = column.Type.RawType;
        return type == typeof(float) ? Read<float>(value => value)
            : type == typeof(double) ? Read<double>(value => value)
            : type == typeof(sbyte) ? Read<sbyte>(value => value)
            : type == typeof(byte) ? Read<byte>(value => value)
            : type == typeof(short) ? Read<short>(value => value)
            : type == typeof(ushort) ? Read<ushort>(value => value)
            : type == typeof(int) ? Read<int>(value => value)
            : type == typeof(uint) ? Read<uint>(value => value)
            : type == typeof(long) ? Read<long>(value => value)
            : type == typeof(ulong) ? Read<ulong>(value => value)
            : type == typeof(DateTime) ? Read<DateTime>(value => (value - DateTime.UnixEpoch).TotalSeconds)
            : type == typeof(DateTimeOffset) ? Read<DateTimeOffset>(value => (value - DateTimeOffset.UnixEpoch).TotalSeconds)
            : Read<TimeSpan>(value => value.TotalSeconds);

        Func<double> Read<T>(Func<T, double> convert)
        {
            ValueGetter<T> getter = row.GetGetter<T>(column);
            T value = default!;
            return () =>
            {
                getter(ref value);
                return convert(value);
            };
        }
    }
}
