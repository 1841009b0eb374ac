using Microsoft.ML.NeuralOde.Paths;
using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

// Equations that are driven by sampled input.
public static partial class Ode
{
    /// <summary>Solves dy/dt = f(t, y, u(t)) with an input u(t) of its own for each row, given by samples.</summary>
    /// <param name="dynamics">
    /// f(t, y, u) returns dy/dt in the shape of y; u has shape <c>[batch, channels]</c>. Under <see cref="OdeSolverOptions.PerRow"/> f is
    /// given fewer rows of both as rows finish.
    /// </param>
    /// <param name="initialState">y₀, shape <c>[batch, …]</c>.</param>
    /// <param name="times">The output times, shape <c>[times]</c>, strictly increasing or decreasing; the first is that of the initial
    /// state.</param>
    /// <param name="control">
    /// u, a row for each of the state: as a rule made without a channel for time. Before a row's first sample and behind its last it stays.
    /// The values and times that it was made of receive gradients, and it must live until then. Where it has kinks or jumps, steps end at
    /// them; a cubic path has none between its ends, and needs fewer steps.
    /// </param>
    /// <param name="options">How to solve; null for the defaults.</param>
    /// <param name="parameters">
    /// The tensors besides the control that f uses and that are to receive gradients, all of them; null where f uses none. An empty list
    /// says that none are wanted, whatever f uses.
    /// </param>
    /// <returns>The states at the output times, <c>[times, batch, …]</c>, and what they cost.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static OdeSolution Solve(
        Func<Tensor, Tensor, Tensor, Tensor> dynamics, Tensor initialState, Tensor times, ControlPath control,
        OdeSolverOptions? options = null,
        IReadOnlyList<Tensor>? parameters = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        CheckControl(initialState, control);
        return Solve(
            new RowArgumentField((t, y, pieces) => dynamics(t, y, InputAt(t, pieces)), RowArgumentField.Apart(control.Pieces.Tensors),
                parameters), initialState,
            TimeGrid.Create(times), times, WithKinks(options, control));
    }

    /// <summary>The same with a module, whose parameters receive gradients: <c>forward(t, y, u)</c>.</summary>
    /// <param name="dynamics">f; see the overload for a function.</param>
    /// <param name="initialState">y₀, shape <c>[batch, …]</c>.</param>
    /// <param name="times">The output times, shape <c>[times]</c>, strictly increasing or decreasing; the first is that of the initial
    /// state.</param>
    /// <param name="control">u, a row for each of the state; see the overload for a function.</param>
    /// <param name="options">How to solve; null for the defaults.</param>
    /// <returns>The states at the output times, <c>[times, batch, …]</c>, and what they cost.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static OdeSolution Solve(
        Module<Tensor, Tensor, Tensor, Tensor> dynamics, Tensor initialState, Tensor times, ControlPath control,
        OdeSolverOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        CheckControl(initialState, control);
        return Solve(
            new RowArgumentField(dynamics, (t, y, pieces) => dynamics.call(t, y, InputAt(t, pieces)),
                RowArgumentField.Apart(control.Pieces.Tensors)), initialState,
            TimeGrid.Create(times), times, WithKinks(options, control));
    }

    private static Tensor InputAt(Tensor time, IReadOnlyList<Tensor> tensors)
    {
        using DisposeScope scope = NewDisposeScope();
        PathPieces pieces = PathPieces.Of(tensors);
        long rows = pieces.Values.size(0);
        Tensor all = time.dim() == 0 ? time.expand(rows, 1) : time.reshape(rows, 1);
        return pieces.Evaluate(all).squeeze(1).MoveToOuterDisposeScope();
    }

    private static OdeSolverOptions WithKinks(OdeSolverOptions? options, ControlPath control)
    {
        options ??= new OdeSolverOptions();
        return options with
        {
            Discontinuities =
            [.. options.Discontinuities ?? [], .. control.HasKinks ? control.KnotTimes() : control.EndTimes()]
        };
    }

    private static void CheckControl(Tensor initialState, ControlPath control)
    {
        ArgumentNullException.ThrowIfNull(initialState);
        ArgumentNullException.ThrowIfNull(control);
        Inputs.RequireAlive(initialState, nameof(initialState), "The initial state");
        Inputs.RequireAlive(control.Values, nameof(control), "The control path");
        if (initialState.dim() == 0 || initialState.size(0) != control.Rows)
            throw new ArgumentException(
                $"The control path has {control.Rows} {(control.Rows == 1 ? "row" : "rows")}; it must have one for each row of the initial state, "
                + $"whose shape is [{string.Join(", ", initialState.shape)}].", nameof(control));
        if (control.Values.dtype != initialState.dtype || control.Values.device_type != initialState.device_type
            || control.Values.device_index != initialState.device_index)
            throw new ArgumentException(
                $"The control path has type {control.Values.dtype} on {control.Values.device}, the initial state {initialState.dtype} on "
                + $"{initialState.device}; make both alike by to(…).", nameof(control));
    }
}
