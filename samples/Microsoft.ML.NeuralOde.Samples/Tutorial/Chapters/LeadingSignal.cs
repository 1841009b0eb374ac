using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial.Chapters;

/// <summary>
/// Which of two signals goes ahead of the other? A neural controlled equation reads them as they come: at times of each series' own, with
/// values missing.
/// </summary>
internal sealed class LeadingSignal(TutorialPage page) : IDisposable
{
    private const int Points = 24;
    private const int Rows = 64;
    private const int TestRows = 1000;
    private const double End = 6;
    private const double Noise = 0.15;

    // X has time and two signals.
    private const int Channels = 3;
    private const int Width = 8;

    private readonly NeuralCde _equation = new(Channels, Width, [24]);
    private readonly TorchSharp.Modules.Linear _head = nn.Linear(Width, 1);

    public void Dispose()
    {
        _equation.Dispose();
        _head.Dispose();
    }

    public void Run(CancellationToken cancellationToken)
    {
        const int Steps = 400;
        var source = new Random(page.Seed(8));
        TorchSharp.Modules.Parameter[] weights = [.. _equation.parameters(), .. _head.parameters()];
        using var optimizer = new AdamOptimizer(weights, 1e-2);
        var losses = new double[Steps];
        for (int step = 0; step < Steps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            (SeriesBatch series, Tensor leads, _) = Signals(Rows, Points, source);
            optimizer.LearningRate = 1e-2 * 0.5 * (1 + Math.Cos(Math.PI * step / Steps));
            optimizer.ZeroGradients();
            using ControlPath path = ControlPath.Linear(series);
            Tensor loss = nn.functional.binary_cross_entropy_with_logits(_head.call(_equation.call(path)).squeeze(-1), leads);
            loss.backward();
            nn.utils.clip_grad_norm_(weights, 1);
            optimizer.Step();
            losses[step] = loss.ToDouble();
        }
        page.Number("cde-weights", weights.Sum(parameter => parameter.numel()), "N0", 0);
        page.Number("cde-loss", losses.TakeLast(20).Average(), "0.00", null);
        using IDisposable noGrad = no_grad();
        Accuracies();
        Unfolding();
    }

    /// <summary>New series, dense and sparse, beside what forgets the order.</summary>
    private void Accuracies()
    {
        var rows = new List<IReadOnlyList<object>>();
        foreach (int points in (int[])[Points, 2 * Points, Points / 2, Points / 4])
        {
            using DisposeScope scope = NewDisposeScope();
            (SeriesBatch series, Tensor leads, Tensor statistics) = Signals(TestRows, points, new Random(page.Seed(100 + points)));
            using ControlPath path = ControlPath.Linear(series);
            double accuracy = Share(_head.call(_equation.call(path)).squeeze(-1), leads);
            rows.Add([
                $"{points}", TutorialPage.Cell(100 * accuracy, "0", points < Points ? 0.08 : 0.04), TutorialPage.Cell(
                    100 * Forgetful(statistics, leads), "0", 0.08)
            ]);
        }
        page.Table("cde", ["points a series", "neural CDE (% right)", "means, deviations, correlation (% right)"], rows);
    }

    /// <summary>The best linear rule, on half of the rows, that knows statistics which do not depend on the order; on the others.</summary>
    private static double Forgetful(Tensor statistics, Tensor leads)
    {
        int half = TestRows / 2;
        Tensor x = cat([statistics, ones(TestRows, 1)], 1), y = leads.unsqueeze(1) * 2 - 1;
        Tensor fitted = linalg.lstsq(x.narrow(0, 0, half), y.narrow(0, 0, half)).Solution;
        return Share(x.narrow(0, half, half).matmul(fitted).squeeze(-1), leads.narrow(0, half, half));
    }

