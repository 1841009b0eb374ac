using System.Globalization;
using System.Text;

namespace Microsoft.ML.NeuralOde.Samples.Solvers;

/// <summary>The comparison as a Markdown document. It holds no durations, so that the same program writes the same document.</summary>
internal static class SolverDocument
{
    private const string Behaviour = """

        ## Times, jumps and events

        - Times are rounded to the state's type on their way to f. In float32, times such as 1e6 to 1e6 + 1 are refused where f depends on time: let time start at 0, or use float64.
        - At a time named in `Discontinuities` a step ends exactly, and f is asked one number of the state's type before it or behind it, never there. Both directions, all methods.
        - The smallest step is four times the distance of float64 numbers at the present time, so that a long interval may begin with tiny steps.
        - Before a pole the exception says that the solution blows up, when, and in which rows.
        - Event functions are described on each step by polynomials on as many pieces as it takes; `EventsMayBeMissed` tells of functions too rough for that. Several events at one
          time all happen. An output at an event's time is the state before its reset; so is an output so little behind a terminal event that the state moves by less than its tolerance.
        - A ball that bounces ever faster ends in `SolverFailure.EventAccumulation`, as a row status under `PerRow` and with `OnStepLimit = ReturnPartial`.

        ## A method of one's own

        `OdeMethod.ExplicitRungeKutta(name, tableau)` makes a method of any explicit tableau:

        ```csharp
        OdeMethod ssp3 = OdeMethod.ExplicitRungeKutta("ssp3", new RungeKuttaTableau
        {
            Order = 3,
            Nodes = [0, 1, 0.5],
            Matrix = [[], [1], [0.25, 0.25]],
            Weights = [1.0 / 6, 1.0 / 6, 2.0 / 3],
        });
        ```

        - It works wherever ours do: fixed steps, or adaptive ones where `EmbeddedWeights` and `EmbeddedOrder` are given; every gradient method; per-row steps; events; reversible
          couplings; ONNX.
        - It is checked as ours are: every row sums to its node, nodes lie in the step, weights, embedded weights and interpolant meet all conditions of the orders that they state
          (one for each rooted tree, to eleven digits). The message names the first condition that is missed. Give coefficients as quotients, or with all their digits.
        - Between steps the output comes from `Interpolant`, or else from the cubic through both ends of a step with both derivatives.
        - `OdeMethod.Parse` does not know it. Model files hold the names of methods alone, and so trainers refuse it as their `Solver`.

        """;

    public static string Write(IReadOnlyList<MethodResult> methods)
    {
        var text = new StringBuilder();
        text.Append(string.Create(CultureInfo.InvariantCulture, $"""
            # Solvers

            Every method of `OdeMethod.All`, run in float64. Adaptive methods at rtol {SolverComparison.RelativeTolerance:0e-0} and atol {SolverComparison.AbsoluteTolerance:0e-0},
            the others with {SolverComparison.FixedSteps:N0} equal steps. For each problem: evaluations of the right-hand side, and the largest error over the output
            times. The order is measured by halving the step three times; a dash stands where a method does not fit a problem.

            This document is written by `dotnet run -c Release --project samples/Microsoft.ML.NeuralOde.Samples -- solvers --markdown docs/solvers.md`.


            """).ReplaceLineEndings("\n"));
        text.Append("| method | order | measured | stages | steps |");
        foreach (string name in SolverComparison.ProblemNames)
            text.Append(CultureInfo.InvariantCulture, $" {name} |");
        text.Append("\n|---|---|---|---|---|").Insert(text.Length, "---|", SolverComparison.ProblemNames.Count).Append('\n');
        foreach (MethodResult method in methods)
        {
            text.Append(CultureInfo.InvariantCulture,
                $"| `{method.Name}` | {method.TheoreticalOrder} | {method.ObservedOrder:F1} | {method.Stages} | {(method.Adaptive ? "adaptive" : "fixed")} |");
            foreach (ProblemResult problem in method.Problems)
                text.Append(CultureInfo.InvariantCulture, $" {Cell(problem)} |");
            text.Append('\n');
        }
        text.Append(Behaviour.ReplaceLineEndings("\n"));
        return text.ToString();
    }

    public static string Cell(ProblemResult problem) =>
        problem.Evaluations is { } evaluations
        ? string.Create(CultureInfo.InvariantCulture, $"{evaluations:N0} · {problem.MaxError:0e-0}") : "–";
}
