using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Dynamics;
using Microsoft.ML.NeuralOde.Gradients;
using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>Solves initial value problems dy/dt = f(t, y), y(t₀) = y₀, differentiably.</summary>
/// <remarks>
/// A result is right within its tolerances, or an exception says what is wrong. Refused are: tensors that are null or disposed of, and
/// modules with such parameters (<see cref="ArgumentNullException"/>, <see cref="ObjectDisposedException"/>); states that are not of a
/// floating-point type, times that are not finite and strictly monotone, tolerances that fit no component
/// (<see cref="ArgumentException"/>); times between which the state's type has too few numbers, such as 1e6 to 1e6 + 1 in float32, unless f
/// does not depend on time (<see cref="ArgumentException"/>); an f that returns null, a tensor that is disposed of, or one of another
/// shape, type or device than the state (<see cref="InvalidOperationException"/>). Exceptions of f itself come through as they are; what
/// torch says is put into one line (<see cref="InvalidOperationException"/>). What cannot be solved, such as a pole, a state or an f that
/// is NaN, or events that accumulate, is an <see cref="OdeSolverException"/> with time and rows. f may change the state that it is given:
/// the solver goes on with its own.
/// </remarks>
public static partial class Ode
{
    /// <summary>Solves an initial value problem whose right-hand side is a module; its parameters receive gradients.</summary>
    /// <param name="dynamics">f: <c>forward(t, y)</c> returns dy/dt in the shape of y. t is a scalar tensor (per row under
    /// <see cref="OdeSolverOptions.PerRow"/>).</param>
    /// <param name="initialState">y₀, of any shape, as a rule <c>[batch, features]</c>; float32 or float64 (other floating types work
    /// too).</param>
    /// <param name="times">The output times, shape <c>[times]</c>, strictly increasing or decreasing; the first is that of the initial
    /// state. Of shape <c>[batch, times]</c> each row has its own: f is then given times of shape <c>[batch, 1, …]</c>, steps of all rows
    /// end at their outputs, and events, discontinuities and a given Jacobian are not available.</param>
    /// <param name="options">How to solve; null for the defaults.</param>
    /// <returns>The states at the output times, <c>[times, batch, …]</c>, and what they cost.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static OdeSolution Solve(
        Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, Tensor times, OdeSolverOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        return AreOfRows(times)
            ? SolveRowTimes(dynamics, initialState, times, options)
            : Solve(new ModuleField(dynamics), initialState, TimeGrid.Create(times), times, options);
    }

    /// <summary>Solves an initial value problem whose right-hand side is a module, from one time to another.</summary>
    /// <param name="dynamics">f: <c>forward(t, y)</c> returns dy/dt in the shape of y. t is a scalar tensor (per row under
    /// <see cref="OdeSolverOptions.PerRow"/>).</param>
    /// <param name="initialState">y₀, of any shape, as a rule <c>[batch, features]</c>; float32 or float64 (other floating types work
    /// too).</param>
    /// <param name="startTime">The time of the initial state.</param>
    /// <param name="endTime">The time of the final state; may lie before the start.</param>
    /// <param name="options">How to solve; null for the defaults.</param>
    /// <returns>The states at both times, <c>[2, batch, …]</c>, and what they cost.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static OdeSolution Solve(
        Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, double startTime, double endTime, OdeSolverOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        return Solve(new ModuleField(dynamics), initialState, TimeGrid.Of(startTime, endTime), null, options);
    }

    /// <summary>Solves an initial value problem whose right-hand side is a function.</summary>
    /// <param name="dynamics">f(t, y) returns dy/dt in the shape of y.</param>
    /// <param name="initialState">y₀, of any shape, as a rule <c>[batch, features]</c>.</param>
    /// <param name="times">The output times, shape <c>[times]</c>, strictly increasing or decreasing; the first is that of the initial
    /// state. Of shape <c>[batch, times]</c> each row has its own: f is then given times of shape <c>[batch, 1, …]</c>, steps of all rows
    /// end at their outputs, and events, discontinuities and a given Jacobian are not available.</param>
    /// <param name="options">How to solve; null for the defaults.</param>
    /// <param name="parameters">
    /// The tensors that f uses and that are to receive gradients, all of them: f must not use others that require gradients. Null if they
    /// are not known: then only <see cref="GradientMethod.Direct"/>, the default in that case, reaches them. An empty list says that none
    /// are wanted, whatever f uses.
    /// </param>
    /// <returns>The states at the output times, <c>[times, batch, …]</c>, and what they cost.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static OdeSolution Solve(
        Func<Tensor, Tensor, Tensor> dynamics, Tensor initialState, Tensor times, OdeSolverOptions? options = null,
        IReadOnlyList<Tensor>? parameters = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        return AreOfRows(times)
            ? SolveRowTimes(dynamics, initialState, times, options, parameters)
            : Solve(new FunctionField(dynamics, parameters), initialState, TimeGrid.Create(times), times, options);
    }

    /// <summary>
    /// Solves an initial value problem whose right-hand side has arguments of its own for each row of the batch, such as controls or
    /// conditions.
    /// </summary>
    /// <param name="dynamics">
    /// f(t, y, arguments) returns dy/dt in the shape of y. Under <see cref="OdeSolverOptions.PerRow"/> rows finish at different times: f is
    /// then given fewer rows of y, and the same rows of the arguments.
    /// </param>
    /// <param name="initialState">y₀, shape <c>[batch, …]</c>.</param>
    /// <param name="times">The output times, shape <c>[times]</c>, strictly increasing or decreasing; the first is that of the initial
    /// state.</param>
    /// <param name="rowArguments">Tensors of shape <c>[batch, …]</c> on the state's device. They receive gradients.</param>
    /// <param name="options">How to solve; null for the defaults.</param>
    /// <param name="parameters">
    /// The tensors besides the arguments that f uses and that are to receive gradients, all of them; null where f uses none. An empty list
    /// says that none are wanted, whatever f uses.
    /// </param>
    /// <returns>The states at the output times, <c>[times, batch, …]</c>, and what they cost.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static OdeSolution Solve(
        Func<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor> dynamics, Tensor initialState, Tensor times, IReadOnlyList<Tensor> rowArguments,
        OdeSolverOptions? options = null, IReadOnlyList<Tensor>? parameters = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        CheckArguments(initialState, rowArguments);
        return Solve(new RowArgumentField(dynamics, RowArgumentField.Apart(rowArguments), parameters), initialState, TimeGrid.Create(times),
            times, options);
    }

    /// <summary>
    /// Solves an initial value problem whose right-hand side is a module with arguments of its own for each row of the batch; the module's
    /// parameters and the arguments receive gradients.
    /// </summary>
    /// <param name="dynamics">
    /// f: <c>forward(t, y, arguments)</c> returns dy/dt in the shape of y. Under <see cref="OdeSolverOptions.PerRow"/> rows finish at
    /// different times: f is then given fewer rows of y, and the same rows of the arguments.
    /// </param>
    /// <param name="initialState">y₀, shape <c>[batch, …]</c>.</param>
    /// <param name="times">The output times, shape <c>[times]</c>, strictly increasing or decreasing; the first is that of the initial
    /// state.</param>
    /// <param name="rowArguments">Tensors of shape <c>[batch, …]</c> on the state's device.</param>
    /// <param name="options">How to solve; null for the defaults.</param>
    /// <returns>The states at the output times, <c>[times, batch, …]</c>, and what they cost.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static OdeSolution Solve(
        Module<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor> dynamics, Tensor initialState, Tensor times,
        IReadOnlyList<Tensor> rowArguments,
        OdeSolverOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        return Solve(dynamics, dynamics.call, initialState, times, rowArguments, options);
    }

    /// <summary>The same with one argument, such as a control: <c>forward(t, y, argument)</c>.</summary>
    /// <param name="dynamics">f: <c>forward(t, y, argument)</c> returns dy/dt in the shape of y; see the overload for several
    /// arguments.</param>
    /// <param name="initialState">y₀, shape <c>[batch, …]</c>.</param>
    /// <param name="times">The output times, shape <c>[times]</c>, strictly increasing or decreasing; the first is that of the initial
    /// state.</param>
    /// <param name="rowArgument">A tensor of shape <c>[batch, …]</c> on the state's device.</param>
    /// <param name="options">How to solve; null for the defaults.</param>
    /// <returns>The states at the output times, <c>[times, batch, …]</c>, and what they cost.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static OdeSolution Solve(
        Module<Tensor, Tensor, Tensor, Tensor> dynamics, Tensor initialState, Tensor times, Tensor rowArgument,
        OdeSolverOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        ArgumentNullException.ThrowIfNull(rowArgument);
        return Solve(dynamics, (t, y, arguments) => dynamics.call(t, y, arguments[0]), initialState, times, [rowArgument], options);
    }

    /// <summary>
    /// Solves an initial value problem under a condition for each row, f(t, y; c); the module's parameters and the condition receive
    /// gradients.
    /// </summary>
    /// <param name="dynamics">f, a module that is evaluated by <see cref="IConditionalDynamics.Evaluate"/>, such as
    /// <see cref="DenseDynamics"/>.</param>
    /// <param name="initialState">y₀, shape <c>[batch, features]</c>.</param>
    /// <param name="times">The output times, shape <c>[times]</c>, strictly increasing or decreasing; the first is that of the initial
    /// state.</param>
    /// <param name="condition">c, shape <c>[batch, conditions]</c>.</param>
    /// <param name="options">How to solve; null for the defaults.</param>
    /// <returns>The states at the output times, <c>[times, batch, features]</c>, and what they cost.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static OdeSolution Solve(
        IConditionalDynamics dynamics, Tensor initialState, Tensor times, Tensor condition, OdeSolverOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        ArgumentNullException.ThrowIfNull(condition);
        if (dynamics is not Module module)
            throw new ArgumentException(
                $"{dynamics.GetType().Name} is no module, so that its parameters are not known; "
                + "pass a function of its Evaluate and name them.", nameof(dynamics));
        if (condition.dim() != 2 || condition.shape[1] != dynamics.Conditions)
            throw new ArgumentException(
                $"The condition has shape [{string.Join(", ", condition.shape)}]; it must be [batch, {dynamics.Conditions}].",
                nameof(condition));
        return Solve(module, (t, y, arguments) => dynamics.Evaluate(t, y, arguments[0]), initialState, times, [condition], options);
    }

    private static OdeSolution Solve(
        Module module, Func<Tensor, Tensor, IReadOnlyList<Tensor>, Tensor> forward, Tensor initialState, Tensor times,
        IReadOnlyList<Tensor> rowArguments, OdeSolverOptions? options)
    {
        CheckArguments(initialState, rowArguments);
        return Solve(new RowArgumentField(module, forward, RowArgumentField.Apart(rowArguments)), initialState, TimeGrid.Create(times),
            times, options);
    }

    private static void CheckArguments(Tensor initialState, IReadOnlyList<Tensor> rowArguments)
    {
        ArgumentNullException.ThrowIfNull(initialState);
        ArgumentNullException.ThrowIfNull(rowArguments);
        Inputs.RequireAlive(initialState, nameof(initialState), "The initial state");
        for (int i = 0; i < rowArguments.Count; i++)
        {
            Inputs.RequireAlive(rowArguments[i], nameof(rowArguments), $"Row argument {i}");
            if (initialState.dim() == 0 || rowArguments[i].dim() == 0 || rowArguments[i].shape[0] != initialState.shape[0])
                throw new ArgumentException(
                    $"Argument {i} has shape [{string.Join(", ", rowArguments[i].shape)}]; "
                    + $"it must have one entry a row of the initial state, whose shape is [{string.Join(", ", initialState.shape)}].",
                    nameof(rowArguments));
        }
    }

    /// <summary>
    /// Solves an initial value problem whose state is several tensors, such as position and velocity, or a state and a log-density.
    /// </summary>
    /// <param name="dynamics">f(t, parts of y) returns the derivative of each part, in its shape.</param>
    /// <param name="initialState">
    /// The parts of y₀, of any shapes, of one floating type and on one device. Where all have the same first dimension, it is the batch,
    /// and <see cref="OdeSolverOptions.PerRow"/> may be used.
    /// </param>
    /// <param name="times">The output times, shape <c>[times]</c>, strictly increasing or decreasing; the first is that of the initial
    /// state.</param>
    /// <param name="options">How to solve; null for the defaults. Events are not available.</param>
    /// <param name="parameters">The tensors that f uses and that are to receive gradients; null if they are not known (see the overload for
    /// one tensor).</param>
    /// <returns>The parts of the state at the output times, and what they cost.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static OdeTupleSolution Solve(
        Func<Tensor, IReadOnlyList<Tensor>, IReadOnlyList<Tensor>> dynamics, IReadOnlyList<Tensor> initialState, Tensor times,
        OdeSolverOptions? options = null, IReadOnlyList<Tensor>? parameters = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        ArgumentNullException.ThrowIfNull(initialState);
        if (options is { Events.Count: > 0 })
            throw new ArgumentException("Events are functions of a state of one tensor; this state has several.", nameof(options));
        var layout = new StateLayout(initialState);
        using DisposeScope scope = NewDisposeScope();
        OdeSolution packed = Solve(
            FunctionField.OfParts(dynamics, layout, parameters), layout.Pack(initialState), TimeGrid.Create(times), times, options);
        Tensor[] states = layout.UnpackTimes(packed.States);
        packed.States.MoveToOuterDisposeScope();
        foreach (Tensor state in states)
            state.MoveToOuterDisposeScope();
        return new OdeTupleSolution(packed, states);
    }

    /// <summary>
    /// The adjoint equation made visible: solves a problem forward, and then the adjoint state λ(t) = ∂L/∂y(t) and the gradients of the
    /// parameters backward, and returns all of them at the output times. <see cref="GradientMethod.Adjoint"/> computes the same and keeps
    /// only its end.
    /// </summary>
    /// <param name="dynamics">f: <c>forward(t, y)</c> returns dy/dt in the shape of y.</param>
    /// <param name="initialState">y₀, of any shape, as a rule <c>[batch, features]</c>.</param>
    /// <param name="times">The output times, shape <c>[times]</c>, at least two, strictly increasing or decreasing.</param>
    /// <param name="loss">L, a scalar function of the state at the last output time, in its shape.</param>
    /// <param name="options">How to solve, both ways; null for the defaults. <see cref="OdeSolverOptions.Gradient"/> is null or
    /// <see cref="GradientMethod.Adjoint"/>, whose method and tolerances are those of the way back. Neither events nor
    /// <see cref="OdeSolverOptions.PerRow"/> are available.</param>
    /// <returns>States, adjoint states and growing gradients at the output times; without a graph.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="InvalidOperationException">The loss returns no finite scalar, or cannot be differentiated.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static AdjointSolution SolveAdjoint(
        Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, Tensor times, Func<Tensor, Tensor> loss,
        OdeSolverOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        return SolveAdjoint(
            new ModuleField(dynamics), [.. dynamics.named_parameters().Select(parameter => parameter.name)], initialState,
            times, loss, options);
    }

    /// <summary>The same of a right-hand side that is a function.</summary>
    /// <param name="dynamics">f(t, y) returns dy/dt in the shape of y.</param>
    /// <param name="initialState">y₀, of any shape, as a rule <c>[batch, features]</c>.</param>
    /// <param name="times">The output times, shape <c>[times]</c>, at least two, strictly increasing or decreasing.</param>
    /// <param name="loss">L, a scalar function of the state at the last output time, in its shape.</param>
    /// <param name="options">How to solve, both ways; see the overload for modules.</param>
    /// <param name="parameters">The tensors that f uses and that are to receive gradients, with their names; null where f uses none: others
    /// that require gradients are refused. An empty list says that none are wanted, whatever f uses.</param>
    /// <returns>States, adjoint states and growing gradients at the output times; without a graph.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense; the message says which and what would.</exception>
    /// <exception cref="InvalidOperationException">The loss returns no finite scalar, or cannot be differentiated.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
    public static AdjointSolution SolveAdjoint(
        Func<Tensor, Tensor, Tensor> dynamics, Tensor initialState, Tensor times, Func<Tensor, Tensor> loss,
        OdeSolverOptions? options = null,
        IReadOnlyList<(string Name, Tensor Value)>? parameters = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        var equation = new FunctionField(dynamics, parameters is null ? null : [.. parameters.Select(parameter => parameter.Value)]);
        return SolveAdjoint(equation, [.. (parameters ?? []).Select(parameter => parameter.Name)], initialState, times, loss, options);
    }

    private static AdjointSolution SolveAdjoint(
        VectorField equation, string[] names, Tensor initialState, Tensor times, Func<Tensor, Tensor> loss, OdeSolverOptions? options)
    {
        ArgumentNullException.ThrowIfNull(loss);
        options ??= new OdeSolverOptions();
        options.Validate();
        CheckState(initialState, equation.Parameters, options);
        BackwardFailure.ThrowKept(equation.Parameters);
        Inputs.CheckTolerances(options, initialState);
        var problem =
            new OdeProblem(equation, initialState, null, TimeGrid.Create(times), options, options.Gradient ?? GradientMethod.Adjoint());
        if (equation.MayHideParameters && is_grad_enabled())
            UnnamedParameters.Check(problem);
        TimeChecks.Check(problem);
        try
        {
            return AdjointTrace.Run(problem, names, loss);
        }
        catch (ExternalException exception)
        {
            throw new InvalidOperationException(
                $"torch could not do what the adjoint of a state of {RightHandSide.Describe(initialState)} asked for: "
                + $"{UserFunction.FirstLine(exception)}", exception);
        }
    }

    /// <summary>Solves an initial value problem of any kind.</summary>
    internal static OdeSolution Solve(
        VectorField equation, Tensor initialState, TimeGrid grid, Tensor? times, OdeSolverOptions? options,
        Methods.StepPenalty? penalty = null)
    {
        options ??= new OdeSolverOptions();
        options.Validate();
        CheckState(initialState, equation.Parameters, options);
        BackwardFailure.ThrowKept(equation.Parameters);
        Inputs.CheckTolerances(options, initialState);
        string? whyNotLowered = options.LowerLayers ? null : $"{nameof(OdeSolverOptions)}.{nameof(OdeSolverOptions.LowerLayers)} is false";
        if (options.LowerLayers)
            equation = LoweredLayers.Apply(equation, initialState, grid.Start, out whyNotLowered);
        GradientMethod gradient = options.Gradient ?? (equation.NamesParameters ? GradientMethod.Checkpointed() : GradientMethod.Direct());
        var problem = new OdeProblem(equation, initialState, times, grid, options, gradient) { Penalty = penalty };

        // A bare function, such as an event's, may use parameters that only the graph knows.
        bool reachesAll = gradient.ReachesAll(options.Method);
        bool needsGradient = is_grad_enabled() && (initialState.requires_grad || problem.TimesRequireGradient || options.Events.Count > 0
            || (equation.NamesParameters ? equation.Parameters.Any(parameter => parameter.requires_grad) : reachesAll));
        if (equation.MayHideParameters && is_grad_enabled())
        {
            if (!reachesAll)
                UnnamedParameters.Check(problem);
            else
                needsGradient = needsGradient || UnnamedParameters.Exist(problem);
        }
        using DisposeScope scope = NewDisposeScope();
        try
        {
            TimeChecks.Check(problem);
            OdeSolution solution = options.Events.Count == 0 ? problem.Solve(needsGradient)
                : options.PerRow ? RowEventSolve.Run(problem, needsGradient, scope)
                : new EventSolve(problem, needsGradient, scope).Run();
            scope.Attach(solution.States);
            solution.States.MoveToOuterDisposeScope();
            Tell(solution.Statistics, equation, whyNotLowered ?? (needsGradient && gradient is DirectGradient
                ? "GradientMethod.Direct differentiates the solver's own operations, in the graph that forward makes" : null));
            solution.Citations = solution.States.requires_grad
                ? [.. options.Method.Citations, .. gradient.Citations] : options.Method.Citations;
            if (solution.Penalty is { } cost)
            {
                scope.Attach(cost);
                cost.MoveToOuterDisposeScope();
            }
            return solution.HandOver();
        }
        catch (ExternalException exception)
        {
            throw new InvalidOperationException(
                $"torch could not do what the solve of a state of {RightHandSide.Describe(initialState)} asked for: "
                + $"{UserFunction.FirstLine(exception)}", exception);
        }
    }

    /// <summary>Says how a module that names its layers was evaluated.</summary>
    private static void Tell(SolverStatistics statistics, VectorField equation, string? whyNotLowered)
    {
        if (equation.Module is not ILayeredDynamics)
            return;
        statistics.WhyNotLowered = whyNotLowered;
        statistics.IsLowered = whyNotLowered is null && equation.Analytic is not null;
    }

    private static void CheckState(Tensor initialState, IReadOnlyList<Tensor> parameters, OdeSolverOptions options)
    {
        Inputs.RequireAlive(initialState, nameof(initialState), "The initial state");
        foreach (Tensor parameter in parameters)
            Inputs.RequireAlive(parameter, nameof(parameters), "A parameter of the dynamics");
        if (!initialState.is_floating_point())
            throw new ArgumentException(
                $"The initial state has type {initialState.dtype}; it must be a floating-point tensor, "
                + "such as float32.", nameof(initialState));
        options.Method.CheckType(initialState, nameof(initialState));
        if (options.PerRow && initialState.dim() == 0)
            throw new ArgumentException("The initial state is a scalar; PerRow needs a first dimension, the batch.", nameof(initialState));
        Tensor? elsewhere =
            parameters.FirstOrDefault(p => p.device_type != initialState.device_type || p.device_index != initialState.device_index);
        if (elsewhere is not null)
            throw new ArgumentException(
                $"The initial state is on {initialState.device}, but a parameter of the dynamics is on {elsewhere.device}; "
                + "move both to one device.", nameof(initialState));
    }
}
