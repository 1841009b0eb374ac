using System.Globalization;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>Whether the numbers of the state's type are fine enough for the times of a problem.</summary>
internal static class TimeChecks
{
    /// <summary>So much of a solution's scale, in units of the relative tolerance, may rounding of the times cost.</summary>
    private const double LargestTimeError = 10;

    /// <summary>No float32 solution is expected to be better than this.</summary>
    private const double SmallestTolerance = 1e-5;

    /// <summary>
    /// Refuses times between which the state's type has too few numbers for the tolerance, where the right-hand side depends on time at all
    /// and a shift of
    /// time would help.
    /// </summary>
    /// <exception cref="ArgumentException">Rounding of the times would spoil the solution.</exception>
    public static void Check(OdeProblem problem)
    {
        ScalarType type = problem.InitialState.dtype;
        TimeGrid grid = problem.Grid;
        double interval = Math.Abs(grid.End - grid.Start);
        double largest = Math.Max(Math.Abs(grid.Start), Math.Abs(grid.End));
        double spacing = TimePrecision.Spacing(largest, type);
        // A time is off by a quarter of the spacing on average.
        double allowed = 4 * LargestTimeError * Math.Max(problem.Options.RelativeTolerance, SmallestTolerance) * interval;
        if (grid.Count < 2 || spacing <= allowed || spacing < 8 * TimePrecision.Spacing(interval, type) || !DependsOnTime(problem))
            return;
        throw new ArgumentException(string.Create(CultureInfo.InvariantCulture,
            $"The times run from {grid.Start:R} to {grid.End:R}, where numbers of the state's type {type} are {spacing:G3} apart: " +
            $"too coarse for a right-hand side that depends on time. " +
            $"Let time start at 0 (add {grid.Start:R} to t inside the right-hand side, in float64), or use a float64 state."));
    }

    private static bool DependsOnTime(OdeProblem problem)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor state = problem.InitialState.detach();
        bool perRow = problem.IsPerRow;
        var clock = new Clock(problem.Grid, state, perRow);
        // Times that are all rounded to one would tell nothing.
        double spacing = TimePrecision.Spacing(Math.Max(Math.Abs(problem.Grid.Start), Math.Abs(problem.Grid.End)), state.dtype);
        double interval = Math.Max(Math.Abs(problem.Grid.End - problem.Grid.Start), 8 * spacing);
        Tensor start = At(0), middle = At(0.5), end = At(1);
        return !Same(start, middle) || !Same(start, end);

        Tensor At(double fraction)
        {
            double[] times = new double[perRow ? state.shape[0] : 1];
            Array.Fill(times, problem.Grid.Start + fraction * problem.Grid.Direction * interval);
            problem.Statistics.FunctionEvaluations++;
            return problem.Equation.Evaluate(clock.Tensor(times), state);
        }

        static bool Same(Tensor a, Tensor b) => a.eq(b).logical_or(a.isnan().logical_and(b.isnan())).all().item<bool>();
    }
}
