using Microsoft.ML.NeuralOde.Native;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde;

public static partial class Ode
{
    /// <summary>
    /// Solves an initial value problem in plain memory, without tensors and without gradients: for systems of a few states, far
    /// faster than with tensors. Methods, step control and interpolants are the same, and so are the steps.
    /// </summary>
    /// <remarks>
    /// Available are the explicit and implicit Runge–Kutta methods and <see cref="OdeMethod.Auto"/>. Of the options, those that are about
    /// tensors (Events, Jacobian, Gradient, PerRow, a custom norm) are refused: events and Jacobian are arguments here. A solve allocates
    /// at its start and nothing per step, unless there are events. Exceptions of f come through as they are.
    /// </remarks>
    /// <param name="dynamics">f writes dy/dt; called by one thread at a time.</param>
    /// <param name="initialState">y₀, one number a component.</param>
    /// <param name="times">The output times, strictly increasing or decreasing; the first is that of the initial state.</param>
    /// <param name="options">How to solve; null for the defaults. Tolerances per component have one number a component.</param>
    /// <param name="jacobian">∂f/∂y for implicit methods; null for forward differences: one evaluation of f, and one more a
    /// component.</param>
    /// <param name="events">Events to look for; null for none.</param>
    /// <returns>The states at the output times, and what they cost.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    /// <example>
    /// <code>
    /// NativeOdeSolution solution = Ode.Solve(
    ///     (t, y, dy) => { dy[0] = y[1]; dy[1] = -y[0]; }, [1, 0], [0, Math.PI], new OdeSolverOptions { Method = OdeMethod.Tsit5 });
    /// </code>
    /// </example>
    public static NativeOdeSolution Solve(
        OdeFunction dynamics, ReadOnlySpan<double> initialState, ReadOnlySpan<double> times, OdeSolverOptions? options = null,
        OdeJacobian? jacobian = null, IReadOnlyList<NativeOdeEvent>? events = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        options ??= new OdeSolverOptions();
        options.Validate();
        if (events is not null && events.Contains(null!))
            throw new ArgumentException("The list of events holds null.", nameof(events));
        if (initialState.IsEmpty)
            throw new ArgumentException("The initial state has no components; it must have one at least.", nameof(initialState));
        NativeOptions.Check(options);
        var problem = new NativeProblem(
            dynamics, jacobian, initialState.ToArray(), TimeGrid.Of(times.ToArray(), nameof(times)), options, events ?? []);
        using NativeIntegrator integrator = NativeIntegrator.Create(problem);
        return integrator.Run();
    }
}
