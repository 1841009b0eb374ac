namespace Microsoft.ML.NeuralOde;

/// <summary>What comes next in a series, step by step.</summary>
/// <param name="Times">The times, in the unit of the series; dates in seconds since the beginning of 1970.</param>
/// <param name="Values">The expected values.</param>
/// <param name="LowerBounds">The lower ends of their intervals.</param>
/// <param name="UpperBounds">The upper ends of their intervals.</param>
/// <param name="ConfidenceLevel">The share of values that are to lie inside.</param>
public sealed record SeriesForecast(double[] Times, float[] Values, float[] LowerBounds, float[] UpperBounds, double ConfidenceLevel)
{
    /// <summary>The times of a series whose times are dates, in UTC.</summary>
    public DateTime[] Dates() => [.. Times.Select(time => DateTime.UnixEpoch.AddSeconds(time))];
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
        : this(value, (time - DateTime.UnixEpoch).TotalSeconds)
    {
    }
}
