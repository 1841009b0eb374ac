using System.Globalization;
using Microsoft.ML.NeuralOde.Plots.Drawing;

namespace Microsoft.ML.NeuralOde.Plots;

public static partial class Figures
{
    private const int MostCrosses = 100;

    /// <summary>
    /// Solvers on one problem with a known solution: the solutions, their errors over time, and the largest error against the evaluations.
    /// </summary>
    /// <param name="runs">What the solvers made of it.</param>
    /// <param name="exact">The solution at a time.</param>
    /// <param name="problem">The problem, for the title.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">There are no runs, or one of them makes no sense.</exception>
    public static Figure SolverComparison(IReadOnlyList<SolverRun> runs, Func<double, double> exact, string problem)
    {
        CheckRuns(runs, exact);
        double first = runs.Min(run => run.Times[0]), last = runs.Max(run => run.Times[^1]);
        double[] fine = [.. Enumerable.Range(0, 401).Select(i => first + (last - first) * i / 400)];
        var solutions = new Panel("solutions", "time t", "h(t)").Line("exact", fine, [.. fine.Select(exact)], -1, thickness: 5, alpha: 110);
        var errors = new Panel("error over time", "time t", "absolute error") { LogY = true };
        var costs = new Panel("what accuracy costs", "evaluations of f", "largest error") { LogX = true, LogY = true };
        for (int i = 0; i < runs.Count; i++)
        {
            SolverRun run = runs[i];
            double[] error = Errors(run, exact);
            solutions.Line(run.Name, run.Times, run.Values, i, dashed: i % 2 == 1);
            errors.Line(run.Name, run.Times, error, i);
            costs.Points(run.Name, [run.Evaluations], [error.Max()], i, size: 6);
        }
        return new Figure(problem, [solutions, errors, costs]);
    }

    /// <summary>
    /// Euler's method as what it is: from each of its points it follows the tangent of the solution through that point to the next time.
    /// </summary>
    /// <param name="f">f(t, h), the slope.</param>
    /// <param name="initial">h at the first time.</param>
    /// <param name="times">The ends of the steps, increasing.</param>
    /// <param name="exact">The solution at a time.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">There are fewer than two times, or they do not increase.</exception>
    public static Figure EulerTangents(
        Func<double, double, double> f, double initial, IReadOnlyList<double> times, Func<double, double> exact)
    {
        ArgumentNullException.ThrowIfNull(f);
        ArgumentNullException.ThrowIfNull(times);
        ArgumentNullException.ThrowIfNull(exact);
        if (times.Count < 2
            || times.Any(time => !double.IsFinite(time)) || times.Zip(times.Skip(1)).Any(pair => !(pair.Second > pair.First)))
            throw new ArgumentException("Euler's method needs at least two finite, increasing times.", nameof(times));
        var values = new double[times.Count];
        values[0] = initial;
        var panel = new Panel("Euler follows tangents", "time t", "h(t)");
        double[] fine = [.. Enumerable.Range(0, 301).Select(i => times[0] + (times[^1] - times[0]) * i / 300)];
        panel.Line("exact", fine, [.. fine.Select(exact)], -1, thickness: 4, alpha: 130);
        for (int i = 0; i + 1 < times.Count; i++)
        {
            double step = times[i + 1] - times[i], slope = f(times[i], values[i]);
            values[i + 1] = values[i] + step * slope;
            // A little beyond the step, so that it is seen as a tangent.
            double[] x = [times[i], times[i] + 1.5 * step], y = [values[i], values[i] + 1.5 * step * slope];
            panel.Line(i == 0 ? "tangent" : null, x, y, 3, thickness: 1.5, dashed: true);
        }
        panel.Line("Euler", times, values, 1, markers: true);
        return new Figure("Euler's method", [panel]);
    }

