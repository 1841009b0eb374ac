namespace Microsoft.ML.NeuralOde;

/// <summary>The way back of the adjoint method, at each output time: what <see cref="Ode"/>'s <c>SolveAdjoint</c> returns.</summary>
/// <remarks>
/// With L the loss of the last state, λ(t) = ∂L/∂y(t) solves dλ/dt = −λᵀ ∂f/∂y backward from λ(T) = ∂L/∂y(T), and the gradient of the
/// parameters is ∂L/∂θ = ∫ λᵀ ∂f/∂θ dt over the whole interval. Dispose of it when its tensors were used.
/// </remarks>
public sealed class AdjointSolution : IDisposable
{
    internal AdjointSolution(
        Tensor times, Tensor states, Tensor adjoints, double loss, IReadOnlyList<(string Name, Tensor Path)> gradients,
        SolverStatistics forward, SolverStatistics backward)
    {
        Times = times;
        States = states;
        Adjoints = adjoints;
        Loss = loss;
        ParameterGradients = gradients;
        Forward = forward;
        Backward = backward;
    }

    /// <summary>The output times, shape <c>[times]</c>, float64.</summary>
    public Tensor Times { get; }

    /// <summary>y at the output times, shape <c>[times, …]</c>.</summary>
    public Tensor States { get; }

    /// <summary>λ = ∂L/∂y at the output times, shape <c>[times, …]</c>; the first is the gradient of the initial state.</summary>
    public Tensor Adjoints { get; }

    /// <summary>L of the last state.</summary>
    public double Loss { get; }

    /// <summary>
    /// For each parameter that requires a gradient its name and, at each output time, the part of its gradient from there to the last time,
    /// shape <c>[times, …]</c>: zero at the last time, and the whole ∂L/∂θ at the first.
    /// </summary>
    public IReadOnlyList<(string Name, Tensor Path)> ParameterGradients { get; }

    /// <summary>What the way forward cost.</summary>
    public SolverStatistics Forward { get; }

    /// <summary>What the way back cost; its evaluations are <see cref="SolverStatistics.FunctionEvaluations"/>.</summary>
    public SolverStatistics Backward { get; }

    /// <summary>Disposes all tensors.</summary>
    public void Dispose()
    {
        Times.Dispose();
        States.Dispose();
        Adjoints.Dispose();
        foreach ((_, Tensor path) in ParameterGradients)
            path.Dispose();
    }
}
