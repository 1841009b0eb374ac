namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>
/// How many deviations an interval is wide: by the errors on windows that were not trained on, step by step (split conformal prediction,
/// V. Vovk et al. 2005; J. Lei et al. 2018), or by the normal distribution.
/// </summary>
/// <param name="scores">Of each channel of each lead the errors in deviations, ascending; null for the normal distribution.</param>
internal sealed class ForecastCalibration(double[][]? scores)
{
    public double[][]? Scores { get; } = scores;

    /// <summary>The errors of a forecaster on windows.</summary>
    public static ForecastCalibration Of(
        IReadOnlyList<(ContextView Context, double[] Targets)> windows, WindowForecast[] forecasts, int leads, int channels)
    {
        double[][] scores = [.. Enumerable.Range(0, leads * channels).Select(place => windows
            .Select((window, i) => Math.Abs(window.Targets[place] - forecasts[i].Means[place]) / forecasts[i].Deviations[place])
            .Where(score => !double.IsNaN(score)).Order().Select(score => (double)(float)score).ToArray())];
        // A lead that no window reaches has the errors of the one before.
        for (int place = channels; place < scores.Length; place++)
            scores[place] = scores[place].Length > 0 ? scores[place] : scores[place - channels];
        return new ForecastCalibration(scores.Take(channels).All(first => first.Length > 0) ? scores : null);
    }

    /// <summary>The half width of an interval, in deviations.</summary>
    /// <param name="place">The place of the channel of the step, from 0: a step's channels stand behind those of the step before.</param>
    /// <param name="confidence">The share of values that are to lie inside.</param>
    public double HalfWidth(int place, double confidence)
    {
        if (Scores is null)
        {
            using Tensor level = tensor(confidence, ScalarType.Float64);
            using Tensor normal = level.erfinv();
            return Math.Sqrt(2) * normal.ToDouble();
        }
        double[] errors = Scores[place];
        // The quantile of n errors and of the one to come; of few errors the largest.
        int rank = (int)Math.Ceiling((errors.Length + 1) * confidence);
        return errors[Math.Clamp(rank, 1, errors.Length) - 1];
    }
}
