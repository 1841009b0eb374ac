using System.Globalization;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>The exogenous values of one series by their times, which may go on behind the series' observations.</summary>
/// <param name="names">The columns that they stand in.</param>
internal sealed class ExogenousTrack(IReadOnlyList<string> names)
{
    private readonly List<double> _times = [];
    private readonly List<float> _values = [];

    public IReadOnlyList<string> Names { get; } = names;

    public int Channels => Names.Count;

    public int Count => _times.Count;

    /// <summary>The last time at which they are known; minus infinity where they never are.</summary>
    public double LastTime => Count == 0 ? double.NegativeInfinity : _times[^1];

    public double Time(int place) => _times[place];

    public ReadOnlySpan<float> Values(int place) =>
        System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_values).Slice(place * Channels, Channels);

    /// <summary>What makes no sense in values at a time, as a clause; null for nothing.</summary>
    public string? FindDefect(double time, ReadOnlySpan<float> values)
    {
        if (!double.IsFinite(time))
            return string.Create(CultureInfo.InvariantCulture, $"the time is {time}; times must be finite");
        for (int i = 0; i < values.Length; i++)
            if (!float.IsFinite(values[i]))
                return string.Create(
                    CultureInfo.InvariantCulture,
                    $"the exogenous value '{Names[i]}' is {values[i]}; exogenous values must be finite, "
                    + $"and known wherever a series goes on");
        return null;
    }

    /// <summary>Sets the values at a time, which may be known already.</summary>
    public void Set(double time, ReadOnlySpan<float> values)
    {
        int place = Count > 0 && time > LastTime ? Count : _times.BinarySearch(time);
        if (place < 0)
            place = ~place;
        else if (place < Count)
        {
            for (int i = 0; i < Channels; i++)
                _values[place * Channels + i] = values[i];
            return;
        }
        _times.Insert(place, time);
        _values.InsertRange(place * Channels, values.ToArray());
    }

    /// <summary>A value at a time: on the straight line between two known ones, before the first that one.</summary>
    /// <param name="channel">Which.</param>
    /// <param name="time">The time.</param>
    /// <param name="held">How far behind the last one it stays; further behind it is NaN.</param>
    public double At(int channel, double time, double held)
    {
        if (Count == 0 || time > LastTime + held)
            return double.NaN;
        int right = _times.BinarySearch(time);
        if (right >= 0)
            return _values[right * Channels + channel];
        right = ~right;
        if (right == 0 || right == Count)
            return _values[(right == 0 ? 0 : Count - 1) * Channels + channel];
        double before = _values[(right - 1) * Channels + channel], after = _values[right * Channels + channel];
        return before + (time - _times[right - 1]) / (_times[right] - _times[right - 1]) * (after - before);
    }

    /// <summary>A copy of what counts from a time on.</summary>
    public ExogenousTrack From(double time)
    {
        var copy = new ExogenousTrack(Names);
        int first = _times.BinarySearch(time);
        first = first >= 0 ? first : Math.Max(0, ~first - 1);
        copy._times.AddRange(_times.Skip(first));
        copy._values.AddRange(_values.Skip(first * Channels));
        return copy;
    }
}
