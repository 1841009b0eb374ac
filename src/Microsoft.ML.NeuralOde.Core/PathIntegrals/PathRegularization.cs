using System.Globalization;
using System.Text;
using Microsoft.ML.NeuralOde.Gradients;
using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.PathIntegrals;
using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Penalties that keep the paths of learned dynamics straight and the dynamics smooth, so that solving them takes few steps (C. Finlay,
/// J.-H. Jacobsen, L. Nurbekyan, A. M. Oberman, How to Train Your Neural ODE, 2020). For any model with an ODE in it.
/// </summary>
public sealed record PathRegularization
{
    /// <summary>Weight of the kinetic energy ∫‖f‖² dt. Default: 0.</summary>
    public double KineticEnergy { get; init; }

    /// <summary>
    /// Weight of the Jacobian's squared Frobenius norm ∫‖∂f/∂y‖²_F dt, which a flow estimates with the probes of its trace. Default: 0.
    /// </summary>
    public double JacobianNorm { get; init; }

    /// <summary>How the norm is computed: exactly, or estimated as ‖(∂f/∂y) ε‖² with random ε. Default: one Rademacher probe.</summary>
    public TraceEstimator Estimator { get; init; } = TraceEstimator.Hutchinson();

    /// <summary>
    /// Weight of the solver's own error estimates: of the squared errors of the accepted steps in units of the tolerances, added up over
    /// the steps, mean over the components. Each step adds about as much as the tolerance lets it, at most 1, so that the penalty counts
    /// steps; it is differentiated at the steps as they are, which makes the next ones longer (A. Pal, Y. Ma, V. Shah, C. Rackauckas,
    /// Opening the Blackbox, 2021). Needs a method with error estimates, an explicit Runge–Kutta one, and
    /// <see cref="GradientMethod.Checkpointed"/> or
    /// <see cref="GradientMethod.Direct"/>. Default: 0.
    /// </summary>
    public double ErrorEstimate { get; init; }

    /// <summary>
    /// Weight of the solver's estimates of stiffness: of (h ‖f(y₁) − f(Y)‖ / ‖y₁ − Y‖)² with the solution y₁ of a step of size h and the
    /// input Y of its last stage, added up over the steps, mean over the rows (the same). Needs a method that evaluates f at both, such as
    /// <see cref="OdeMethod.Dopri5"/> and <see cref="OdeMethod.Tsit5"/>, and the same gradients. Default: 0.
    /// </summary>
    public double Stiffness { get; init; }

    /// <summary>No penalty.</summary>
    public static PathRegularization None { get; } = new();

    /// <summary>Whether there is any penalty.</summary>
    public bool IsActive => KineticEnergy != 0 || JacobianNorm != 0 || LooksAtSteps;

    /// <summary>Whether there is a penalty on what the solver estimates of its steps.</summary>
    internal bool LooksAtSteps => ErrorEstimate != 0 || Stiffness != 0;

    internal PathQuantities Quantities =>
        (KineticEnergy != 0 ? PathQuantities.KineticEnergy : PathQuantities.None)
            | (JacobianNorm != 0 ? PathQuantities.JacobianNorm : PathQuantities.None);

    /// <summary>Checks the weights.</summary>
    /// <exception cref="ArgumentException">A weight is negative or not finite, or there is no estimator.</exception>
    public void Validate()
    {
        Require(KineticEnergy >= 0 && double.IsFinite(KineticEnergy), nameof(KineticEnergy), KineticEnergy, "zero or a positive number");
        Require(JacobianNorm >= 0 && double.IsFinite(JacobianNorm), nameof(JacobianNorm), JacobianNorm, "zero or a positive number");
        Require(ErrorEstimate >= 0 && double.IsFinite(ErrorEstimate), nameof(ErrorEstimate), ErrorEstimate, "zero or a positive number");
        Require(Stiffness >= 0 && double.IsFinite(Stiffness), nameof(Stiffness), Stiffness, "zero or a positive number");
        Require(Estimator is not null, nameof(Estimator), Estimator, "an estimator such as TraceEstimator.Hutchinson()");
    }

    /// <summary>Solves an initial value problem together with the integrals that the penalty needs.</summary>
    /// <param name="dynamics">f(t, y), whose rows must not depend on each other where the Jacobian's norm has a weight.</param>
    /// <param name="initialState">y at <paramref name="startTime"/>, shape <c>[batch, …]</c>.</param>
    /// <param name="startTime">Where the path starts.</param>
    /// <param name="endTime">Where it ends.</param>
    /// <param name="options">How to solve; null for the defaults.</param>
    /// <returns>The final state and the penalty.</returns>
    /// <exception cref="ArgumentException">An argument or option makes no sense.</exception>
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to
    /// try.</exception>
    public RegularizedSolution Solve(
        Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, double startTime, double endTime, OdeSolverOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(dynamics);
        Inputs.RequireAlive(initialState, nameof(initialState), "The initial state");
        Validate();
        if (!initialState.is_floating_point())
            throw new ArgumentException(
                $"The initial state has type {initialState.dtype}; it must be a floating-point tensor, "
                + "such as float32.", nameof(initialState));
        if (initialState.dim() < 1)
            throw new ArgumentException("The initial state is a scalar; its first dimension must be the batch.", nameof(initialState));
        options ??= new OdeSolverOptions();
        if (WhyNot(options) is { } reason)
            throw new ArgumentException(reason, nameof(options));
        StepPenalty? steps = LooksAtSteps ? new StepPenalty(options.Method.ExplicitTableau!, options, ErrorEstimate, Stiffness) : null;
        using DisposeScope scope = NewDisposeScope();
        if (Quantities == PathQuantities.None && steps is not null)
            return SolvePlainly(dynamics, initialState, startTime, endTime, options, steps);
        PathResult path = PathIntegration.Solve(
            dynamics, initialState, startTime, endTime, options, Quantities, Estimator, penalty: steps);
        // Integrals run along the path whichever way time goes.
        double sign = endTime < startTime ? -1 : 1;
        Tensor penalty = Penalty(path.KineticEnergy, path.JacobianNorm, sign) ?? initialState.new_zeros([]);
        if (path.StepPenalty is { } cost)
            penalty = penalty.Plus(cost.mean());
        return new RegularizedSolution(path.State.MoveToOuterDisposeScope(), penalty.MoveToOuterDisposeScope(), path.Statistics);
    }

    /// <summary>Why the penalties on steps cannot be had, as sentences; null where they can, or there are none.</summary>
    internal string? WhyNot(OdeSolverOptions options)
    {
        if (!LooksAtSteps)
            return null;
        string name = nameof(PathRegularization) + "." + (ErrorEstimate != 0 ? nameof(ErrorEstimate) : nameof(Stiffness));
        if (ErrorEstimate != 0 && !StepPenalty.KnowsError(options.Method))
            return $"{name} penalises the solver's error estimates, which '{options.Method}' does not make from stages of its own; take an "
                + "adaptive explicit Runge–Kutta method, such as OdeMethod.Dopri5 or OdeMethod.Bosh3.";
        if (Stiffness != 0 && !StepPenalty.KnowsStiffness(options.Method))
            return $"{nameof(PathRegularization)}.{nameof(Stiffness)} penalises the solver's estimates of stiffness, which '{options.Method}' "
                + "does not make; take OdeMethod.Dopri5 or OdeMethod.Tsit5.";
        if (options.Gradient is not (null or DirectGradient or DiscreteAdjoint))
            return $"{name} is differentiated through the solver's steps, which GradientMethod '{options.Gradient.Name}' does not do: it "
                + "differentiates the equation. Take GradientMethod.Checkpointed() or GradientMethod.Direct().";
        if (options.Events.Count > 0)
            return $"{name} is not to be had together with events.";
        return options.PerRow && options.StepSize is null
            ? $"{name} adds up over the steps of the batch, and under PerRow each row has its own; set PerRow to false." : null;
    }

    private static RegularizedSolution SolvePlainly(
        Module<Tensor, Tensor, Tensor> dynamics, Tensor initialState, double startTime, double endTime, OdeSolverOptions options,
        StepPenalty steps)
    {
        using OdeSolution solution = Ode.Solve(
            new ModuleField(dynamics), initialState, TimeGrid.Of(startTime, endTime), null, options, steps);
        return new RegularizedSolution(
            solution.Final.MoveToOuterDisposeScope(), solution.Penalty!.mean().MoveToOuterDisposeScope(), solution.Statistics);
    }

    // Texts without the penalties that came later are those of before.
    private bool PrintMembers(StringBuilder text)
    {
        text.Append(CultureInfo.InvariantCulture, $"{nameof(KineticEnergy)} = {KineticEnergy}, {nameof(JacobianNorm)} = {JacobianNorm}");
        if (ErrorEstimate != 0)
            text.Append(CultureInfo.InvariantCulture, $", {nameof(ErrorEstimate)} = {ErrorEstimate}");
        if (Stiffness != 0)
            text.Append(CultureInfo.InvariantCulture, $", {nameof(Stiffness)} = {Stiffness}");
        text.Append(CultureInfo.InvariantCulture, $", {nameof(Estimator)} = {Estimator}, {nameof(IsActive)} = {IsActive}");
        return true;
    }

    /// <summary>The weighted mean over the batch; null where nothing has a weight. In the current scope.</summary>
    internal Tensor? Penalty(Tensor? kineticEnergy, Tensor? jacobianNorm, double sign = 1)
    {
        Tensor? penalty = kineticEnergy is null || KineticEnergy == 0 ? null : kineticEnergy.mean().Times(sign * KineticEnergy);
        if (jacobianNorm is null || JacobianNorm == 0)
            return penalty;
        Tensor norm = jacobianNorm.mean().Times(sign * JacobianNorm);
        return penalty is null ? norm : penalty.Plus(norm);
    }

    private static void Require(bool condition, string option, object? found, string expected)
    {
        if (!condition)
            throw new ArgumentException($"{nameof(PathRegularization)}.{option} is {found ?? "null"}; it must be {expected}.", option);
    }
}

/// <summary>A solution with the penalty of its path.</summary>
public sealed class RegularizedSolution : IDisposable
{
    private readonly NativeMemory _memory;

    internal RegularizedSolution(Tensor final, Tensor penalty, SolverStatistics statistics)
    {
        Final = final;
        Penalty = penalty;
        Statistics = statistics;
        _memory = new NativeMemory(NativeMemory.Of(final) + statistics.GraphBytes);
    }

    /// <summary>The state at the end time, in the shape of the initial state.</summary>
    public Tensor Final { get; }

    /// <summary>What to add to the loss: the weighted integrals, mean over the batch, a scalar.</summary>
    public Tensor Penalty { get; }

    /// <summary>What the solve cost; grows with the backward pass.</summary>
    public SolverStatistics Statistics { get; }

    /// <summary>Disposes the tensors.</summary>
    public void Dispose()
    {
        _memory.Dispose();
        Final.Dispose();
        Penalty.Dispose();
    }
}
