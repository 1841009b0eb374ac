namespace Microsoft.ML.NeuralOde.Samples.Forecasting;

/// <summary>A simple method: continues a history by some steps.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Continue">From the history and the number of steps to the values.</param>
internal sealed record Baseline(string Name, Func<double[], int, double[]> Continue);

/// <summary>Simple methods to compare with; a value that is missing is the one before.</summary>
internal static class ForecastBaselines
{
    private const int LongestSeason = 400;

    /// <summary>Steps ahead by which the rates of exponential smoothing are chosen.</summary>
    private const int Leads = 10;
    private const double SeasonalShare = 0.75;

    private static readonly double[] Grid = [0.01, 0.05, 0.2, 0.5, 0.8];

    /// <summary>The methods, with what they learn of the training part of a series.</summary>
    public static IReadOnlyList<Baseline> Of(double[] training)
    {
        int season = Season(training);
        (int length, double level, double trend, double seasonal) = FindRates(training, season);
        return
        [
            new Baseline("naive", (history, steps) => [.. Enumerable.Repeat(history[^1], steps)]),
            new Baseline("seasonal naive",
                (history, steps) => [.. Enumerable.Range(0, steps).Select(i => history[history.Length - season + i % season])]),
            new Baseline("drift", (history, steps) =>
                [.. Enumerable.Range(1, steps)
                    .Select(i => history[^1] + i * (history[^1] - history[0]) / Math.Max(1, history.Length - 1))]),
            new Baseline("exponential smoothing", (history, steps) => Smooth(history, length, (level, trend, seasonal), steps).Forecast),
        ];
    }

    public static double[] Filled(IEnumerable<float> values)
    {
        float[] all = [.. values];
        double last = all.FirstOrDefault(value => !float.IsNaN(value));
        return [.. all.Select(value => last = float.IsNaN(value) ? last : value)];
    }

    /// <summary>
    /// The lag at which values are nearest to those before, but for a steady rise, where they were clearly farther from each other in
    /// between; 1 where there is none.
    /// </summary>
    public static int Season(double[] values)
    {
        int lags = Math.Min(values.Length / 3, LongestSeason);
        var found = new List<(int Lag, double Deviation)>();
        double largest = 0;
        for (int lag = 1; lag < lags; lag++)
        {
            double deviation = Deviation(values, lag);
            if (lag > 1 && deviation <= SeasonalShare * largest)
                found.Add((lag, deviation));
            largest = Math.Max(largest, deviation);
        }
        // Several seasons are nearly as good as one.
        return found.Count == 0 ? 1 : found.First(one => one.Deviation <= 1.1 * found.Min(other => other.Deviation)).Lag;
    }

    private static double Deviation(double[] values, int lag)
    {
        double[] changes = [.. values.Skip(lag).Zip(values, (later, value) => later - value)];
        double rise = changes.Average();
        return changes.Average(change => Math.Abs(change - rise));
    }

    /// <summary>The rates, and with them whether there is a season at all, by the errors of forecasts as long as those that are asked for.</summary>
    private static (int Season, double Level, double Trend, double Seasonal) FindRates(double[] values, int season)
    {
        (int, double, double, double) best = (1, 0.5, 0, 0);
        double least = double.PositiveInfinity;
        foreach (int length in season > 1 ? [1, season] : (int[])[1])
            foreach (double level in Grid)
                foreach (double trend in (double[])[0, .. Grid])
                    foreach (double seasonal in length > 1 ? Grid : [0])
                        if (Smooth(values, length, (level, trend, seasonal), 0).Error is var error && error < least)
                            (least, best) = (error, (length, level, trend, seasonal));
        return best;
    }

    /// <summary>Level, trend and season (C. Holt 1957, P. Winters 1960), additive; without a season where there are not two.</summary>
    private static (double Error, double[] Forecast) Smooth(
        double[] values, int season, (double Level, double Trend, double Season) rates, int steps)
    {
        bool isSeasonal = season > 1 && values.Length > 2 * season;
        double[] seasons = new double[isSeasonal ? season : 1];
        double level = values[0], trend = 0, error = 0;
        if (isSeasonal)
        {
            level = values.Take(season).Average();
            trend = (values.Skip(season).Take(season).Average() - level) / season;
            for (int i = 0; i < season; i++)
                seasons[i] = values[i] - level;
        }
        for (int i = isSeasonal ? season : 1; i < values.Length; i++)
        {
            int place = i % seasons.Length;
            double found = values[i] - (level + trend + seasons[place]);
            for (int lead = 0; lead < Leads && i + lead < values.Length; lead++)
            {
                double ahead = values[i + lead] - (level + (lead + 1) * trend + seasons[(i + lead) % seasons.Length]);
                error += ahead * ahead;
            }
            double before = level;
            level += trend + rates.Level * found;
            trend += rates.Trend * (level - before - trend);
            if (isSeasonal)
                seasons[place] += rates.Season * (values[i] - level - seasons[place]);
        }
        return (error, [.. Enumerable.Range(1, steps).Select(i => level + i * trend + seasons[(values.Length + i - 1) % seasons.Length])]);
    }
}
