using System.Globalization;
using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>Checks of what users hand in, made before torch sees it.</summary>
internal static class Inputs
{
    /// <summary>So much of a solution's scale, in units of the relative tolerance, may rounding of the times cost.</summary>
    private const double LargestTimeError = 10;

    /// <summary>No float32 solution is expected to be better than this.</summary>
    private const double SmallestTolerance = 1e-5;

    /// <exception cref="ArgumentNullException">A tensor is null.</exception>
    /// <exception cref="ObjectDisposedException">A tensor is disposed of.</exception>
    public static void RequireAlive(Tensor? tensor, string name, string what)
    {
        ArgumentNullException.ThrowIfNull(tensor, name);
        if (tensor.IsInvalid)
            throw new ObjectDisposedException(null, $"{what} is disposed of; it must live as long as it is used, whatever scope it was made in.");
    }

    /// <summary>Requires rows of a width, in the type and on the device of parameters.</summary>
    /// <exception cref="ArgumentException">They differ.</exception>
    public static void RequireLike(Tensor state, Tensor parameter, string name)
    {
        if (state.dtype != parameter.dtype || state.device_type != parameter.device_type || state.device_index != parameter.device_index)
            throw new ArgumentException(
                $"The state has type {state.dtype} on {state.device}, the dynamics' parameters {parameter.dtype} on {parameter.device}; move one to the other's by to(…).", name);
    }

    /// <exception cref="ArgumentException">Tolerances of single components do not fit the state, are not numbers from 0 up, or ask for the impossible.</exception>
    public static void CheckTolerances(OdeSolverOptions options, Tensor state)
    {
        if (options.RelativeTolerances is null && options.AbsoluteTolerances is null)
            return;
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor relative = Of(options.RelativeTolerances, options.RelativeTolerance, nameof(options.RelativeTolerances));
        Tensor absolute = Of(options.AbsoluteTolerances, options.AbsoluteTolerance, nameof(options.AbsoluteTolerances));
        if (relative.eq(Numbers.Zero).logical_and(absolute.eq(Numbers.Zero)).any().item<bool>())
            throw new ArgumentException(
                $"{nameof(OdeSolverOptions)}.{nameof(options.AbsoluteTolerances)}: a component has relative and absolute tolerance 0; one of them must be positive.",
                nameof(options));

        Tensor Of(Tensor? tolerances, double one, string name)
        {
            if (tolerances is null)
                return tensor(new[] { one });
            RequireAlive(tolerances, name, $"{nameof(OdeSolverOptions)}.{name}");
            long[] shape = tolerances.shape, all = state.shape;
            bool fits = shape.Length <= all.Length && shape.Reverse().Zip(all.Reverse()).All(pair => pair.First == 1 || pair.First == pair.Second);
            // Rows leave the batch when they are done.
            bool isByRow = options.PerRow && shape.Length == all.Length && shape[0] != 1;
            if (!fits || isByRow || tolerances.is_complex())
                throw new ArgumentException(
                    $"{nameof(OdeSolverOptions)}.{name} has shape [{string.Join(", ", shape)}] and type {tolerances.dtype}; it must be of real numbers and broadcast against the state, " +
                    $"whose shape is [{string.Join(", ", all)}]{(options.PerRow ? ", alike for all rows" : "")}.", nameof(options));
            Tensor numbers = tolerances.detach().to(ScalarType.Float64, CPU);
            if (!numbers.isfinite().logical_and(numbers.ge(Numbers.Zero)).all().item<bool>())
                throw new ArgumentException($"{nameof(OdeSolverOptions)}.{name} holds a number that is negative, infinite or NaN; all must be zero or positive.", nameof(options));
            return numbers;
        }
    }

    /// <summary>
    /// Refuses times between which the state's type has too few numbers for the tolerance, where the right-hand side depends on time at all and a shift of
    /// time would help.
    /// </summary>
    /// <exception cref="ArgumentException">Rounding of the times would spoil the solution.</exception>
    public static void CheckTimes(OdeProblem problem)
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
            $"The times run from {grid.Start:R} to {grid.End:R}, where numbers of the state's type {type} are {spacing:G3} apart: too coarse for a right-hand side that depends on time. " +
            $"Let time start at 0 (add {grid.Start:R} to t inside the right-hand side, in float64), or use a float64 state."));
    }

    private static bool DependsOnTime(OdeProblem problem)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        OdeSolverOptions options = problem.Options;
        Tensor state = problem.InitialState.detach();
        bool perRow = options.PerRow && options.Method.IsAdaptive && options.StepSize is null;
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
            return problem.Function(clock.Tensor(times), state);
        }

        static bool Same(Tensor a, Tensor b) => a.eq(b).logical_or(a.isnan().logical_and(b.isnan())).all().item<bool>();
    }
}