    /// <summary>Two series, and what the equation makes of them while they go on.</summary>
    private void Unfolding()
    {
        using DisposeScope scope = NewDisposeScope();
        (SeriesBatch series, Tensor leads, _) = Signals(12, Points, new Random(page.Seed(5)));
        double[] grid = Chapter.Spaced(0, End, 121);
        using ControlPath path = ControlPath.Linear(series);
        Tensor times = tensor([.. grid.Select(time => (float)time)]).unsqueeze(0).expand(series.Rows, grid.Length).contiguous();
        Tensor chances = _head.call(_equation.StatesAt(path, times)).squeeze(-1).sigmoid();
        int first = Array.IndexOf(Chapter.Numbers(leads), 1.0), second = Array.IndexOf(Chapter.Numbers(leads), 0.0);
        var figures = new List<Figure>();
        foreach ((int row, string title) in new[] { (first, "the first goes ahead"), (second, "the second goes ahead") })
            figures.Add(Figures.Lines(title, "time t", "value", [Channel(series, row, 0, "first"), Channel(series, row, 1, "second")],
                markers: true));
        figures.Add(Figures.Lines("what the equation says while the series go on", "time t", "chance of the first",
            [
                .. new[] { (first, "left series"), (second, "middle series") }
                    .Select(one => new Curve(one.Item2, grid, Chapter.Numbers(chances.select(0, one.Item1)))),
                new Curve("undecided", [0, End], [0.5, 0.5]) { IsReference = true },
            ]));
        page.Figure("cde", Figure.Combine("two signals at odd times, and the equation that they drive", 3, figures), 1400, 420);
    }

    private static Curve Channel(SeriesBatch series, int row, int channel, string name)
    {
        double[] times = Chapter.Numbers(series.Times.select(0, row)), values =
            Chapter.Numbers(series.Values.select(0, row).select(1, channel));
        int[] seen = [.. Enumerable.Range(0, values.Length).Where(i => !double.IsNaN(values[i]))];
        return new Curve(name, [.. seen.Select(i => times[i])], [.. seen.Select(i => values[i])]);
    }

    private static double Share(Tensor scores, Tensor leads) => (scores > 0).eq(leads > 0.5).to(ScalarType.Float32).mean().ToDouble();

    /// <summary>
    /// Sines of random frequency, height and phase, of which one lags by a sixth to a third of π, seen at random times with noise; a third
    /// of the values is missing. With them 1 where the first goes ahead, and means, deviations and correlation of each series.
    /// </summary>
    private static (SeriesBatch Series, Tensor Leads, Tensor Statistics) Signals(int rows, int points, Random source)
    {
        var times = new float[rows * points];
        var values = new float[rows * points * 2];
        var leads = new float[rows];
        var statistics = new float[rows * 5];
        for (int row = 0; row < rows; row++)
        {
            leads[row] = source.Next(2);
            double frequency = 1.5 + source.NextDouble(), phase = 2 * Math.PI * source.NextDouble(),
                lag = Math.PI * (1 + source.NextDouble()) / 6 * (leads[row] > 0 ? -1 : 1);
            double[] at = [.. Enumerable.Range(0, points).Select(_ => End * source.NextDouble()).Order()];
            var first = new List<double>();
            var second = new List<double>();
            for (int i = 0; i < points; i++)
            {
                double one = Math.Sin(frequency * at[i] + phase) + Noise * source.NextNormal();
                double other = Math.Sin(frequency * at[i] + phase + lag) + Noise * source.NextNormal();
                first.Add(one);
                second.Add(other);
                int place = row * points + i;
                times[place] = (float)at[i];
                values[2 * place] = source.Next(3) == 0 ? float.NaN : (float)one;
                values[2 * place + 1] = source.Next(3) == 0 ? float.NaN : (float)other;
            }
            float[] found = [(float)first.Average(), (float)second.Average(), (float)Deviation(first), (float)Deviation(second),
                (float)first.Zip(second, (a, b) => a * b).Average()];
            found.CopyTo(statistics, 5 * row);
        }
        return (new SeriesBatch(tensor(values, [rows, points, 2]), tensor(times, [rows, points])), tensor(leads),
            tensor(statistics, [rows, 5]));

        static double Deviation(List<double> values)
        {
            double mean = values.Average();
            return Math.Sqrt(values.Average(value => (value - mean) * (value - mean)));
        }
    }
}
