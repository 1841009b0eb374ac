using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Latent;

/// <summary>Figures of a method on a case.</summary>
/// <param name="Mse">The mean square error, of standardised values.</param>
/// <param name="Coverage">The share of values in the 90 % interval by the noise that was learned; null of a method without one.</param>
/// <param name="Calibrated">The same share where widths are set by the errors on series that were not trained on.</param>
internal sealed record LatentFigure(double Mse, double? Coverage, double? Calibrated);

/// <summary>Trains the models on a set and judges them.</summary>
internal sealed class LatentStory(LatentSet set, int epochs, int seed)
{
    private const double Rate = 0.01;
    private const double LongestGradient = 1;
    private const double AnnealedShare = 0.3;

    private const double Confidence = 0.9;

    // Half of the 90 % interval of a standard normal number.
    private const double NinetyPercent = 1.6449;

    /// <summary>How often the series for calibration are asked, each time with other observations given.</summary>
    private const int CalibrationDraws = 4;

    /// <summary>Trains a network on all cases at once.</summary>
    /// <returns>Seconds it took.</returns>
    public double Train(ILatentModel model, Action<double> report, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        var random = new Random(seed);
        using var generator = new Generator((ulong)seed);
        using var optimizer = new AdamOptimizer(model.Module.parameters(), Rate);
        for (int epoch = 0; epoch < epochs; epoch++)
        {
            double done = (double)epoch / epochs;
            optimizer.LearningRate = Rate * (0.01 + (0.99 * (1 + Math.Cos(Math.PI * done)) / 2));
            LatentRow[] order = [.. set.Train];
            random.Shuffle(order);
            foreach (LatentRow[] rows in order.Chunk(set.Batch))
            {
                cancellationToken.ThrowIfCancellationRequested();
                using DisposeScope scope = NewDisposeScope();
                LatentBatch batch = LatentBatch.Of(rows, set.Cases[random.Next(set.Cases.Count)], random, true);
                optimizer.ZeroGradients();
                model.Loss(batch, Math.Min(1, done / AnnealedShare), generator).mean().backward();
                nn.utils.clip_grad_norm_(model.Module.parameters(), LongestGradient);
                optimizer.Step();
            }
            report(done);
        }
        return clock.Elapsed.TotalSeconds;
    }

    /// <summary>What a network answers to a case.</summary>
    public LatentFigure Judge(ILatentModel model, LatentCase how)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        (Tensor mean, Tensor deviation, Tensor values) = Answer(model, set.Test, how, new Random(seed));
        Tensor isAsked = values.isnan().logical_not();
        Tensor error = (mean - values).masked_select(isAsked);
        return new LatentFigure(
            (error * error).mean().item<float>(),
            Share(error.abs().lt(deviation.masked_select(isAsked) * NinetyPercent)),
            set.Calibration.Count > 0 ? Calibrated() : null);

        double Calibrated()
        {
            var draw = new Random(seed);
            IntervalCalibration calibration = IntervalCalibration.Of(
                [.. Enumerable.Range(0, CalibrationDraws).Select(_ => Answer(model, set.Calibration, how, draw))]);
            (Tensor lower, Tensor upper) = calibration.Intervals(mean, deviation, Confidence);
            return Share(values.gt(lower).logical_and(values.lt(upper)).masked_select(isAsked));
        }

        static double Share(Tensor isInside) => isInside.to(ScalarType.Float32).mean().item<float>();
    }

    /// <summary>The forecasts for series, and what is to be found: NaN where nothing is.</summary>
    private static (Tensor Mean, Tensor Deviation, Tensor Values) Answer(
        ILatentModel model, IReadOnlyList<LatentRow> rows, LatentCase how, Random random)
    {
        LatentBatch batch = LatentBatch.Of(rows, how, random, false);
        Tensor isAsked = arange(batch.Asked.Longest).unsqueeze(0).lt(tensor(batch.Asked.Lengths.ToArray()).unsqueeze(1)).unsqueeze(2);
        (Tensor mean, Tensor deviation) = model.Predict(batch.Given, batch.Asked.Times);
        return (mean, deviation, batch.Asked.Values.where(isAsked, float.NaN));
    }

    /// <summary>What a method without a network answers.</summary>
    public LatentFigure Judge(Func<LatentRow, LatentRow, float[]> method, LatentCase how)
    {
        var errors = new List<double>();
        foreach ((LatentRow given, LatentRow asked) in Pairs(set.Test, how))
            errors.AddRange(method(given, asked)
                .Zip(asked.Values, (found, value) => Math.Pow(found - (double)value, 2)).Where(error => !double.IsNaN(error)));
        return new LatentFigure(errors.Average(), null, null);
    }

    /// <summary>The linear model of a case.</summary>
    public Func<LatentRow, LatentRow, float[]> FitLinear(LatentCase how) =>
        LatentBaselines.FitLinear([.. Pairs([.. set.Train, .. set.Calibration], how)], set.LinearStep);

    /// <summary>The same draws as in a batch.</summary>
    private IEnumerable<(LatentRow Given, LatentRow Asked)> Pairs(IReadOnlyList<LatentRow> rows, LatentCase how)
    {
        var random = new Random(seed);
        foreach (LatentRow row in rows)
        {
            (int[] given, int[] asked) = how.Split(row, random);
            yield return (row.Of(given), row.Of(asked));
        }
    }
}