    /// <summary>Solvers side by side: largest and mean error, and how long each took where that was measured.</summary>
    /// <param name="runs">What the solvers made of a problem.</param>
    /// <param name="exact">The solution at a time.</param>
    /// <returns>The figure, errors on a logarithmic scale.</returns>
    /// <exception cref="ArgumentException">There are no runs, or one of them makes no sense.</exception>
    public static Figure SolverBars(IReadOnlyList<SolverRun> runs, Func<double, double> exact)
    {
        CheckRuns(runs, exact);
        string[] names = [.. runs.Select(run => run.Name)];
        double[][] errors = [.. runs.Select(run => Errors(run, exact))];
        double smallest = errors.Min(error => Math.Max(1e-17, error.Average())), largest = errors.Max(error => error.Max());
        double low = Math.Pow(10, Math.Floor(Math.Log10(smallest) - 0.5));
        double high = Math.Pow(10, Math.Log10(largest) + 0.35 * Math.Log10(largest / low));
        var accuracy = new Panel("errors", "absolute error", "") { RowNames = names, LogX = true, XRange = (low, high) };
        accuracy.Key("largest", 0).Key("mean", 5);
        for (int i = 0; i < runs.Count; i++)
        {
            double max = errors[i].Max(), mean = errors[i].Average();
            accuracy.Bar(i, low, Math.Max(max, 1.2 * low), 0, max.ToString("0.0e-0", CultureInfo.InvariantCulture), -0.19, 0.34);
            accuracy.Bar(i, low, Math.Max(mean, 1.2 * low), 5, mean.ToString("0.0e-0", CultureInfo.InvariantCulture), 0.19, 0.34);
        }
        var panels = new List<Panel> { accuracy, Bars("cost", "evaluations of f", run => run.Evaluations, "N0") };
        if (runs.All(run => run.Milliseconds is not null))
            panels.Add(Bars("time", "milliseconds", run => run.Milliseconds!.Value, "0.0"));
        return new Figure("Methods side by side", panels, panels.Count);

        Panel Bars(string title, string label, Func<SolverRun, double> value, string format)
        {
            var panel = new Panel(title, label, "") { RowNames = names, XRange = (0, 1.3 * runs.Max(value)) };
            for (int i = 0; i < runs.Count; i++)
                panel.Bar(i, 0, value(runs[i]), 2, value(runs[i]).ToString(format, CultureInfo.InvariantCulture));
            return panel;
        }
    }

    /// <summary>
    /// A work–precision diagram: for each method the error that a number of evaluations buys, both on logarithmic scales. The steeper a
    /// line, the higher the order; the lower, the better.
    /// </summary>
    /// <param name="title">The problem.</param>
    /// <param name="curves">One a method: work, such as evaluations, and error.</param>
    /// <param name="workLabel">What the work is.</param>
    /// <param name="errorLabel">What the error is.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">There are no curves, or one of them makes no sense.</exception>
    public static Figure WorkPrecision(
        string title, IReadOnlyList<Curve> curves, string workLabel = "evaluations of f", string errorLabel = "error at the end")
    {
        ArgumentNullException.ThrowIfNull(title);
        Checks.Curves(curves, nameof(curves));
        var panel = new Panel(title, workLabel, errorLabel) { LogX = true, LogY = true };
        Add(panel, curves, markers: true);
        return new Figure(title, [panel]);
    }

    /// <summary>The sizes of a solve's steps over time, accepted and rejected.</summary>
    /// <param name="logs">The solves, each with its name; see <see cref="StepLog"/>.</param>
    /// <param name="title">The problem.</param>
    /// <returns>The figure; sizes on a logarithmic scale, rejected steps as crosses, or, above a hundred, as their number.</returns>
    /// <exception cref="ArgumentException">There are no logs, or one holds no step.</exception>
    public static Figure StepSizes(IReadOnlyList<(string Name, StepLog Log)> logs, string title = "step sizes")
    {
        Checks.NotEmpty(logs, "solves", nameof(logs));
        var panel = new Panel(title, "time t", "step size") { LogY = true };
        for (int i = 0; i < logs.Count; i++)
        {
            (string name, StepLog log) = logs[i];
            (double Time, double Size)[] steps = [.. log.Steps];
            if (steps.Length == 0)
                throw new ArgumentException(
                    $"The log of '{name}' holds no step; give it to {nameof(OdeSolverOptions)}.{nameof(OdeSolverOptions.Progress)} before the "
                    + "solve.", nameof(logs));
            int rejected = log.RejectedTimes.Count;
            string label = rejected <= MostCrosses ? name
                : string.Create(CultureInfo.InvariantCulture, $"{name} ({rejected:N0} rejected, not drawn)");
            double[] times = [.. steps.Select(step => step.Time)], sizes = [.. steps.Select(step => step.Size)];
            panel.Line(label, times, sizes, i, thickness: 1.5, markers: steps.Length <= 60);
            if (rejected is > 0 and <= MostCrosses)
            {
                // At the size of the step that was then taken from there.
                double[] taken = [.. log.RejectedTimes.Select(time => steps.FirstOrDefault(step => step.Time == time).Size)];
                panel.Points($"{name}, rejected", log.RejectedTimes, taken, i, size: 5, cross: true);
            }
        }
        return new Figure(title, [panel]);
    }

    private static double[] Errors(SolverRun run, Func<double, double> exact) =>
        [.. run.Times.Zip(run.Values, (time, value) => Math.Abs(value - exact(time)))];

    private static void CheckRuns(IReadOnlyList<SolverRun> runs, Func<double, double> exact)
    {
        Checks.NotEmpty(runs, "runs", nameof(runs));
        ArgumentNullException.ThrowIfNull(exact);
        foreach (SolverRun run in runs)
            Checks.Curve(run.Times, run.Values, $"The run '{run.Name}'", nameof(runs));
    }
}
