using System.Globalization;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>One series as far as it is known: times that increase, and values, NaN where one is missing.</summary>
/// <param name="key">Its key; empty where there is one series.</param>
internal sealed class ObservedSeries(string key)
{
    private readonly List<double> _times = [];
    private readonly List<float> _values = [];

    public string Key { get; } = key;

    public int Count => _times.Count;

    public double Time(int place) => _times[place];

    public float Value(int place) => _values[place];

    public double LastTime => _times[^1];

    /// <summary>Why an observation cannot come next, as a clause; null where it can.</summary>
    public string? FindDefect(double time, float value)
    {
        if (!double.IsFinite(time))
            return string.Create(CultureInfo.InvariantCulture, $"the time is {time}; times must be finite");
        if (float.IsInfinity(value))
            return string.Create(
                CultureInfo.InvariantCulture, $"the value is {value}; values must be finite, or NaN where they are missing");
        return Count > 0 && !(time > LastTime)
            ? string.Create(
                CultureInfo.InvariantCulture, $"the time is {time}, after {LastTime}{OfKey}; times must increase: sort the rows by time")
            : null;
    }

    public void Add(double time, float value)
    {
        _times.Add(time);
        _values.Add(value);
    }

    /// <summary>The last place in front of another at which a value was observed; −1 for none.</summary>
    public int LastObserved(int end)
    {
        int place = end - 1;
        while (place >= 0 && float.IsNaN(_values[place]))
            place--;
        return place;
    }

    /// <summary>The number of observed values in a range of places.</summary>
    public int CountObserved(int first, int end)
    {
        int count = 0;
        for (int i = first; i < end; i++)
            count += float.IsNaN(_values[i]) ? 0 : 1;
        return count;
    }

    /// <summary>A copy of its end.</summary>
    public ObservedSeries Tail(int length)
    {
        var tail = new ObservedSeries(Key);
        for (int i = Math.Max(0, Count - length); i < Count; i++)
            tail.Add(_times[i], _values[i]);
        return tail;
    }

    /// <summary>Forgets its beginning where it has become more than twice as long as is needed.</summary>
    public void Shorten(int length)
    {
        if (Count <= 2 * length)
            return;
        int excess = Count - length;
        _times.RemoveRange(0, excess);
        _values.RemoveRange(0, excess);
    }

    private string OfKey => Key.Length == 0 ? "" : $" in the series '{Key}'";
}
