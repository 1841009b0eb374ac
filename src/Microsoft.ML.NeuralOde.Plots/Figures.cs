using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Plots.Drawing;

namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>Makes figures of solvers, models and data. Each says what is wrong with data that cannot be drawn.</summary>
/// <remarks>
/// Colours are those of M. Okabe and K. Ito (Color Universal Design, 2008), which people with any kind of colour vision can tell apart;
/// maps are in viridis. Tensors may be on any device and have any floating-point type.
/// </remarks>
public static partial class Figures
{
    /// <summary>Curves in one plot.</summary>
    /// <param name="title">What the plot shows.</param>
    /// <param name="xLabel">What the places are, with their unit.</param>
    /// <param name="yLabel">What the values are, with their unit.</param>
    /// <param name="curves">The curves.</param>
    /// <param name="logX">Whether places are shown by their logarithms; those that are not positive are left out.</param>
    /// <param name="logY">Whether values are shown by their logarithms; those that are not positive are gaps.</param>
    /// <param name="markers">Whether each point has a mark.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">There are no curves, or one of them makes no sense.</exception>
    public static Figure Lines(
        string title, string xLabel, string yLabel, IReadOnlyList<Curve> curves, bool logX = false, bool logY = false, bool markers = false)
    {
        ArgumentNullException.ThrowIfNull(title);
        Checks.Curves(curves, nameof(curves));
        var panel = new Panel(title, xLabel, yLabel) { LogX = logX, LogY = logY };
        Add(panel, curves, markers);
        return new Figure(title, [panel]);
    }

    /// <summary>
    /// A training: loss, the metric, evaluations of the right-hand side, the learning rate and tolerances that change, over the epochs.
    /// </summary>
    /// <param name="history">The reports of the epochs: <c>model.TrainingHistory</c>.</param>
    /// <returns>The figure; plots of which the history knows nothing are left out.</returns>
    /// <exception cref="ArgumentException">The history is empty.</exception>
    public static Figure TrainingCurves(IReadOnlyList<NeuralOdeEpochReport> history)
    {
        Checks.NotEmpty(history, "epochs", nameof(history));
        double[] epochs = [.. history.Select(report => (double)report.Epoch)];
        var panels = new List<Panel> { new("loss", "epoch", "mean loss") };
        bool markers = epochs.Length <= 40;
        Add(panels[0], "training", 0, report => report.TrainLoss);
        Add(panels[0], "validation", 1, report => report.ValidationLoss);
        if (history.FirstOrDefault(report => report.MetricName is not null) is { MetricName: { } metric } reported)
        {
            bool isShare = reported.TrainAccuracy is not null || reported.ValidationAccuracy is not null;
            var panel = new Panel(metric, "epoch", isShare ? $"{metric} (%)" : metric);
            Add(panel, "training", 0, report => report.TrainMetric * (isShare ? 100 : 1));
            Add(panel, "validation", 1, report => report.ValidationMetric * (isShare ? 100 : 1));
            panels.Add(panel);
        }
        if (history.Any(report => report.NfeForward > 0))
        {
            double most = history.Max(report => Math.Max(report.NfeForward, report.NfeBackward));
            var panel = new Panel("cost", "epoch", "evaluations a batch") { YRange = (0, 1.15 * most) };
            Add(panel, "forward", 0, report => report.NfeForward);
            if (history.Any(report => report.NfeBackward > 0))
                Add(panel, "backward", 1, report => report.NfeBackward);
            panels.Add(panel);
        }
        if (history.Any(report => report.LearningRate > 0))
            panels.Add(new Panel("learning rate", "epoch", "rate at the end of the epoch")
                .Line(null, epochs, [.. history.Select(report => report.LearningRate)], 2, markers: markers));
        // What stays the same is a line of text, and no curve.
        if (history.Select(report => report.Tolerances).OfType<SolverTolerances>().Distinct().Count() > 1)
        {
            var panel = new Panel("tolerances", "epoch", "at the end of the epoch") { LogY = true };
            Add(panel, "relative", 0, report => report.Tolerances?.Relative);
            Add(panel, "absolute", 1, report => report.Tolerances?.Absolute);
            panels.Add(panel);
        }
        return new Figure("Training", panels, panels.Count switch { 4 => 2, 5 => 3, _ => panels.Count });

        void Add(Panel panel, string name, int colour, Func<NeuralOdeEpochReport, double?> value)
        {
            if (history.Any(report => value(report) is not null))
                panel.Line(name, epochs, [.. history.Select(report => value(report) ?? double.NaN)], colour, markers: markers,
                    dashed: colour == 1);
        }
    }

