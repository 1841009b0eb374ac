namespace Microsoft.ML.NeuralOde;

/// <summary>What comes next in a series, step by step.</summary>
/// <param name="Times">The times, in the unit of the series; dates in seconds since the beginning of 1970.</param>
/// <param name="Values">The expected values; a time's channels stand behind those of the time before.</param>
/// <param name="LowerBounds">The lower ends of their intervals.</param>
/// <param name="UpperBounds">The upper ends of their intervals.</param>
/// <param name="ConfidenceLevel">The share of values that are to lie inside.</param>
public sealed record SeriesForecast(double[] Times, float[] Values, float[] LowerBounds, float[] UpperBounds, double ConfidenceLevel)
{
    /// <summary>The number of channels. Default: 1.</summary>
    public int ChannelCount { get; init; } = 1;

    /// <summary>The times of a series whose times are dates, in UTC.</summary>
    public DateTime[] Dates() => [.. Times.Select(time => DateTime.UnixEpoch.AddSeconds(time))];

    /// <summary>The forecast of one channel.</summary>
    /// <param name="channel">Which, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such channel.</exception>
    public SeriesForecast Channel(int channel)
    {
        if (channel < 0 || channel >= ChannelCount)
            throw new ArgumentOutOfRangeException(
                nameof(channel), channel, $"channel is {channel}; the forecast has the channels 0 to {ChannelCount - 1}.");
        return this with { Values = Of(Values), LowerBounds = Of(LowerBounds), UpperBounds = Of(UpperBounds), ChannelCount = 1 };

        float[] Of(float[] all) => [.. Enumerable.Range(0, Times.Length).Select(step => all[step * ChannelCount + channel])];
    }
}

/// <summary>A new value of a series.</summary>
/// <param name="Value">The value; NaN where it is missing.</param>
/// <param name="Time">Its time; null for one step behind the last one.</param>
public readonly record struct SeriesObservation(float Value, double? Time = null)
{
    /// <summary>A value of a series whose times are dates.</summary>
    /// <param name="value">The value; NaN where it is missing.</param>
    /// <param name="time">Its date.</param>
    public SeriesObservation(float value, DateTime time)
        : this(value, SecondsOf(time))
    {
    }

    /// <summary>The values of a series of several channels.</summary>
    /// <param name="values">One a channel; NaN where one is missing.</param>
    /// <param name="time">Their time; null for one step behind the last one.</param>
    public SeriesObservation(IReadOnlyList<float> values, double? time = null)
        : this(float.NaN, time) => Values = values;

    /// <summary>The values of a series of several channels whose times are dates.</summary>
    /// <param name="values">One a channel; NaN where one is missing.</param>
    /// <param name="time">Their date.</param>
    public SeriesObservation(IReadOnlyList<float> values, DateTime time)
        : this(values, SecondsOf(time))
    {
    }

    /// <summary>The values of all channels, one a channel; null for the single <see cref="Value"/>. Default: null.</summary>
    public IReadOnlyList<float>? Values { get; init; }

    /// <summary>
    /// The exogenous values at the time, in the order of the columns; null where there are none, or where the engine was told of them
    /// before. Default: null.
    /// </summary>
    public IReadOnlyList<float>? Exogenous { get; init; }

    internal static double SecondsOf(DateTime time) => (time - DateTime.UnixEpoch).TotalSeconds;
}

/// <summary>What an engine is asked for: times, and the exogenous values that are known of them.</summary>
public sealed record SeriesFuture
{
    /// <summary>
    /// The times to forecast, which increase and lie behind the last observation; dates in seconds since the beginning of 1970. Default:
    /// null, the next steps, which are as long as the series' usual (median) distance: as many as there are exogenous values, or the
    /// horizon.
    /// </summary>
    public IReadOnlyList<double>? Times { get; init; }

    /// <summary>
    /// The exogenous values at the times, one array a time in the order of the columns. Between times they lie on straight lines. Default:
    /// null, where there are none, or where the engine knows them from its data.
    /// </summary>
    public IReadOnlyList<IReadOnlyList<float>>? Exogenous { get; init; }

    /// <summary>Asks for times.</summary>
    /// <param name="times">The times.</param>
    public static SeriesFuture At(params IReadOnlyList<double> times) => new() { Times = times };

    /// <summary>Asks for dates.</summary>
    /// <param name="dates">The dates; those of an unspecified kind count as UTC.</param>
    public static SeriesFuture At(params IReadOnlyList<DateTime> dates)
    {
        ArgumentNullException.ThrowIfNull(dates);
        return new() { Times = [.. dates.Select(SeriesObservation.SecondsOf)] };
    }
}
