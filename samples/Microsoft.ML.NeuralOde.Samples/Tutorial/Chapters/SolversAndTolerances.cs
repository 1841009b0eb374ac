using System.Diagnostics;
using Microsoft.ML.NeuralOde.Plots;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial.Chapters;

/// <summary>What methods and tolerances cost and give.</summary>
internal sealed class SolversAndTolerances() : Chapter(2, "solvers-and-tolerances", "Solvers and tolerances")
{
    private static readonly OdeSolverOptions Reference =
        new() { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-12, AbsoluteTolerance = 1e-13 };

    public override void Run(TutorialPage page, CancellationToken cancellationToken)
    {
        using IDisposable noGrad = no_grad();
        Compare(page);
        Decay(page);
        WorkPrecision(page);
        Steps(page);
        Tolerances(page);
    }

    /// <summary>h' = −2h + sin t at 200 times.</summary>
    private static void Compare(TutorialPage page)
    {
        double[] times = Spaced(0, 5, 200);
        (string Name, OdeSolverOptions Options)[] solvers =
        [
            ("Euler", new() { Method = OdeMethod.Euler }),
            ("RK4", new() { Method = OdeMethod.Rk4 }),
            ("Dormand–Prince", new() { Method = OdeMethod.Dopri5, RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4 }),
            ("Adams", new() { Method = OdeMethod.Adams, RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4 }),
        ];
        SolverRun[] runs = [.. solvers.Select(solver => Run(solver.Name, (t, y) => y * -2 + t.sin(), 0, times, solver.Options))];
        page.Figure("comparison", Figures.SolverComparison(runs, ResidualNetworks.Exact, "h′ = −2h + sin t"), 1320, 400);
        page.Table("comparison", ["method", "evaluations", "largest error", "mean error"],
            [.. runs.Select(run => Row(run, ResidualNetworks.Exact))]);
        page.Number("rk4-gain", Max(runs[0], ResidualNetworks.Exact) / Max(runs[1], ResidualNetworks.Exact), "N0", 0.1);
    }

    /// <summary>h' = −h at 100 times, with durations.</summary>
    private static void Decay(TutorialPage page)
    {
        double[] times = Spaced(0, 5, 100);
        Func<double, double> exact = t => Math.Exp(-t);
        SolverRun[] runs = [.. new[] { OdeMethod.Euler, OdeMethod.Midpoint, OdeMethod.Rk4 }.Select(method =>
            Run(method.Name, (t, y) => -y, 1, times, new OdeSolverOptions { Method = method }, timed: true))];
        page.Figure("decay", Figures.SolverBars(runs, exact), 1260, 320);
        page.Table("decay", ["method", "evaluations", "largest error", "mean error", "ms (this machine)"],
            [.. runs.Select(run => (object[])[.. Row(run, exact), TutorialPage.Cell(run.Milliseconds!.Value, "0.0", null)])]);
        page.Number("decay-gain", Max(runs[0], exact) / Max(runs[2], exact), "N0", 0.1);
        page.Number("decay-cost", runs[2].Milliseconds!.Value / runs[0].Milliseconds!.Value, "0.0", null);
    }

    /// <summary>Lotka and Volterra's hares and lynxes.</summary>
    private static void WorkPrecision(TutorialPage page)
    {
        using Tensor y0 = tensor(new[] { 1.0, 2.0 });
        using Tensor times = tensor(new[] { 0.0, 8.0 });
        using OdeSolution reference = Ode.Solve(Predators, y0, times, Reference);
        var curves = new List<Curve>();
        foreach (OdeMethod method in (OdeMethod[])[OdeMethod.Euler, OdeMethod.Midpoint, OdeMethod.Rk4])
            curves.Add(Curve(method.Name,
                new[] { 40, 100, 250, 600, 1500 }.Select(steps => new OdeSolverOptions { Method = method, StepSize = 8.0 / steps })));
        foreach (OdeMethod method in (OdeMethod[])[OdeMethod.Bosh3, OdeMethod.Dopri5, OdeMethod.Dopri8, OdeMethod.Adams])
            curves.Add(Curve(method.Name, new[] { 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10 }.Select(tolerance =>
                new OdeSolverOptions { Method = method, RelativeTolerance = tolerance, AbsoluteTolerance = tolerance / 10 })));
        page.Figure("work-precision", Figures.WorkPrecision("hares and lynxes: error against work", curves), 680, 460);

        Curve Curve(string name, IEnumerable<OdeSolverOptions> all)
        {
            var work = new List<double>();
            var errors = new List<double>();
            foreach (OdeSolverOptions options in all)
            {
                using OdeSolution solution = Ode.Solve(Predators, y0, times, options);
                work.Add(solution.Statistics.FunctionEvaluations);
                errors.Add((solution.Final - reference.Final).abs().max().ToDouble());
            }
            return new Curve(name, work, errors);
        }
    }

