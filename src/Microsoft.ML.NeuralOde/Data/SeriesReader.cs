using System.Globalization;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>
/// Reads series: an observation is its time since the first observation, as the sum of two numbers in float32, and its channels, NaN where
/// one is missing.
/// </summary>
/// <param name="row">The row that moves.</param>
/// <param name="input">The columns.</param>
internal sealed class SeriesReader(DataViewRow row, SeriesInput input) : IFeatureReader
{
    /// <summary>The numbers in front of an observation's channels.</summary>
    public const int TimeParts = 2;

    private readonly NumberReader? _times = input.Times is { } times ? NumberReader.Open(row, times) : null;
    private readonly NumberReader[] _values = [.. input.Values.Select(column => NumberReader.Open(row, column))];
    private float[] _packed = [];
    private int _count;

    public RowValues Current => new(_packed.AsSpan(0, _count), default);

    /// <exception cref="InvalidOperationException">Lengths differ, or times are missing or do not increase; the message names the
    /// row.</exception>
    public RowValues Read()
    {
        foreach (NumberReader values in _values)
            values.Read();
        _times?.Read();
        int length = Length();
        int stride = TimeParts + input.ChannelCount;
        _count = length * stride;
        if (_packed.Length < _count)
            _packed = new float[Math.Max(_count, 2 * _packed.Length)];
        for (int i = 0; i < length; i++)
        {
            Span<float> observation = _packed.AsSpan(i * stride, stride);
            double time = _times is null ? i : Time(i);
            SetTime(observation, time);
            for (int c = 0; c < input.ChannelCount; c++)
                observation[TimeParts + c] = (float)(_values.Length == 1 ? _values[0][i * input.ChannelCount + c] : _values[c][i]);
        }
        return Current;
    }

    /// <summary>The time of an observation.</summary>
    public static double TimeOf(ReadOnlySpan<float> observation) => (double)observation[0] + observation[1];

    /// <summary>Writes the time of an observation.</summary>
    public static void SetTime(Span<float> observation, double time)
    {
        observation[0] = (float)time;
        observation[1] = (float)(time - observation[0]);
    }

    private int Length()
    {
        int length;
        if (_values.Length > 1)
        {
            length = _values[0].Count;
            for (int c = 1; c < _values.Length; c++)
                if (_values[c].Count != length)
                    throw Wrong(
                        $"the column '{_values[c].Name}' has {_values[c].Count} values and '{_values[0].Name}' {length}; all channels of a series "
                        + "must have the same length: NaN is a missing value");
        }
        else
        {
            (length, int rest) = Math.DivRem(_values[0].Count, input.ChannelCount);
            if (rest != 0)
                throw Wrong(
                    $"the column '{_values[0].Name}' has {_values[0].Count} values, which are not whole times of {input.ChannelCount} channels");
        }
        if (_times is not null && _times.Count != length)
            throw Wrong(
                $"the column '{_times.Name}' has {_times.Count} times for {length} observations of {input.ChannelCount} channels in "
                + $"'{_values[0].Name}'");
        return length;
    }

    private double Time(int place)
    {
        double time = _times![place];
        if (!double.IsFinite(time))
            throw Wrong(
                string.Create(CultureInfo.InvariantCulture, $"time {place} in the column '{_times.Name}' is {time}; times must be finite"));
        if (place > 0 && !(time > _times[place - 1]))
            throw Wrong(string.Create(CultureInfo.InvariantCulture,
                $"time {place} in the column '{_times.Name}' is {time}, after {_times[place - 1]}; times must increase"));
        return time - _times[0];
    }

    private InvalidOperationException Wrong(string what) => new($"In row {row.Position} (counted from 0) {what}.");

    /// <summary>A column of numbers, of one type or the other.</summary>
    private abstract class NumberReader(string name)
    {
        public string Name { get; } = name;

        public abstract int Count { get; }

        public abstract double this[int place] { get; }

        public static NumberReader Open(DataViewRow row, DataViewSchema.Column column) =>
            ((VectorDataViewType)column.Type).ItemType.Equals(NumberDataViewType.Single)
                ? new NumberReader<float>(row, column)
                : new NumberReader<double>(row, column);

        public abstract void Read();
    }

    private sealed class NumberReader<T>(DataViewRow row, DataViewSchema.Column column) : NumberReader(column.Name)
        where T : struct, IConvertible
    {
        private readonly ValueGetter<VBuffer<T>> _getter = row.GetGetter<VBuffer<T>>(column);
        private VBuffer<T> _buffer;
        private T[] _numbers = [];

        public override int Count => _buffer.Length;

        public override double this[int place] => _numbers[place] is float single ? single : _numbers[place].ToDouble(null);

        public override void Read()
        {
            _getter(ref _buffer);
            if (_numbers.Length < _buffer.Length)
                _numbers = new T[_buffer.Length];
            // What a sparse vector leaves out is zero.
            _buffer.CopyTo(_numbers);
        }
    }
}
