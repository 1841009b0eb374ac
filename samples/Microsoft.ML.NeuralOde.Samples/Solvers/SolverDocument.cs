using System.Globalization;
using System.Text;

namespace Microsoft.ML.NeuralOde.Samples.Solvers;

/// <summary>The comparison as a Markdown document. It holds no durations, so that the same program writes the same document.</summary>
internal static class SolverDocument
{
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
            text.Append(CultureInfo.InvariantCulture, $"| `{method.Name}` | {method.TheoreticalOrder} | {method.ObservedOrder:F1} | {method.Stages} | {(method.Adaptive ? "adaptive" : "fixed")} |");
            foreach (ProblemResult problem in method.Problems)
                text.Append(CultureInfo.InvariantCulture, $" {Cell(problem)} |");
            text.Append('\n');
        }
        return text.ToString();
    }

    public static string Cell(ProblemResult problem) =>
        problem.Evaluations is { } evaluations ? string.Create(CultureInfo.InvariantCulture, $"{evaluations:N0} · {problem.MaxError:0e-0}") : "–";
}