    /// <summary>How often rows of each class were taken for which, of an evaluation by ML.NET.</summary>
    /// <param name="matrix">What <c>Evaluate(…).ConfusionMatrix</c> holds.</param>
    /// <param name="names">The names of the classes in their order; null for numbers from 0.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">The number of names is not that of the classes.</exception>
    public static Figure ConfusionMatrix(ConfusionMatrix matrix, IReadOnlyList<string>? names = null)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        return ConfusionMatrix(matrix.Counts, names);
    }

    /// <summary>How often rows of each class were taken for which.</summary>
    /// <param name="counts">For each class the rows that were taken for the first, second … class.</param>
    /// <param name="names">The names of the classes in their order; null for numbers from 0.</param>
    /// <returns>The figure: counts in cells whose colours are their shares of the row.</returns>
    /// <exception cref="ArgumentException">The counts are not square or negative, or the number of names is not that of the
    /// classes.</exception>
    public static Figure ConfusionMatrix(IReadOnlyList<IReadOnlyList<double>> counts, IReadOnlyList<string>? names = null)
    {
        Checks.NotEmpty(counts, "classes", nameof(counts));
        int classes = counts.Count;
        if (counts.Any(row => row is null || row.Count != classes))
            throw new ArgumentException(
                $"The counts have {classes} rows, and not each has {classes} numbers; they must be square.", nameof(counts));
        if (counts.Any(row => row.Any(count => !(count >= 0 && double.IsFinite(count)))))
            throw new ArgumentException("A count is negative, NaN or infinite; counts must be zero or positive numbers.", nameof(counts));
        names ??= [.. Enumerable.Range(0, classes).Select(i => i.ToString(CultureInfo.InvariantCulture))];
        if (names.Count != classes)
            throw new ArgumentException($"There are {names.Count} names for {classes} classes; there must be one for each.", nameof(names));
        var shares = new double[classes, classes];
        for (int row = 0; row < classes; row++)
        {
            double sum = Math.Max(1, counts[row].Sum());
            for (int column = 0; column < classes; column++)
                shares[column, classes - 1 - row] = counts[row][column] / sum;
        }
        double right = Enumerable.Range(0, classes).Sum(i => counts[i][i]), all = counts.Sum(row => row.Sum());
        string title =
            string.Create(CultureInfo.InvariantCulture, $"{right:N0} of {all:N0} right ({(all > 0 ? 100 * right / all : 0):F1} %)");
        var panel = new Panel(title, "predicted", "true") { RowNames = names, ColumnNames = names };
        panel.Heat(shares, (0, classes - 1), (0, classes - 1), smooth: false, range: (0, 1));
        for (int row = 0; row < classes; row++)
            for (int column = 0; column < classes; column++)
                if (counts[row][column] > 0)
                    panel.Text(column, classes - 1 - row, counts[row][column].ToString("0.##", CultureInfo.InvariantCulture),
                        onScale: true, lightOnDark: shares[column, classes - 1 - row] < 0.6);
        int side = Math.Clamp(40 * classes + 110, 320, 1200);
        return new Figure("Confusion matrix", [panel], panelWidth: side + 20, panelHeight: side);
    }

    /// <summary>A series with the interval in which its values are expected, and what was observed.</summary>
    /// <param name="title">What the plot shows.</param>
    /// <param name="times">Times of the expected values.</param>
    /// <param name="mean">The expected values.</param>
    /// <param name="lower">Lower ends of the intervals.</param>
    /// <param name="upper">Upper ends of the intervals.</param>
    /// <param name="observed">What was observed, at times of its own; null for nothing.</param>
    /// <param name="truth">The curve that the observations come from, where it is known.</param>
    /// <param name="xLabel">What the times are, with their unit.</param>
    /// <param name="yLabel">What the values are, with their unit.</param>
    /// <param name="intervalName">What the intervals are.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">Lists differ in length or cannot be drawn.</exception>
    public static Figure SeriesWithIntervals(
        string title, IReadOnlyList<double> times, IReadOnlyList<double> mean, IReadOnlyList<double> lower, IReadOnlyList<double> upper,
        Curve? observed = null, Curve? truth = null, string xLabel = "time t", string yLabel = "value", string intervalName = "interval")
    {
        ArgumentNullException.ThrowIfNull(title);
        Checks.Curve(times, mean, "The expected values", nameof(mean));
        Checks.Curve(times, lower, "The lower ends", nameof(lower));
        Checks.Curve(times, upper, "The upper ends", nameof(upper));
        var panel = new Panel(title, xLabel, yLabel);
        panel.Band(intervalName, times, lower, upper, 0);
        if (truth is not null)
        {
            Checks.Curves([truth], nameof(truth));
            panel.Line(truth.Name, truth.X, truth.Y, -1, dashed: true);
        }
        panel.Line("expected", times, mean, 0);
        if (observed is not null)
        {
            Checks.Curves([observed], nameof(observed));
            panel.Points(observed.Name, observed.X, observed.Y, 1);
        }
        return new Figure(title, [panel]);
    }

    /// <summary>Curves in the order of the colours; a single one needs no name.</summary>
    private static void Add(Panel panel, IReadOnlyList<Curve> curves, bool markers)
    {
        int colour = 0;
        foreach (Curve curve in curves)
            if (curve.IsReference)
                panel.Line(curve.Name, curve.X, curve.Y, -1, dashed: true);
            else if (curve.IsScatter)
                panel.Points(curves.Count == 1 ? null : curve.Name, curve.X, curve.Y, colour++, size: 2);
            else
                panel.Line(curves.Count == 1 ? null : curve.Name, curve.X, curve.Y, colour++, markers: markers);
    }
}
