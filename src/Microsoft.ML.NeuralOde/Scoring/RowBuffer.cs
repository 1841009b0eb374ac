using System.Reflection;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>The values of a column that passes through, for the rows that were read ahead.</summary>
internal abstract class RowBuffer
{
    public static RowBuffer Create(DataViewRow input, DataViewSchema.Column column, int size)
    {
        Type raw = column.Type.RawType;
        bool isVector = column.Type is VectorDataViewType vector && raw == typeof(VBuffer<>).MakeGenericType(vector.ItemType.RawType);
        Type type = isVector ? typeof(VectorBuffer<>).MakeGenericType(((VectorDataViewType)column.Type).ItemType.RawType) : typeof(ValueBuffer<>).MakeGenericType(raw);
        return (RowBuffer)Activator.CreateInstance(type, BindingFlags.Public | BindingFlags.Instance, null, [input, column, size], null)!;
    }

    /// <summary>Reads the input's current row into a place.</summary>
    public abstract void Read(int place);

    /// <summary>A <see cref="ValueGetter{T}"/> of the value in the place that is current.</summary>
    public abstract Delegate Getter(Func<int> place);

    /// <summary>Lets go of values that others may have disposed of.</summary>
    public abstract void Clear();

    private sealed class ValueBuffer<T>(DataViewRow input, DataViewSchema.Column column, int size) : RowBuffer
    {
        private readonly ValueGetter<T> _getter = input.GetGetter<T>(column);
        private readonly T[] _values = new T[size];

        public override void Read(int place) => _getter(ref _values[place]);

        public override Delegate Getter(Func<int> place) => (ValueGetter<T>)((ref T value) => value = _values[place()]);

        public override void Clear() => Array.Clear(_values);
    }

    private sealed class VectorBuffer<T>(DataViewRow input, DataViewSchema.Column column, int size) : RowBuffer
    {
        private readonly ValueGetter<VBuffer<T>> _getter = input.GetGetter<VBuffer<T>>(column);
        private readonly VBuffer<T>[] _values = new VBuffer<T>[size];

        public override void Read(int place) => _getter(ref _values[place]);

        public override Delegate Getter(Func<int> place) => (ValueGetter<VBuffer<T>>)((ref VBuffer<T> value) => _values[place()].CopyTo(ref value));

        // The arrays inside are filled again, not allocated anew.
        public override void Clear()
        {
        }
    }
}