    /// <summary>Where the solution is fast, steps are short.</summary>
    private static void Steps(TutorialPage page)
    {
        using Tensor y0 = tensor(new[] { 2.0, 0.0 });
        double[] times = Spaced(0, 20, 401);
        using Tensor grid = tensor(times);
        var log = new StepLog();
        using OdeSolution solution =
            Ode.Solve(VanDerPol(5), y0, grid, new OdeSolverOptions { RelativeTolerance = 1e-4, AbsoluteTolerance = 1e-5, Progress = log });
        double[] states = Numbers(solution.States);
        page.Figure("steps", Figure.Combine("van der Pol's oscillator, µ = 5", 2,
            Figures.Lines("solution", "time t", "x(t)", [new Curve("x", times, [.. states.Where((_, i) => i % 2 == 0)])]),
            Figures.StepSizes([("dopri5", log)], "steps of Dormand–Prince")), 1100, 380);
        page.Number("steps-accepted", solution.Statistics.AcceptedSteps, "N0", 0.05);
        page.Number("steps-rejected", solution.Statistics.RejectedSteps, "N0", 0.2);
        page.Number("steps-smallest", solution.Statistics.SmallestStep, "0.0000", 0.1);
        page.Number("steps-largest", solution.Statistics.LargestStep, "0.00", 0.1);
    }

    /// <summary>An untrained layer of 64 units in float64, as a neural network sees its tolerances.</summary>
    private static void Tolerances(TutorialPage page)
    {
        random.manual_seed(page.Seed(3));
        using var f = (DenseDynamics)new DenseDynamics(64, [64]).to(ScalarType.Float64);
        foreach (Tensor parameter in f.parameters())
            parameter.mul_(tensor(3f));
        using Tensor batch = randn([32, 64], ScalarType.Float64);
        using OdeSolution reference = Ode.Solve(f, batch, 0, 1, Reference);
        var rows = new List<object[]>();
        foreach ((string name, SolverTolerances pair) in new[]
        {
            ("`SolverTolerances.Training`", SolverTolerances.Training), ("`SolverTolerances.Production`", SolverTolerances.Production),
            ("`SolverTolerances.Evaluation`", SolverTolerances.Evaluation), ("", new SolverTolerances(1e-7, 1e-8)),
            ("", new SolverTolerances(1e-9, 1e-10)),
        })
        {
            using OdeSolution solution =
                Ode.Solve(f, batch, 0, 1, new OdeSolverOptions { RelativeTolerance = pair.Relative, AbsoluteTolerance = pair.Absolute });
            double error = (solution.Final - reference.Final).abs().max().ToDouble();
            rows.Add([TutorialPage.Cell(pair.Relative, "0e-0", 0), TutorialPage.Cell(pair.Absolute, "0e-0", 0), name,
                TutorialPage.Cell(solution.Statistics.FunctionEvaluations, "N0", 0.1), TutorialPage.Cell(error, "0e-0", 0.2)]);
        }
        page.Table("tolerances", ["rtol", "atol", "preset", "evaluations", "largest error at the end"], rows);
    }

    private static SolverRun Run(
        string name, Func<Tensor, Tensor, Tensor> f, double initial, double[] times, OdeSolverOptions options, bool timed = false)
    {
        using Tensor y0 = tensor(new[] { initial });
        using Tensor grid = tensor(times);
        if (timed)
            Ode.Solve(f, y0, grid, options).Dispose();
        long started = Stopwatch.GetTimestamp();
        using OdeSolution solution = Ode.Solve(f, y0, grid, options);
        double milliseconds = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        return new SolverRun(name, times, Numbers(solution.States), solution.Statistics.FunctionEvaluations, timed ? milliseconds : null);
    }

    private static object[] Row(SolverRun run, Func<double, double> exact) =>
    [
        run.Name, TutorialPage.Cell(run.Evaluations, "N0", 0.02), TutorialPage.Cell(Max(run, exact)),
        TutorialPage.Cell(run.Times.Zip(run.Values, (t, h) => Math.Abs(h - exact(t))).Average()),
    ];

    private static double Max(SolverRun run, Func<double, double> exact) =>
        run.Times.Zip(run.Values, (t, h) => Math.Abs(h - exact(t))).Max();

    private static Tensor Predators(Tensor t, Tensor y)
    {
        Tensor hares = y.narrow(-1, 0, 1), lynxes = y.narrow(-1, 1, 1);
        return cat([hares * 1.5 - hares * lynxes, hares * lynxes - lynxes * 3], -1);
    }

    public static Func<Tensor, Tensor, Tensor> VanDerPol(double mu) => (t, y) =>
    {
        Tensor x = y.narrow(-1, 0, 1), v = y.narrow(-1, 1, 1);
        return cat([v, (1 - x * x) * v * mu - x], -1);
    };
}
