using Microsoft.ML.NeuralOde.Plots;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial.Chapters;

/// <summary>Layers that add become steps of Euler's method.</summary>
internal sealed class ResidualNetworks() : Chapter(1, "from-resnets-to-odes", "From residual networks to differential equations")
{
    private const double End = 5;

    public static double Slope(double t, double h) => -2 * h + Math.Sin(t);

    public static double Exact(double t) => (2 * Math.Sin(t) - Math.Cos(t) + Math.Exp(-2 * t)) / 5;

    public override void Run(TutorialPage page, CancellationToken cancellationToken)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Layers(page);
        Limit(page);
        Euler(page);
        Block(page);
    }

    /// <summary>One network as ten layers and as an equation.</summary>
    private static void Layers(TutorialPage page)
    {
        using DenseDynamics f = Network(page);
        using Tensor input = tensor(new[] { 0.8, -0.5 }, [1, 2]);
        double[] times = Spaced(0, 1, 101);
        using Tensor grid = tensor(times);
        using OdeSolution smooth = Ode.Solve(f, input, grid);
        double[] layers = Enumerate(Residual(f, input, 10));
        page.Figure("resnet-and-ode",
            Figures.ResNetAgainstOde(layers, times, [.. Numbers(smooth.States).Where((_, i) => i % 2 == 0)], "first component of h"));
    }

    /// <summary>The distance of a network with N layers from the equation shrinks as 1 / N.</summary>
    private static void Limit(TutorialPage page)
    {
        using DenseDynamics f = Network(page);
        using Tensor input = tensor(new[] { 0.8, -0.5 }, [1, 2]);
        using OdeSolution limit = Ode.Solve(
            f, input, 0, 1, new OdeSolverOptions { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-12, AbsoluteTolerance = 1e-13 });
        int[] counts = [1, 2, 5, 10, 20, 50, 100, 200];
        double[] distances = [.. counts.Select(count =>
        {
            using Tensor last = Residual(f, input, count)[^1];
            using Tensor final = limit.Final;
            return (last - final).square().sum().sqrt().ToDouble();
        })];
        page.Table("limit", ["layers N", "distance from the equation", "N × distance"],
            [.. counts.Select((count, i) =>
                new object[] { $"{count}", TutorialPage.Cell(distances[i]), TutorialPage.Cell(count * distances[i], "0.00") })]);
        page.Figure("limit", Figures.Lines("a deep residual network nears the equation", "layers N", "distance of the last state",
            [new Curve("network of N layers", [.. counts.Select(count => (double)count)], distances),
                new Curve("slope −1", [1, 200], [distances[^1] * 200, distances[^1]]) { IsReference = true }],
            logX: true, logY: true, markers: true), 560, 360);
    }

    private static void Euler(TutorialPage page)
    {
        double[] coarse = Spaced(0, 2.4, 7);
        page.Figure("tangents", Figures.EulerTangents(Slope, 0, coarse, Exact), 620, 400);
        var rows = new List<object[]>();
        double before = double.NaN;
        foreach (int steps in (int[])[10, 20, 40, 80, 160])
        {
            double[] times = Spaced(0, End, steps + 1);
            using Tensor y0 = tensor(new[] { 0.0 });
            using Tensor grid = tensor(times);
            using OdeSolution solution = Ode.Solve((t, y) => y * -2 + t.sin(), y0, grid, new OdeSolverOptions { Method = OdeMethod.Euler });
            double error = Numbers(solution.States).Zip(times, (value, time) => Math.Abs(value - Exact(time))).Max();
            rows.Add([$"{steps}", TutorialPage.Cell(End / steps, "0.#####"), TutorialPage.Cell(error),
                double.IsNaN(before) ? "" : TutorialPage.Cell(before / error, "0.00")]);
            before = error;
        }
        page.Table("euler", ["steps", "Δt", "largest error", "times smaller than before"], rows);
        // The closed form that goes round, put into the equation: what is left over.
        double[] fine = Spaced(0, End, 2001);
        page.Number(
            "wrong-distance", fine.Max(t => Math.Abs((Math.Sin(t) - 2 * Math.Cos(t) + 2 * Math.Exp(-2 * t)) / 5 - Exact(t))), "0.000");
    }

    private static void Block(TutorialPage page)
    {
        random.manual_seed(page.Seed(1));
        using var f = new DenseDynamics(64, [64]);
        using var block = new OdeBlock(f, 1, new OdeSolverOptions { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4 });
        using Tensor batch = randn(16, 64);
        using OdeSolution solution = block.Solve(batch);
        using Tensor output = solution.Final;
        page.Number("block-parameters", f.parameters().Sum(parameter => parameter.numel()), "N0", 0);
        page.Number("block-evaluations", solution.Statistics.FunctionEvaluations, "N0", 0.3);
        page.Words("block-shape", $"[{string.Join(", ", output.shape)}]");
        page.Words("block-text", block.ToString());
    }

    private static DenseDynamics Network(TutorialPage page)
    {
        random.manual_seed(page.Seed(11));
        var network = new DenseDynamics(2, [16], time: TimeDependence.None);
        foreach (Tensor parameter in network.parameters())
            parameter.mul_(tensor(4f));
        return (DenseDynamics)network.to(ScalarType.Float64);
    }

    /// <summary>h ← h + f(h) / N, N times: each state.</summary>
    private static Tensor[] Residual(DenseDynamics f, Tensor input, int layers)
    {
        using Tensor t = tensor(0.0);
        var states = new Tensor[layers + 1];
        states[0] = input.clone();
        for (int i = 0; i < layers; i++)
        {
            using Tensor change = f.call(t, states[i]);
            using Tensor part = change / tensor((double)layers);
            states[i + 1] = states[i] + part;
        }
        return states;
    }

    private static double[] Enumerate(Tensor[] states) => [.. states.Select(state => Numbers(state)[0])];
}
