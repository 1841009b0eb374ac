using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Density;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Tutorial.Chapters;

/// <summary>Densities by flows.</summary>
internal sealed class Flows() : Chapter(7, "continuous-flows", "Continuous normalizing flows")
{
    public override void Run(TutorialPage page, CancellationToken cancellationToken)
    {
        Gaussian(page);
        ToyDensity density = ToyDensity.Parse("moons");
        (ContinuousFlow flow, DensityResult result) = new DensityStory(new DensitySettings
        {
            Dataset = density,
            Steps = 1500,
            BatchSize = 512,
            Width = 64,
            LearningRate = 4e-3,
            TestRows = 4000,
        }).Run(cancellationToken: cancellationToken);
        using (flow)
        {
            page.Number("likelihood", result.TestLogLikelihood, "0.00", 0.03);
            page.Number("limit", result.TrueNegativeEntropy, "0.00", 0.01);
            random.manual_seed(page.Seed(1));
            using Tensor data = tensor(density.Sample(2000, new Random(page.Seed(5))), [2000, 2]);
            page.Figure("flow", Figures.Flow(flow, data, points => LogDensity(density, points)), 960, 960);
            Anomaly(page, flow, density);
            Sampling(page, flow, density);
        }
        Traces(page);
        using var small = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [32, 32], Time = TimeDependence.None });
        page.Number("small-weights", small.parameters().Sum(parameter => parameter.numel()), "N0", 0);
    }

    /// <summary>dz/dt = A z carries a Gaussian to a Gaussian whose density is known: the formula, checked.</summary>
    private static void Gaussian(TutorialPage page)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        double[,] a = { { 0.3, -1.2 }, { 0.8, -0.5 } };
        Tensor matrix = tensor(a);
        var rows = new List<object[]>();
        Tensor points = tensor(new[] { 0.0, 0.0, 1.0, -0.5, -1.5, 2.0 }, [3, 2]);
        using OdeSolution solution = Ode.Solve((t, z) => mm(z, matrix.t()), points, tensor(new[] { 0.0, 1.0 }),
            new OdeSolverOptions { RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-12 });
        double[] ends = Numbers(solution.Final), starts = Numbers(points);
        // x = z(0) flows to z(1), which is standard normal; the density of x is that of N(0, (eᴬᵀ eᴬ)⁻¹).
        Tensor flow = matrix_exp(matrix);
        double[] precision = Numbers(mm(flow.t(), flow));
        for (int i = 0; i < 3; i++)
        {
            double x = starts[2 * i], y = starts[2 * i + 1];
            double byFormula = -0.5 * (Square(ends[2 * i]) + Square(ends[2 * i + 1])) - Math.Log(2 * Math.PI) + (a[0, 0] + a[1, 1]);
            double determinant = precision[0] * precision[3] - precision[1] * precision[2];
            double closed = -0.5 * (precision[0] * x * x + 2 * precision[1] * x * y + precision[3] * y * y) - Math.Log(
                2 * Math.PI) + 0.5 * Math.Log(determinant);
            rows.Add([$"({x:0.#}, {y:0.#})", TutorialPage.Cell(byFormula, "0.000000", 1e-6), TutorialPage.Cell(closed, "0.000000", 1e-6)]);
        }
        page.Table("gaussian", ["x", "by the flow", "closed form"], rows);

        static double Square(double x) => x * x;
        static Tensor matrix_exp(Tensor m) => linalg.matrix_exp(m);
    }

    /// <summary>Points in the gap between the moons have little density.</summary>
    private static void Anomaly(TutorialPage page, ContinuousFlow flow, ToyDensity density)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor inside = flow.LogDensity(tensor(density.Sample(1000, new Random(page.Seed(11))), [1000, 2]));
        var source = new Random(page.Seed(12));
        Tensor around = tensor([.. Enumerable.Range(0, 2000).Select(_ => (float)(8 * source.NextDouble() - 4))], [1000, 2]);
        double[] normal = Numbers(inside), random = Numbers(flow.LogDensity(around));
        double auroc = normal.Average(good => random.Average(bad => good > bad ? 1 : good == bad ? 0.5 : 0));
        page.Number("auroc", auroc, "0.000", 0.02);
    }

    /// <summary>Cheaper solvers for samples.</summary>
    private static void Sampling(TutorialPage page, ContinuousFlow flow, ToyDensity density)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(page.Seed(2));
        Tensor latent = flow.Base.Sample(2000);
        Tensor reference = Push(latent, flow, new OdeSolverOptions { RelativeTolerance = 1e-7, AbsoluteTolerance = 1e-8 }, out _);
        var rows = new List<object[]>();
        foreach ((string name, OdeSolverOptions options) in new (string, OdeSolverOptions)[]
        {
            ("euler, 10 steps", new() { Method = OdeMethod.Euler, StepSize = 0.1 }),
            ("midpoint, 10 steps", new() { Method = OdeMethod.Midpoint, StepSize = 0.1 }),
            ("rk4, 10 steps", new() { Method = OdeMethod.Rk4, StepSize = 0.1 }),
            ("rk4, 20 steps", new() { Method = OdeMethod.Rk4, StepSize = 0.05 }),
            ("dopri5, 1e-3", new() { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4 }),
            ("dopri5, 1e-5", new() { RelativeTolerance = 1e-5, AbsoluteTolerance = 1e-6 }),
        })
        {
            Tensor samples = Push(latent, flow, options, out long evaluations);
            double off = (samples - reference).square().sum([1L]).sqrt().mean().ToDouble();
            rows.Add([name, TutorialPage.Cell(evaluations, "N0", 0.5), TutorialPage.Cell(off, "0e-0", null),
                TutorialPage.Cell(LogDensity(density, samples).clamp(-20).mean().ToDouble(), "0.00", 0.05)]);
        }
        page.Table("sampling", ["solver", "evaluations", "mean distance from exact samples", "mean true log-density of samples"], rows);
    }

    private static Tensor Push(Tensor latent, ContinuousFlow flow, OdeSolverOptions options, out long evaluations)
    {
        using OdeSolution solution = Ode.Solve(flow.Blocks[0], latent, 1, 0, options);
        evaluations = solution.Statistics.FunctionEvaluations;
        return flow.Standardization!.Invert(solution.Final);
    }

    /// <summary>The spread of Hutchinson's estimate, and what the exact trace costs, by dimension.</summary>
    private static void Traces(TutorialPage page)
    {
        using DisposeScope scope = NewDisposeScope();
        var rows = new List<object[]>();
        foreach (int dimension in (int[])[2, 16, 64])
        {
            random.manual_seed(page.Seed(9));
            // A matrix stands for the Jacobian of f.
            Tensor jacobian = randn([dimension, dimension], ScalarType.Float64) / tensor(Math.Sqrt(dimension));
            double exact = jacobian.trace().ToDouble();
            object[] cells = [.. new[] { false, true }.Select(gaussian =>
            {
                Tensor probes = gaussian
                    ? randn([20_000, dimension], ScalarType.Float64) : randint(0, 2, [20_000, dimension]).to(ScalarType.Float64) * 2 - 1;
                double[] estimates = Numbers((mm(probes, jacobian) * probes).sum([1L]));
                double mean = estimates.Average();
                return (object)TutorialPage.Cell(Math.Sqrt(estimates.Average(x => (x - mean) * (x - mean))), "0.00", 0.1);
            })];
            rows.Add([$"{dimension}", TutorialPage.Cell(exact, "0.00", 0.01), .. cells]);
        }
        page.Table("traces", ["dimensions", "trace", "deviation, ±1 probes", "deviation, Gaussian probes"], rows);
    }

    private static Tensor LogDensity(ToyDensity density, Tensor points)
    {
        double[] numbers = Numbers(points);
        return tensor([.. Enumerable.Range(0, numbers.Length / 2).Select(i => density.LogDensity(numbers[2 * i], numbers[2 * i + 1]))]);
    }
}
