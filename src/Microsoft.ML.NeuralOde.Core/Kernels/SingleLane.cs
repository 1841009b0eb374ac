using System.Numerics;
using System.Runtime.CompilerServices;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>A register of one number, for what is left over.</summary>
internal readonly unsafe struct SingleLane<T>(T value) : ILanes<SingleLane<T>, T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly T _value = value;

    public static int Count => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleLane<T> Load(T* source) => new(*source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleLane<T> Broadcast(T value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleLane<T> MultiplyAdd(SingleLane<T> a, SingleLane<T> b, SingleLane<T> c) =>
        new(T.MultiplyAddEstimate(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleLane<T> Max(SingleLane<T> a, SingleLane<T> b) => new(a._value > b._value ? a._value : b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleLane<T> Min(SingleLane<T> a, SingleLane<T> b) => new(a._value < b._value ? a._value : b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleLane<T> Sqrt(SingleLane<T> x) => new(T.Sqrt(x._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleLane<T> WherePositive(SingleLane<T> x, SingleLane<T> a, SingleLane<T> b) => x._value > T.Zero ? a : b;

    public static SingleLane<T> ShiftToExponent(SingleLane<T> x) =>
        throw new NotSupportedException("Exponentials are computed in whole registers.");

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(SingleLane<T> x) => x._value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(T* target) => *target = _value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleLane<T> operator +(SingleLane<T> a, SingleLane<T> b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleLane<T> operator -(SingleLane<T> a, SingleLane<T> b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleLane<T> operator *(SingleLane<T> a, SingleLane<T> b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SingleLane<T> operator /(SingleLane<T> a, SingleLane<T> b) => new(a._value / b._value);
}
