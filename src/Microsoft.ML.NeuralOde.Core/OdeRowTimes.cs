using System.Globalization;
using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

// Output times of their own for each row: all rows are solved along the number of the output, s, with t(s) linear in between.
public static partial class Ode
{
    private static bool AreOfRows(Tensor? times) => times is { IsInvalid: false } && times.dim() == 2;

    private static OdeSolution SolveRowTimes(
        Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, Tensor times, OdeSolverOptions? options) =>
        SolveRowTimes(
            new RowArgumentField(dynamics, Along(dynamics.call), [times]), initialState, times, options ?? new OdeSolverOptions());

    private static OdeSolution SolveRowTimes(
        Func<Tensor, Tensor, Tensor> dynamics, Tensor initialState, Tensor times, OdeSolverOptions? options,
        IReadOnlyList<Tensor>? parameters)
    {
        options ??= new OdeSolverOptions();
        if (parameters is null && options.Gradient is null)
            options = options with { Gradient = GradientMethod.Direct() };
        return SolveRowTimes(new RowArgumentField(Along(dynamics), [times], parameters), initialState, times, options);
    }

    private static OdeSolution SolveRowTimes(RowArgumentField equation, Tensor initialState, Tensor times, OdeSolverOptions options)
    {
        options.Validate();
        Inputs.RequireAlive(initialState, nameof(initialState), "The initial state");
        double[,] values = ReadRowTimes(initialState, times);
        if (options.Events.Count > 0 || options.Discontinuities.Count > 0 || options.Jacobian is not null)
            throw new ArgumentException(
                "Events, discontinuities and a given Jacobian are not available with output times of each row's own, [batch, times]; "
                + "leave them out, or solve rows of the same times together.", nameof(options));
        int count = values.GetLength(1);
        double longest = 0;
        for (int row = 0; row < values.GetLength(0); row++)
            for (int i = 1; i < count; i++)
                longest = Math.Max(longest, Math.Abs(values[row, i] - values[row, i - 1]));
        if (count > 1)
            options = options with
            {
                Discontinuities = [.. Enumerable.Range(0, count).Select(i => (double)i)],
                StepSize = options.StepSize is { } step ? 1 / Math.Max(1, Math.Ceiling((longest / step) - 1e-9)) : null,
                FirstStep = options.FirstStep / longest,
                MinimumStep = options.MinimumStep / longest,
                MaximumStep = options.MaximumStep / longest,
            };
        try
        {
            return Solve(equation, initialState, TimeGrid.Of([.. Enumerable.Range(0, count).Select(i => (double)i)]), null, options);
        }
        catch (OdeSolverException exception)
        {
            long row = exception.Rows.Count > 0 ? exception.Rows[0] : 0;
            int before = Math.Clamp((int)exception.Time, 0, count - 2);
            double length = values[row, before + 1] - values[row, before];
            throw exception.At(values[row, before] + ((exception.Time - before) * length), exception.StepSize * length);
        }
    }

    /// <summary>dy/ds of rows whose times are the last argument.</summary>
    private static Func<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor> Along(Func<Tensor, Tensor, Tensor> dynamics) =>
        (place, state, arguments) =>
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor times = arguments[0];
        long rows = times.size(0), pieces = times.size(1) - 1;
        Tensor start, end, fraction;
        if (place.dim() == 0)
        {
            long piece = Math.Clamp((long)Math.Floor(place.ToDouble()), 0, pieces - 1);
            (start, end) = (times.select(1, piece), times.select(1, piece + 1));
            fraction = place.to(ScalarType.Float64).Minus(piece);
        }
        else
        {
            Tensor column = place.reshape(rows, 1);
            Tensor piece = column.detach().floor().to(ScalarType.Int64).Within(0, pieces - 1);
            (start, end) = (times.gather(1, piece).squeeze(1), times.gather(1, piece.Shift(1)).squeeze(1));
            fraction = (column.to(ScalarType.Float64) - piece.to(ScalarType.Float64)).squeeze(1);
        }
        var shape = new long[state.dim()];
        Array.Fill(shape, 1);
        shape[0] = rows;
        Tensor from = start.to(ScalarType.Float64);
        Tensor length = end.to(ScalarType.Float64) - from;
        Tensor time = from.Plus(length * fraction).to(state.dtype).reshape(shape);
        Tensor slope = UserFunction.Returned("The right-hand side", dynamics(time, state), "dy/dt as a tensor in the shape of the state");
        RightHandSide.Check(slope, state);
        return (slope * length.to(state.dtype).reshape(shape)).MoveToOuterDisposeScope();
    };

    private static double[,] ReadRowTimes(Tensor initialState, Tensor times)
    {
        using DisposeScope scope = NewDisposeScope();
        long count = times.size(1);
        if (!times.is_floating_point() || initialState.dim() == 0 || times.size(0) != initialState.size(0) || count == 0)
            throw new ArgumentException(
                $"The times have shape [{string.Join(", ", times.shape)}] and type {times.dtype}; they must be of a floating-point type and of shape "
                + $"[times], or [batch, times] for a state whose shape is [{string.Join(", ", initialState.shape)}].", nameof(times));
        if (times.device_type != initialState.device_type || times.device_index != initialState.device_index)
            throw new ArgumentException(
                $"The times are on {times.device}, the initial state is on {initialState.device}; move both to one device.", nameof(times));
        double[] all = times.detach().to(ScalarType.Float64, CPU).contiguous().data<double>().ToArray();
        var values = new double[times.size(0), count];
        for (int row = 0; row < values.GetLength(0); row++)
            for (int i = 0; i < count; i++)
            {
                values[row, i] = all[(row * count) + i];
                if (!double.IsFinite(values[row, i]))
                    throw new ArgumentException(
                        $"Row {row}: output time {i} is {values[row, i].ToString(CultureInfo.InvariantCulture)}; times must be finite.",
                        nameof(times));
                if (i > 0 && (values[row, i] == values[row, i - 1]
                    || Math.Sign(values[row, i] - values[row, i - 1]) != Math.Sign(values[row, 1] - values[row, 0])))
                    throw new ArgumentException(
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"Row {row}: output times must strictly increase or strictly decrease; time {i} is {values[row, i]} after {values[row, i - 1]}."),
                        nameof(times));
            }
        return values;
    }
}
