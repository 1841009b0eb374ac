using System.Reflection;
using System.Runtime.CompilerServices;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>The values of a column that passes through, for the rows that were read ahead.</summary>
internal abstract class RowBuffer
{
    /// <summary>A buffer for rows that are read ahead, or the column itself where <see cref="CanReadAhead"/> says no.</summary>
    public static RowBuffer Create(DataViewRow input, DataViewSchema.Column column, int size)
    {
        Type type = !CanReadAhead(column.Type) ? typeof(Direct<>).MakeGenericType(column.Type.RawType)
            : IsVector(column.Type, out Type item) ? typeof(VectorBuffer<>).MakeGenericType(item)
            : typeof(ValueBuffer<>).MakeGenericType(item);
        object[] arguments = type.GetGenericTypeDefinition() == typeof(Direct<>) ? [input, column] : [input, column, size];
        return (RowBuffer)Activator.CreateInstance(type, BindingFlags.Public | BindingFlags.Instance, null, arguments, null)!;
    }

    /// <summary>
    /// Whether a column's values may be read before somebody asks for them: numbers, texts, times and vectors of them. Objects, such as
    /// images, may take any memory, and belong to whoever asks for them: each time one is asked for, another one is made, which the one who
    /// asked disposes of.
    /// </summary>
    public static bool CanReadAhead(DataViewType type)
    {
        IsVector(type, out Type item);
        return item == typeof(ReadOnlyMemory<char>) || (IsPlain(item) && !typeof(IDisposable).IsAssignableFrom(item));
    }

    /// <summary>Reads the input's current row into a place.</summary>
    /// <returns>The memory that the value takes, in bytes.</returns>
    public abstract long Read(int place);

    /// <summary>A <see cref="ValueGetter{T}"/> of the value in the place that is current.</summary>
    public abstract Delegate Getter(Func<int> place);

    /// <summary>Makes ready for other rows.</summary>
    /// <param name="release">Whether to give the memory back, which otherwise is used again.</param>
    public abstract void Clear(bool release);

    private static bool IsVector(DataViewType type, out Type item)
    {
        bool isVector = type is VectorDataViewType vector && type.RawType == typeof(VBuffer<>).MakeGenericType(vector.ItemType.RawType);
        item = isVector ? ((VectorDataViewType)type).ItemType.RawType : type.RawType;
        return isVector;
    }

    private static bool IsPlain(Type type) => type.IsValueType && !(bool)typeof(RuntimeHelpers)
        .GetMethod(nameof(RuntimeHelpers.IsReferenceOrContainsReferences))!.MakeGenericMethod(type).Invoke(null, null)!;

    private static long Size<T>(in T value) =>
        Unsafe.SizeOf<T>() + (value is ReadOnlyMemory<char> text ? sizeof(char) * (long)text.Length : 0);

    private sealed class ValueBuffer<T>(DataViewRow input, DataViewSchema.Column column, int size) : RowBuffer
    {
        private readonly ValueGetter<T> _getter = input.GetGetter<T>(column);
        private readonly T[] _values = new T[size];

        public override long Read(int place)
        {
            _getter(ref _values[place]);
            return Size(_values[place]);
        }

        public override Delegate Getter(Func<int> place) => (ValueGetter<T>)((ref T value) => value = _values[place()]);

        public override void Clear(bool release)
        {
            // Texts are not to be kept longer than their rows.
            if (release || RuntimeHelpers.IsReferenceOrContainsReferences<T>())
                Array.Clear(_values);
        }
    }

    private sealed class VectorBuffer<T>(DataViewRow input, DataViewSchema.Column column, int size) : RowBuffer
    {
        private readonly ValueGetter<VBuffer<T>> _getter = input.GetGetter<VBuffer<T>>(column);
        private readonly VBuffer<T>[] _values = new VBuffer<T>[size];

        public override long Read(int place)
        {
            _getter(ref _values[place]);
            ReadOnlySpan<T> values = _values[place].GetValues();
            if (typeof(T) != typeof(ReadOnlyMemory<char>))
                return (long)Unsafe.SizeOf<T>() * values.Length;
            long bytes = 0;
            foreach (T value in values)
                bytes += Size(value);
            return bytes;
        }

        public override Delegate Getter(Func<int> place) =>
            (ValueGetter<VBuffer<T>>)((ref VBuffer<T> value) => _values[place()].CopyTo(ref value));

        // The arrays inside are filled again, not allocated anew, unless they are large.
        public override void Clear(bool release)
        {
            if (release)
                Array.Clear(_values);
        }
    }

    /// <summary>Nothing is read ahead: the input stands on the row whose values are asked for.</summary>
    private sealed class Direct<T>(DataViewRow input, DataViewSchema.Column column) : RowBuffer
    {
        private readonly ValueGetter<T> _getter = input.GetGetter<T>(column);

        public override long Read(int place) => 0;

        public override Delegate Getter(Func<int> place) => (ValueGetter<T>)((ref T value) =>
        {
            _ = place();
            _getter(ref value);
        });

        public override void Clear(bool release)
        {
        }
    }
}
