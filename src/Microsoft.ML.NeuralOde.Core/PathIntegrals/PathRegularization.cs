using Microsoft.ML.NeuralOde.PathIntegrals;
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

    /// <summary>No penalty.</summary>
    public static PathRegularization None { get; } = new();

    /// <summary>Whether there is any penalty.</summary>
    public bool IsActive => KineticEnergy != 0 || JacobianNorm != 0;

    internal PathQuantities Quantities =>
        (KineticEnergy != 0 ? PathQuantities.KineticEnergy : PathQuantities.None)
            | (JacobianNorm != 0 ? PathQuantities.JacobianNorm : PathQuantities.None);

    /// <summary>Checks the weights.</summary>
    /// <exception cref="ArgumentException">A weight is negative or not finite, or there is no estimator.</exception>
    public void Validate()
    {
        Require(KineticEnergy >= 0 && double.IsFinite(KineticEnergy), nameof(KineticEnergy), KineticEnergy, "zero or a positive number");
        Require(JacobianNorm >= 0 && double.IsFinite(JacobianNorm), nameof(JacobianNorm), JacobianNorm, "zero or a positive number");
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
    /// <exception cref="OdeSolverException">The problem cannot be solved as asked; the message says where, why and what to try.</exception>
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
        using DisposeScope scope = NewDisposeScope();
        PathResult path = PathIntegration.Solve(dynamics, initialState, startTime, endTime, options ?? new OdeSolverOptions(), Quantities, Estimator);
        // Integrals run along the path whichever way time goes.
        double sign = endTime < startTime ? -1 : 1;
        Tensor penalty = Penalty(path.KineticEnergy, path.JacobianNorm, sign) ?? initialState.new_zeros([]);
        return new RegularizedSolution(path.State.MoveToOuterDisposeScope(), penalty.MoveToOuterDisposeScope(), path.Statistics);
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
