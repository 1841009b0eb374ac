using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>The columns that are added, and the confidence level of their intervals.</summary>
internal sealed record ForecastOutputs(string Forecast, string? LowerBound, string? UpperBound, double ConfidenceLevel);

/// <summary>The end of a series, from which forecasts go on.</summary>
/// <param name="Key">Its key.</param>
/// <param name="Times">The times of its last observations.</param>
/// <param name="Values">Their values, null where one is missing; a time's channels stand behind those of the time before.</param>
/// <param name="ExogenousTimes">The times at which exogenous values are known, which may go on behind the others; null for none.</param>
/// <param name="Exogenous">The exogenous values at them.</param>
internal sealed record SeriesTail(
    string Key, double[] Times, float?[] Values, double[]? ExogenousTimes = null, float[]? Exogenous = null)
{
    public static SeriesTail Of(ObservedSeries series, int length)
    {
        ObservedSeries tail = (series.Exogenous is null ? series : series.WithoutFuture()).Tail(length);
        ExogenousTrack? track = tail.Exogenous;
        return new SeriesTail(
            series.Key, [.. Enumerable.Range(0, tail.Count).Select(tail.Time)],
            [.. Enumerable.Range(0, tail.Count).SelectMany(place => tail.Values(place).ToArray())
                .Select(value => float.IsNaN(value) ? (float?)null : value)],
            track is null ? null : [.. Enumerable.Range(0, track.Count).Select(track.Time)],
            track is null ? null : [.. Enumerable.Range(0, track.Count).SelectMany(place => track.Values(place).ToArray())]);
    }

    public ObservedSeries ToSeries(int channels, string[]? exogenous)
    {
        ExogenousTrack? track = exogenous is null ? null : new ExogenousTrack(exogenous);
        for (int i = 0; i < (track is null ? 0 : ExogenousTimes!.Length); i++)
            track!.Set(ExogenousTimes![i], Exogenous.AsSpan(i * track.Channels, track.Channels));
        var series = new ObservedSeries(Key, channels, track);
        for (int i = 0; i < Times.Length; i++)
            series.Add(Times[i], [.. Values.Skip(i * channels).Take(channels).Select(value => value ?? float.NaN)]);
        return series;
    }

    /// <summary>Whether it is the end of a series of so many channels and exogenous columns.</summary>
    public bool IsSound(int channels, int exogenous) => Key is not null && Increase(Times)
        && Values?.Length == (long)channels * Times.Length && Array.TrueForAll(Values, value => value is null || float.IsFinite(value.Value))
        && (exogenous == 0 ? ExogenousTimes is null && Exogenous is null
            : Increase(ExogenousTimes) && Exogenous?.Length == (long)exogenous * ExogenousTimes!.Length
                && Array.TrueForAll(Exogenous, float.IsFinite));

    private static bool Increase(double[]? times) => times is not null
        && Enumerable.Range(0, times.Length).All(i => double.IsFinite(times[i]) && (i == 0 || times[i] > times[i - 1]));
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
        if ((Columns.Exogenous?.Length ?? 0) != Network.Exogenous || (Columns.Channels?.Length ?? Network.Channels) != Network.Channels)
            return "its columns are not those of its network";
        string?[] names = [Columns.Values, Outputs.Forecast, .. Columns.Channels ?? [], .. Columns.Exogenous ?? []];
        string?[] others = [Columns.Times, Columns.Key, Outputs.LowerBound, Outputs.UpperBound];
        if (names.Any(string.IsNullOrWhiteSpace) || others.Any(name => name is not null && string.IsNullOrWhiteSpace(name)))
            return "the name of a column is missing";
        if (!(Outputs.ConfidenceLevel is > 0 and < 1))
            return $"its confidence level is {Outputs.ConfidenceLevel}";
        return Array.TrueForAll(Tails, tail => tail?.IsSound(Network.Channels, Network.Exogenous) == true)
            ? null : "the end of a series makes no sense";
    }

    /// <summary>The arrays of the network and of what its intervals are made by.</summary>
    public static IReadOnlyList<NamedArray> ToArrays(ForecastNetwork network, ForecastCalibration calibration) =>
    [
        .. network.ToArrays(),
        .. (calibration.Scores
            ?? []).Select((scores, lead) => new NamedArray($"scores.{lead}", [scores.Length], [.. scores.Select(score => (float)score)])),
    ];

    /// <exception cref="InvalidDataException">Some of the errors are missing or make no sense.</exception>
    public static ForecastCalibration CalibrationOf(IReadOnlyList<NamedArray> arrays, int places)
    {
        Dictionary<string, NamedArray> byName = arrays.Where(array => array.Name.StartsWith("scores.", StringComparison.Ordinal))
            .ToDictionary(array => array.Name);
        if (byName.Count == 0)
            return new ForecastCalibration(null);
        return new ForecastCalibration([.. Enumerable.Range(0, places).Select(place =>
            byName.TryGetValue($"scores.{place}", out NamedArray? scores)
            && scores.Values.Length > 0 && scores.Values.All(score => score >= 0)
                ? scores.Values.Select(score => (double)score).ToArray()
                : throw PayloadReader.Damaged($"what the interval at place {place} is made by is missing"))]);
    }
}
