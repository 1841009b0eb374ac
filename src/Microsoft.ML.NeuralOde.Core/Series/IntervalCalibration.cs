namespace Microsoft.ML.NeuralOde;

/// <summary>
/// How wide the intervals of a model of series, such as a <see cref="LatentOde"/>, must be, channel by channel: by its errors on series
/// that it was not trained on (split conformal prediction; V. Vovk, A. Gammerman, G. Shafer 2005; J. Lei et al. 2018).
/// </summary>
/// <remarks>
/// The noise that a model learns is that of its errors in training. On new series they are larger, the more so the fewer series there were,
/// and intervals by the noise alone are too narrow. Keep some series from the training, ask the model about them in the way that it will be
/// asked, and take the widths from here. They hold for series that are drawn as those were; of few series they are a guess, since the
/// errors of one series go together.
/// </remarks>
public sealed class IntervalCalibration
{
    private readonly double[][] _scores;

    private IntervalCalibration(double[][] scores) => _scores = scores;

    /// <summary>Takes the errors of forecasts.</summary>
    /// <param name="forecasts">
    /// Of series that were not trained on: the expected values, their standard deviations, such as those of a <see cref="LatentForecast"/>,
    /// and what came, NaN where nothing was seen. Shape <c>[batch, n, channels]</c> each.
    /// </param>
    /// <returns>The calibration.</returns>
    /// <exception cref="ArgumentException">There is no forecast, shapes differ, or a channel has no value.</exception>
    public static IntervalCalibration Of(params IReadOnlyList<(Tensor Mean, Tensor StandardDeviation, Tensor Values)> forecasts)
    {
        ArgumentNullException.ThrowIfNull(forecasts);
        if (forecasts.Count == 0)
            throw new ArgumentException("There is no forecast; at least one is needed.", nameof(forecasts));
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        List<double>[] scores = [.. Enumerable.Range(0, (int)forecasts[0].Mean.shape[^1]).Select(_ => new List<double>())];
        foreach ((Tensor mean, Tensor deviation, Tensor values) in forecasts)
        {
            if (!values.shape.SequenceEqual(mean.shape) || !deviation.shape.SequenceEqual(mean.shape) || mean.dim() != 3
                || mean.size(2) != scores.Length)
                throw new ArgumentException(
                    $"Values of the shape [{string.Join(", ", values.shape)}] and deviations of [{string.Join(", ", deviation.shape)}] do not "
                    + $"belong to means of [{string.Join(", ", mean.shape)}]: all must be [batch, n, {scores.Length}].", nameof(forecasts));
            Tensor relative = (values.to(mean.device) - mean) / deviation;
            double[] all = relative.abs().to(ScalarType.Float64, CPU).contiguous().data<double>().ToArray();
            for (int i = 0; i < all.Length; i++)
                if (!double.IsNaN(all[i]))
                    scores[i % scores.Length].Add(all[i]);
        }
        int empty = Array.FindIndex(scores, own => own.Count == 0);
        if (empty >= 0)
            throw new ArgumentException($"Channel {empty} has no value to calibrate by.", nameof(forecasts));
        return new IntervalCalibration([.. scores.Select(own => own.Order().ToArray())]);
    }

    /// <summary>The half width of an interval.</summary>
    /// <param name="channel">The channel, from 0.</param>
    /// <param name="confidence">The share of values that are to lie inside, between 0 and 1.</param>
    /// <returns>In standard deviations; of too few values the largest error.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such channel, or the share makes no sense.</exception>
    public double HalfWidth(int channel, double confidence)
    {
        if (channel < 0 || channel >= _scores.Length)
            throw new ArgumentOutOfRangeException(
                nameof(channel), channel, $"channel is {channel}; there are the channels 0 to {_scores.Length - 1}.");
        if (!(confidence is > 0 and < 1))
            throw new ArgumentOutOfRangeException(
                nameof(confidence), confidence, $"confidence is {confidence}; it must be between 0 and 1, such as 0.9.");
        double[] own = _scores[channel];
        // The quantile of the errors and of the one to come.
        return own[Math.Clamp((int)Math.Ceiling((own.Length + 1) * confidence), 1, own.Length) - 1];
    }

    /// <summary>The intervals of a forecast.</summary>
    /// <param name="mean">The expected values, <c>[batch, n, channels]</c>.</param>
    /// <param name="standardDeviation">Their standard deviations, in the same shape.</param>
    /// <param name="confidence">The share of values that are to lie inside, between 0 and 1.</param>
    /// <returns>Their ends, in the shape of the mean.</returns>
    /// <exception cref="ArgumentException">The forecast has another number of channels.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The share makes no sense.</exception>
    public (Tensor Lower, Tensor Upper) Intervals(Tensor mean, Tensor standardDeviation, double confidence)
    {
        ArgumentNullException.ThrowIfNull(mean);
        ArgumentNullException.ThrowIfNull(standardDeviation);
        if (mean.dim() != 3 || mean.size(2) != _scores.Length || !mean.shape.SequenceEqual(standardDeviation.shape))
            throw new ArgumentException(
                $"The forecast has means of the shape [{string.Join(", ", mean.shape)}] and deviations of "
                + $"[{string.Join(", ", standardDeviation.shape)}]; both must be [batch, n, {_scores.Length}].", nameof(mean));
        using DisposeScope scope = NewDisposeScope();
        double[] widths = [.. Enumerable.Range(0, _scores.Length).Select(channel => HalfWidth(channel, confidence))];
        Tensor half = standardDeviation * tensor(widths).to(mean.dtype, mean.device);
        return ((mean - half).MoveToOuterDisposeScope(), mean.Plus(half).MoveToOuterDisposeScope());
    }
}
