using System.Globalization;
using System.Numerics;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>
/// A type that the values of keys may have: values as texts, which stand in model files, and the same values again, to the last bit.
/// </summary>
internal abstract class ClassValueType(PrimitiveDataViewType type)
{
    private const string TimeFormat = "yyyy-MM-ddTHH:mm:ss.fffffff";
    private const string LocalTime = " local";

    /// <summary>Every type whose values MapValueToKey numbers.</summary>
    private static readonly ClassValueType[] All =
    [
        new Values<ReadOnlyMemory<char>>(TextDataViewType.Instance, value => value.ToString(), text => text.AsMemory()),
        new Values<bool>(BooleanDataViewType.Instance, value => value ? "true" : "false", bool.Parse),
        Number<sbyte>(NumberDataViewType.SByte),
        Number<byte>(NumberDataViewType.Byte),
        Number<short>(NumberDataViewType.Int16),
        Number<ushort>(NumberDataViewType.UInt16),
        Number<int>(NumberDataViewType.Int32),
        Number<uint>(NumberDataViewType.UInt32),
        Number<long>(NumberDataViewType.Int64),
        Number<ulong>(NumberDataViewType.UInt64),
        Number<float>(NumberDataViewType.Single),
        Number<double>(NumberDataViewType.Double),
        new Values<DateTime>(DateTimeDataViewType.Instance, ToText, ToTime),
        new Values<DateTimeOffset>(
            DateTimeOffsetDataViewType.Instance, value => value.ToString("O", CultureInfo.InvariantCulture),
            text => DateTimeOffset.ParseExact(text, "O", CultureInfo.InvariantCulture)),
        new Values<TimeSpan>(
            TimeSpanDataViewType.Instance, value => value.ToString("c", CultureInfo.InvariantCulture),
            text => TimeSpan.ParseExact(text, "c", CultureInfo.InvariantCulture)),
        new Values<DataViewRowId>(RowIdDataViewType.Instance, value => $"{value.High:x16}{value.Low:x16}", ToRowId),
    ];

    /// <summary>The names of the types, for messages.</summary>
    public static string Names => string.Join(", ", All.Select(each => each.DataType));

    /// <summary>ML.NET's name of the type.</summary>
    public PrimitiveDataViewType DataType { get; } = type;

    /// <summary>The name that stands in model files.</summary>
    public string Name => DataType.RawType.Name;

    /// <returns>Null where the type is none of them.</returns>
    public static ClassValueType? Of(DataViewType type) => Array.Find(All, each => each.DataType.Equals(type));

    /// <returns>Null where no type has the name.</returns>
    public static ClassValueType? Named(string? name) => Array.Find(All, each => each.Name == name);

    /// <summary>The values of a column's keys.</summary>
    public abstract string[] Read(DataViewSchema.Column column);

    /// <summary>Whether a text is one of a value.</summary>
    public bool CanParse(string text)
    {
        try
        {
            return TryParse(text);
        }
        catch (Exception exception) when (exception is FormatException or OverflowException or ArgumentException)
        {
            return false;
        }
    }

    /// <summary>Adds values to annotations.</summary>
    public abstract void AddTo(DataViewSchema.Annotations.Builder builder, string name, IReadOnlyList<string> texts);

    protected abstract bool TryParse(string text);

    // The shortest text that is read as the same number.
    private static Values<T> Number<T>(PrimitiveDataViewType type)
        where T : struct, INumber<T> =>
        new(type, value => value.ToString(null, CultureInfo.InvariantCulture), text => T.Parse(text, CultureInfo.InvariantCulture));

    // The round-trip format changes a local time where it is read in another time zone.
    private static string ToText(DateTime time) => time.ToString(TimeFormat, CultureInfo.InvariantCulture) + time.Kind switch
    {
        DateTimeKind.Utc => "Z",
        DateTimeKind.Local => LocalTime,
        _ => "",
    };

    private static DateTime ToTime(string text)
    {
        DateTimeKind kind = text.EndsWith('Z') ? DateTimeKind.Utc
            : text.EndsWith(LocalTime, StringComparison.Ordinal) ? DateTimeKind.Local : DateTimeKind.Unspecified;
        string time = kind == DateTimeKind.Utc ? text[..^1] : kind == DateTimeKind.Local ? text[..^LocalTime.Length] : text;
        return DateTime.SpecifyKind(DateTime.ParseExact(time, TimeFormat, CultureInfo.InvariantCulture), kind);
    }

    private static DataViewRowId ToRowId(string text) => text.Length == 32
        ? new DataViewRowId(ulong.Parse(text[16..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture),
            ulong.Parse(text[..16], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture))
        : throw new FormatException("A row's id has 32 digits.");

    private sealed class Values<T>(PrimitiveDataViewType type, Func<T, string> toText, Func<string, T> toValue) : ClassValueType(type)
    {
        public override string[] Read(DataViewSchema.Column column)
        {
            VBuffer<T> values = default;
            column.Annotations.GetValue(AnnotationUtils.Kinds.KeyValues, ref values);
            return [.. values.DenseValues().Select(toText)];
        }

        public override void AddTo(DataViewSchema.Annotations.Builder builder, string name, IReadOnlyList<string> texts)
        {
            T[] values = [.. texts.Select(toValue)];
            builder.Add(name, new VectorDataViewType(DataType, values.Length), (ref VBuffer<T> target) =>
            {
                VBufferEditor<T> editor = VBufferEditor.Create(ref target, values.Length);
                values.CopyTo(editor.Values);
                target = editor.Commit();
            });
        }

        protected override bool TryParse(string text)
        {
            toValue(text);
            return true;
        }
    }
}
