using System.Globalization;
using Microsoft.ML.NeuralOde.Plots.Drawing;

namespace Microsoft.ML.NeuralOde.Plots;

public static partial class Figures
{
    /// <summary>A reliability diagram: the share of predictions that came true over their probability, and how many there are.</summary>
    /// <param name="calibration">The comparison of probabilities with what came true.</param>
    /// <returns>The figure: on the dashed line probabilities mean what they say, below it the model is too sure of itself.</returns>
    public static Figure Reliability(Calibration calibration)
    {
        ArgumentNullException.ThrowIfNull(calibration);
        double[] places = [.. calibration.Bins.Select(bin => bin.MeanProbability)];
        string title = string.Create(CultureInfo.InvariantCulture, $"calibration error {100 * calibration.ExpectedError:F1} %");
        var diagram = new Panel(title, "probability", "share that came true") { XRange = (0, 1.02), YRange = (0, 1.02) };
        diagram.Line("calibrated", [0, 1], [0, 1], -1, dashed: true)
            .Line("model", places, [.. calibration.Bins.Select(bin => bin.Share)], 0, markers: true);
        var counts = new Panel("how often", "probability", "share of the predictions (%)") { XRange = (0, 1.02) };
        foreach (CalibrationBin bin in calibration.Bins)
            counts.Column(bin.From, bin.To, 100.0 * bin.Count / calibration.Count, 0);
        return new Figure("Calibration", [diagram, counts], 2);
    }

    /// <summary>Predicted numbers over the true ones.</summary>
    /// <param name="truth">The true numbers, finite.</param>
    /// <param name="predicted">The predicted ones, finite, as many.</param>
    /// <param name="title">What the plot shows.</param>
    /// <returns>The figure: on the dashed line predictions are right.</returns>
    /// <exception cref="ArgumentException">The lists differ in length, are empty or hold numbers that are not finite.</exception>
    public static Figure PredictedAgainstTrue(IReadOnlyList<double> truth, IReadOnlyList<double> predicted, string title = "predictions")
    {
        ArgumentNullException.ThrowIfNull(title);
        Checks.Curve(truth, predicted, "The list of predictions", nameof(predicted));
        (double low, double high) = (truth.Min(), truth.Max());
        byte alpha = (byte)Math.Clamp(255.0 * 300 / truth.Count, 60, 200);
        var panel = new Panel(title, "true", "predicted");
        panel.Line("right", [low, high], [low, high], -1, dashed: true).Points("predictions", truth, predicted, 0, alpha: alpha);
        return new Figure(title, [panel], panelWidth: 520, panelHeight: 460);
    }

    /// <summary>How numbers of several kinds spread: the share of them up to each value.</summary>
    /// <param name="title">What the plot shows.</param>
    /// <param name="label">What the numbers are, with their unit.</param>
    /// <param name="kinds">The numbers of each kind; those that are not finite are left out.</param>
    /// <param name="mark">A number to be marked, such as a threshold, and its name; null for none.</param>
    /// <returns>The figure, of steep curves where numbers lie close together.</returns>
    /// <exception cref="ArgumentException">There are no kinds, or one of them has no finite number.</exception>
    public static Figure Distributions(
        string title, string label, IReadOnlyList<(string Name, IReadOnlyList<double> Values)> kinds,
        (string Name, double Value)? mark = null)
    {
        // A curve of more points looks the same.
        const int Most = 200;
        ArgumentNullException.ThrowIfNull(title);
        Checks.NotEmpty(kinds, "kinds", nameof(kinds));
        var curves = new List<Curve>();
        foreach ((string name, IReadOnlyList<double> values) in kinds)
        {
            double[] sorted = [.. values.Where(double.IsFinite).Order()];
            if (sorted.Length == 0)
                throw new ArgumentException($"The numbers '{name}' hold no finite one; nothing could be drawn.", nameof(kinds));
            int points = Math.Min(Most, sorted.Length);
            int[] ranks = [.. Enumerable.Range(0, points).Select(i => (int)((long)i * (sorted.Length - 1) / Math.Max(1, points - 1)))];
            double[] shares = [.. ranks.Select(rank => 100.0 * (rank + 1) / sorted.Length)];
            curves.Add(new Curve(name, [sorted[0], .. ranks.Select(rank => sorted[rank])], [0, .. shares]));
        }
        if (mark is { } line)
            curves.Add(new Curve(line.Name, [line.Value, line.Value], [0, 100]) { IsReference = true });
        return Lines(title, label, "share of the rows up to it (%)", curves);
    }
}
