using System.Text.Json.Serialization;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>The columns that are added, and the confidence level of their intervals.</summary>
internal sealed record ForecastOutputs(string Forecast, string? LowerBound, string? UpperBound, double ConfidenceLevel);

/// <summary>The end of a series, from which forecasts go on.</summary>
internal sealed record SeriesTail(string Key, double[] Times, float?[] Values)
{
    public static SeriesTail Of(ObservedSeries series, int length)
    {
        ObservedSeries tail = series.Tail(length);
        return new SeriesTail(
            series.Key, [.. Enumerable.Range(0, tail.Count).Select(tail.Time)],
            [.. Enumerable.Range(0, tail.Count).Select(place => float.IsNaN(tail.Value(place)) ? (float?)null : tail.Value(place))]);
    }

    public ObservedSeries ToSeries()
    {
        var series = new ObservedSeries(Key);
        for (int i = 0; i < Times.Length; i++)
            series.Add(Times[i], Values[i] ?? float.NaN);
        return series;
    }

    [JsonIgnore]
    public bool IsSound => Key is not null && Times is not null && Values?.Length == Times.Length && Enumerable.Range(0, Times.Length).All(
        i => double.IsFinite(Times[i]) && (i == 0 || Times[i] > Times[i - 1]) && (Values[i] is null || float.IsFinite(Values[i]!.Value)));
}

/// <summary>What stands beside the weights in a file of a forecaster.</summary>
/// <param name="Network">The network's structure.</param>
/// <param name="Columns">The columns that are read.</param>
/// <param name="Outputs">The columns that are added.</param>
/// <param name="Tails">The ends of the series.</param>
/// <param name="History">What happened in each epoch of the training.</param>
/// <param name="Options">The trainer's options as text, for people.</param>
internal sealed record ForecastModelDescription(
    ForecastDescription Network, ForecastColumns Columns, ForecastOutputs Outputs, SeriesTail[] Tails,
    IReadOnlyList<NeuralOdeEpochReport> History,
    IReadOnlyDictionary<string, string>? Options)
{
    /// <summary>What makes no sense in a description that was read, as a clause; null for nothing.</summary>
    public string? FindDefect()
    {
        if (Network is null || Columns is null || Outputs is null || Tails is null || History is null)
            return "a part of its description is missing";
        if (Network.FindDefect() is { } defect)
            return defect;
        string?[] names = [Columns.Values, Outputs.Forecast];
        string?[] others = [Columns.Times, Columns.Key, Outputs.LowerBound, Outputs.UpperBound];
        if (names.Any(string.IsNullOrWhiteSpace) || others.Any(name => name is not null && string.IsNullOrWhiteSpace(name)))
            return "the name of a column is missing";
        if (!(Outputs.ConfidenceLevel is > 0 and < 1))
            return $"its confidence level is {Outputs.ConfidenceLevel}";
        return Array.TrueForAll(Tails, tail => tail is { IsSound: true }) ? null : "the end of a series makes no sense";
    }

    /// <summary>The arrays of the network and of what its intervals are made by.</summary>
    public static IReadOnlyList<NamedArray> ToArrays(ForecastNetwork network, ForecastCalibration calibration) =>
    [
        .. network.ToArrays(),
        .. (calibration.Scores
            ?? []).Select((scores, lead) => new NamedArray($"scores.{lead}", [scores.Length], [.. scores.Select(score => (float)score)])),
    ];

    /// <exception cref="InvalidDataException">Some of the errors are missing or make no sense.</exception>
    public static ForecastCalibration CalibrationOf(IReadOnlyList<NamedArray> arrays, int leads)
    {
        Dictionary<string, NamedArray> byName = arrays.Where(array => array.Name.StartsWith("scores.", StringComparison.Ordinal))
            .ToDictionary(array => array.Name);
        if (byName.Count == 0)
            return new ForecastCalibration(null);
        return new ForecastCalibration([.. Enumerable.Range(0, leads).Select(lead =>
            byName.TryGetValue($"scores.{lead}", out NamedArray? scores)
            && scores.Values.Length > 0 && scores.Values.All(score => score >= 0)
                ? scores.Values.Select(score => (double)score).ToArray()
                : throw PayloadReader.Damaged($"what the intervals of step {lead + 1} are made by is missing"))]);
    }
}
