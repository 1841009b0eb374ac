using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Solvers;

/// <summary>What a method made of a problem.</summary>
/// <param name="Name">The problem.</param>
/// <param name="Evaluations">Evaluations of the right-hand side; null where the method does not fit the problem or failed.</param>
/// <param name="MaxError">The largest error over the output times.</param>
/// <param name="Milliseconds">Duration of the second of two runs.</param>
/// <param name="Failure">Why there is no result.</param>
internal sealed record ProblemResult(string Name, long? Evaluations, double? MaxError, double? Milliseconds, string? Failure = null);

/// <summary>A method and its results.</summary>
internal sealed record MethodResult(
    string Name, int TheoreticalOrder, double ObservedOrder, int Stages, bool Adaptive, IReadOnlyList<ProblemResult> Problems);

/// <summary>Runs every method on the same problems, in float64.</summary>
internal static class SolverComparison
{
    public const double RelativeTolerance = 1e-6;

    public const double AbsoluteTolerance = 1e-8;

    /// <summary>Steps of a method without error control on each problem.</summary>
    public const int FixedSteps = 1000;

    private static readonly Problem[] Problems =
    [
        new("h' = -h", [1], 5, (t, y) => -y, t => [Math.Exp(-t)]),
        new("h' = -2h + sin t", [0], 5, (t, y) => -2 * y + t.sin(), t => [(2 * Math.Sin(t) - Math.Cos(t) + Math.Exp(-2 * t)) / 5]),
        new("van der Pol, mu = 5", [2, 0], 10, VanDerPol, null),
    ];

    public static IReadOnlyList<string> ProblemNames => [.. Problems.Select(problem => problem.Name)];

    public static MethodResult Run(OdeMethod method, CancellationToken cancellationToken = default)
    {
        using IDisposable noGrad = no_grad();
        return new MethodResult(method.Name, method.Order, ObservedOrder(method), method.Stages, method.IsAdaptive,
            [.. Problems.Select(problem => Run(method, problem, cancellationToken))]);
    }

    private static ProblemResult Run(OdeMethod method, Problem problem, CancellationToken cancellationToken)
    {
        if (method.IsForSecondOrderSystems && problem.Initial.Length % 2 != 0)
            return new ProblemResult(problem.Name, null, null, null, "not a second-order system");
        var options = new OdeSolverOptions
        {
            Method = method,
            RelativeTolerance = RelativeTolerance,
            AbsoluteTolerance = AbsoluteTolerance,
            StepSize = method.IsAdaptive ? null : problem.End / FixedSteps,
            CancellationToken = cancellationToken,
        };
        try
        {
            Solve(problem, options).Dispose();
            long started = Stopwatch.GetTimestamp();
            using OdeSolution solution = Solve(problem, options);
            double milliseconds = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
            using Tensor expected = Reference(problem);
            using Tensor difference = (solution.States - expected).abs().max();
            return new ProblemResult(problem.Name, solution.Statistics.FunctionEvaluations, difference.ToDouble(), milliseconds);
        }
        catch (OdeSolverException e)
        {
            return new ProblemResult(problem.Name, null, null, null, e.Failure.ToString());
        }
    }

    private static OdeSolution Solve(Problem problem, OdeSolverOptions options)
    {
        using Tensor y0 = tensor(problem.Initial);
        using Tensor times = tensor(problem.Times);
        return Ode.Solve(problem.Function, y0, times, options);
    }

    /// <summary>The closed form, or, where there is none, a solution at a much tighter tolerance.</summary>
    private static Tensor Reference(Problem problem)
    {
        if (problem.Exact is { } exact)
            return tensor([.. problem.Times.SelectMany(exact)], [problem.Times.Length, problem.Initial.Length]);
        return Solve(
            problem, new OdeSolverOptions { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-12, AbsoluteTolerance = 1e-13 }).States;
    }

    /// <summary>From three halvings of the step, on y' = e^(-t) cos² y, or, for second-order systems, on x'' = -x.</summary>
    private static double ObservedOrder(OdeMethod method)
    {
        int coarse = method.Order >= 6 ? 4 : 12;
        return Math.Log2(Error(coarse) / Error(8 * coarse)) / 3;

        double Error(int steps)
        {
            Problem problem = method.IsForSecondOrderSystems
                ? new Problem("", [1, 0], 3, (t, y) => cat([y.narrow(-1, 1, 1), -y.narrow(-1, 0, 1)], -1), t => [Math.Cos(t), -Math.Sin(t)])
                : new Problem("", [-1.2, -0.5, 0.2], 3, (t, y) => (-t).exp() * y.cos().square(),
                    t => [.. new[] { -1.2, -0.5, 0.2 }.Select(y => Math.Atan(Math.Tan(y) + 1 - Math.Exp(-t)))]);
            using Tensor y0 = tensor(problem.Initial);
            using Tensor times = tensor(new[] { 0, problem.End });
            using OdeSolution solution =
                Ode.Solve(problem.Function, y0, times, new OdeSolverOptions { Method = method, StepSize = problem.End / steps });
            using Tensor expected = tensor(problem.Exact!(problem.End));
            return (solution.Final - expected).abs().max().ToDouble();
        }
    }

    private static Tensor VanDerPol(Tensor t, Tensor y)
    {
        Tensor x = y.narrow(-1, 0, 1), v = y.narrow(-1, 1, 1);
        return cat([v, 5 * (1 - x * x) * v - x], -1);
    }

    private sealed record Problem(
        string Name, double[] Initial, double End, Func<Tensor, Tensor, Tensor> Function, Func<double, double[]>? Exact)
    {
        public double[] Times => [0, End / 4, End / 2, End];
    }
}
