using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>An initial value problem in plain memory, checked.</summary>
/// <param name="Function">f(t, y).</param>
/// <param name="Jacobian">∂f/∂y; null for differences.</param>
/// <param name="InitialState">y₀.</param>
/// <param name="Grid">The output times.</param>
/// <param name="Options">How to solve.</param>
/// <param name="Events">Events to look for.</param>
internal sealed record NativeProblem(
    OdeFunction Function, OdeJacobian? Jacobian, double[] InitialState, TimeGrid Grid, OdeSolverOptions Options,
    IReadOnlyList<NativeOdeEvent> Events)
{
    /// <summary>The number of components.</summary>
    public int Size => InitialState.Length;
}
