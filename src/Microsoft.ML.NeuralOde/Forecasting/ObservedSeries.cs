using System.Globalization;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>One series as far as it is known: times that increase, and the values of its channels, NaN where one is missing.</summary>
/// <param name="key">Its key; empty where there is one series.</param>
/// <param name="channels">The number of channels.</param>
/// <param name="exogenous">Its exogenous values; null for none.</param>
/// <param name="isKnownAhead">Whether all exogenous values are there already; then copies share them.</param>
internal sealed class ObservedSeries(string key, int channels = 1, ExogenousTrack? exogenous = null, bool isKnownAhead = false)
{
    private readonly List<double> _times = [];
    private readonly List<float> _values = [];

    public string Key { get; } = key;

    public int Channels { get; } = channels;

    public ExogenousTrack? Exogenous { get; private set; } = exogenous;

    public bool IsKnownAhead { get; } = isKnownAhead;

    public int Count => _times.Count;

    public double Time(int place) => _times[place];

    public float Value(int place, int channel = 0) => _values[place * Channels + channel];

    /// <summary>The values of all channels at a place.</summary>
    public ReadOnlySpan<float> Values(int place) =>
        System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_values).Slice(place * Channels, Channels);

    public double LastTime => _times[^1];

    /// <summary>Why an observation cannot come next, as a clause; null where it can.</summary>
    public string? FindDefect(double time, ReadOnlySpan<float> values)
    {
        if (!double.IsFinite(time))
            return string.Create(CultureInfo.InvariantCulture, $"the time is {time}; times must be finite");
        foreach (float value in values)
            if (float.IsInfinity(value))
                return string.Create(
                    CultureInfo.InvariantCulture, $"the value is {value}; values must be finite, or NaN where they are missing");
        return Count > 0 && !(time > LastTime)
            ? string.Create(
                CultureInfo.InvariantCulture, $"the time is {time}, after {LastTime}{OfKey}; times must increase: sort the rows by time")
            : null;
    }

    public void Add(double time, ReadOnlySpan<float> values)
    {
        _times.Add(time);
        _values.AddRange(values);
    }

    public bool IsObserved(int place) => Values(place).ContainsAnyExcept(float.NaN);

    /// <summary>The last place in front of another at which any value was observed; −1 for none.</summary>
    public int LastObserved(int end)
    {
        int place = end - 1;
        while (place >= 0 && !IsObserved(place))
            place--;
        return place;
    }

    /// <summary>The last place in front of another at which a channel was observed; −1 for none.</summary>
    public int LastObserved(int end, int channel)
    {
        int place = end - 1;
        while (place >= 0 && float.IsNaN(Value(place, channel)))
            place--;
        return place;
    }

    /// <summary>The number of observed values of a channel in a range of places.</summary>
    public int CountObserved(int first, int end, int channel)
    {
        int count = 0;
        for (int i = first; i < end; i++)
            count += float.IsNaN(Value(i, channel)) ? 0 : 1;
        return count;
    }

    /// <summary>The number of places in a range at which any value was observed.</summary>
    public int CountObserved(int first, int end)
    {
        int count = 0;
        for (int i = first; i < end; i++)
            count += IsObserved(i) ? 1 : 0;
        return count;
    }

    /// <summary>A copy of its end; exogenous values that go on behind it are kept.</summary>
    public ObservedSeries Tail(int length) => Part(Math.Max(0, Count - length), Count);

    /// <summary>A copy without what stands behind the last observed value: places of which exogenous values alone are known.</summary>
    public ObservedSeries WithoutFuture() => Part(0, LastObserved(Count) + 1);

    /// <summary>Forgets its beginning where it has become more than twice as long as is needed.</summary>
    public void Shorten(int length)
    {
        if (Count <= 2 * length)
            return;
        int excess = Count - length;
        _times.RemoveRange(0, excess);
        _values.RemoveRange(0, excess * Channels);
        if (!IsKnownAhead)
            Exogenous = Exogenous?.From(_times[0]);
    }

    private ObservedSeries Part(int first, int end)
    {
        ExogenousTrack? exogenous = IsKnownAhead || Count == 0 ? Exogenous : Exogenous?.From(_times[Math.Min(first, Count - 1)]);
        var part = new ObservedSeries(Key, Channels, exogenous, IsKnownAhead);
        for (int i = first; i < end; i++)
            part.Add(_times[i], Values(i));
        return part;
    }

    private string OfKey => Key.Length == 0 ? "" : $" in the series '{Key}'";
}
