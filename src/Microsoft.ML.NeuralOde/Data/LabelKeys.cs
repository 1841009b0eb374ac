using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>The classes of a key label: their number and, where the column tells, their values.</summary>
internal sealed class LabelKeys
{
    private readonly string[]? _text;
    private readonly double[]? _numbers;
    private readonly PrimitiveDataViewType? _numberType;

    public LabelKeys(int count, string[]? text = null, double[]? numbers = null, string? numberType = null)
    {
        Count = count;
        _text = text;
        _numbers = numbers;
        _numberType = numberType is null ? null : NumberTypes.First(type => type.RawType.Name == numberType);
    }

    /// <summary>The number of classes.</summary>
    public int Count { get; }

    public bool AreText => _text is not null;

    /// <summary>The values, where they are text.</summary>
    public IReadOnlyList<string>? Text => _text;

    /// <summary>The values, where they are numbers.</summary>
    public IReadOnlyList<double>? Numbers => _numbers;

    /// <summary>The name of the numbers' type.</summary>
    public string? NumberType => _numberType?.RawType.Name;

    private static PrimitiveDataViewType[] NumberTypes =>
    [
        NumberDataViewType.Single, NumberDataViewType.Double, NumberDataViewType.SByte, NumberDataViewType.Byte, NumberDataViewType.Int16,
        NumberDataViewType.UInt16, NumberDataViewType.Int32, NumberDataViewType.UInt32,
    ];

    /// <summary>The classes of a column; values of types that a double does not hold exactly are left out.</summary>
    public static LabelKeys Of(DataViewSchema.Column column, int count)
    {
        DataViewSchema.Column? annotation = column.Annotations.Schema.GetColumnOrNull("KeyValues");
        if (annotation?.Type is not VectorDataViewType { IsKnownSize: true } type || type.Size != count)
            return new LabelKeys(count);
        if (type.ItemType is TextDataViewType)
        {
            VBuffer<ReadOnlyMemory<char>> text = default;
            column.GetKeyValues(ref text);
            return new LabelKeys(count, text: [.. text.DenseValues().Select(value => value.ToString())]);
        }
        if (!NumberTypes.Contains(type.ItemType))
            return new LabelKeys(count);
        return new LabelKeys(count, numbers: NumericValues(column, type.ItemType), numberType: type.ItemType.RawType.Name);
    }

    /// <summary>Whether numbers are values of the type with a name; false where there is no such type.</summary>
    public static bool CanHold(string numberType, IReadOnlyList<double> numbers)
    {
        (double Low, double High)? range = numberType switch
        {
            nameof(Single) or nameof(Double) => (double.NegativeInfinity, double.PositiveInfinity),
            nameof(SByte) => (sbyte.MinValue, sbyte.MaxValue),
            nameof(Byte) => (byte.MinValue, byte.MaxValue),
            nameof(Int16) => (short.MinValue, short.MaxValue),
            nameof(UInt16) => (ushort.MinValue, ushort.MaxValue),
            nameof(Int32) => (int.MinValue, int.MaxValue),
            nameof(UInt32) => (uint.MinValue, uint.MaxValue),
            _ => null,
        };
        return range is { } limits && numbers.All(number => number >= limits.Low && number <= limits.High);
    }

    /// <summary>Adds the values, where they are known, under a name.</summary>
    public void AddTo(DataViewSchema.Annotations.Builder builder, string name)
    {
        if (_text is not null)
        {
            ReadOnlyMemory<char>[] values = Array.ConvertAll(_text, value => value.AsMemory());
            builder.Add(name, new VectorDataViewType(TextDataViewType.Instance, Count), (ref VBuffer<ReadOnlyMemory<char>> target) => Copy(values, ref target));
        }
        else if (_numberType is not null)
        {
            typeof(LabelKeys).GetMethod(nameof(AddNumbers), System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Instance)!
                .MakeGenericMethod(_numberType.RawType).Invoke(this, [builder, name]);
        }
    }

    private static double[] NumericValues(DataViewSchema.Column column, DataViewType itemType) =>
        (double[])typeof(LabelKeys).GetMethod(nameof(ReadNumbers), System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Static)!
            .MakeGenericMethod(itemType.RawType).Invoke(null, [column])!;

    private static double[] ReadNumbers<T>(DataViewSchema.Column column)
        where T : struct, System.Numerics.INumber<T>
    {
        VBuffer<T> values = default;
        column.GetKeyValues(ref values);
        return [.. values.DenseValues().Select(double.CreateChecked)];
    }

    private void AddNumbers<T>(DataViewSchema.Annotations.Builder builder, string name)
        where T : struct, System.Numerics.INumber<T>
    {
        T[] values = Array.ConvertAll(_numbers!, T.CreateChecked);
        builder.Add(name, new VectorDataViewType(_numberType!, Count), (ref VBuffer<T> target) => Copy(values, ref target));
    }

    private static void Copy<T>(T[] values, ref VBuffer<T> target)
    {
        VBufferEditor<T> editor = VBufferEditor.Create(ref target, values.Length);
        values.CopyTo(editor.Values);
        target = editor.Commit();
    }
}
