namespace Microsoft.ML.NeuralOde.Samples.Anomalies;

/// <summary>
/// How many normal rows that the detector has not learned from it takes for anomalies. Of the normal test rows, in their order, the first,
/// third and so on calibrate it, and the others are judged.
/// </summary>
/// <param name="Asked">The share that is asked for.</param>
/// <param name="Plain">The share with the threshold that the training rows' own scores give.</param>
/// <param name="Calibrated">The share with the calibrated threshold; null where too few rows calibrate.</param>
/// <param name="Chance">The standard deviation that chance gives the calibrated share where the promise is kept exactly.</param>
internal sealed record FalseAlarms(double Asked, double Plain, double? Calibrated, double Chance)
{
    /// <summary>The shares that are asked for.</summary>
    public static IReadOnlyList<double> Shares { get; } = [0.05, 0.1];

    /// <summary>Whether the calibrated share differs from what was asked by a fifth of it at most.</summary>
    public bool IsNear => Calibrated is { } share && Math.Abs(share - Asked) <= 0.2 * Asked;

    /// <summary>Judges a detector.</summary>
    public static FalseAlarms[] Of(MLContext mlContext, ContinuousFlowAnomalyTransformer model, AnomalySplit split)
    {
        AnomalyRow[] normal = [.. split.Test.Where(row => row.Label == 0)];
        AnomalyRow[] calibrating = [.. normal.Where((_, i) => i % 2 == 0)], judged = [.. normal.Where((_, i) => i % 2 == 1)];
        if (judged.Length == 0)
            return [];
        // Thresholds change without another look at the rows; the shares that are asked for need rows enough each.
        double most = Shares.Max();
        using ContinuousFlowAnomalyTransformer? calibrated = IsEnough(most)
            ? mlContext.AnomalyDetection.CalibrateAnomalies(model, AnomalyTable.View(mlContext, calibrating), most)
            : null;
        return [.. Shares.Select(asked => new FalseAlarms(
            asked, Share(model, asked), calibrated is not null && IsEnough(asked) ? Share(calibrated, asked) : null,
            Math.Sqrt(asked * (1 - asked) * (1.0 / judged.Length + 1.0 / (calibrating.Length + 2)))))];

        bool IsEnough(double share) => share * (calibrating.Length + 1) >= 1;

        double Share(ContinuousFlowAnomalyTransformer detector, double asked)
        {
            using ContinuousFlowAnomalyTransformer changed = mlContext.AnomalyDetection.ChangeModelContamination(detector, asked);
            return mlContext.Data.CreateEnumerable<Alarm>(changed.Transform(AnomalyTable.View(mlContext, judged)), reuseRowObject: true)
                .Average(alarm => alarm.PredictedLabel ? 1.0 : 0);
        }
    }

    private sealed class Alarm
    {
        public bool PredictedLabel { get; set; }
    }
}
