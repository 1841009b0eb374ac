using Microsoft.ML.NeuralOde.Gradients;
using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde;

/// <summary>How derivatives of a solution with respect to the initial state, the parameters and the output times are computed.</summary>
public abstract class GradientMethod
{
    private static readonly Func<GradientMethod>[] Defaults = [Direct, () => Adjoint(), Checkpointed];

    internal GradientMethod(string name) => Name = name;

    /// <summary>The name by which <see cref="Parse"/> knows the method, in lower case.</summary>
    public string Name { get; }

    /// <summary>
    /// Every operation of the solver becomes part of the graph. Exact derivatives of the discrete solution, second derivatives too; memory grows
    /// with the number of evaluations.
    /// </summary>
    /// <returns>The gradient method.</returns>
    public static GradientMethod Direct() => DirectGradient.Instance;

    /// <summary>
    /// Solves the adjoint equation dλ/dt = −λᵀ ∂f/∂y backward in time together with y, from output time to output time
    /// (R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Neural Ordinary Differential Equations, 2018). Memory does not depend on the
    /// number of steps; gradients are as accurate as the backward solve. Parameter gradients are quadratures along the backward steps and so do not
    /// take part in its error control (the seminorm of P. Kidger, R. T. Q. Chen and T. Lyons, “Hey, that's not an ODE”, 2021).
    /// </summary>
    /// <param name="method">
    /// The method of the backward solve, an explicit Runge–Kutta method; null: that of the forward solve, or <see cref="OdeMethod.Dopri5"/> if that is
    /// implicit (for stiff problems take <see cref="Direct"/>: backward, an explicit method would need very small steps).
    /// </param>
    /// <param name="relativeTolerance">rtol of the backward solve; null: that of the forward solve.</param>
    /// <param name="absoluteTolerance">
    /// atol of the backward solve, for y in the unit of the state and for λ relative to the gradient that comes in; null: that of the forward solve.
    /// </param>
    /// <returns>The gradient method.</returns>
    public static GradientMethod Adjoint(OdeMethod? method = null, double? relativeTolerance = null, double? absoluteTolerance = null) =>
        new BacksolveAdjoint(method, relativeTolerance, absoluteTolerance);

    /// <summary>
    /// Keeps the state at each step and, on the way back, evaluates the stages of one step after the other again: the exact derivatives of
    /// the discrete solution, as <see cref="Direct"/> gives them, in the memory of one state a step. Where the solver is not an explicit
    /// Runge–Kutta method, this is <see cref="Direct"/>.
    /// </summary>
    /// <returns>The gradient method.</returns>
    public static GradientMethod Checkpointed() => DiscreteAdjoint.Instance;

    /// <summary>The gradient method of a name, with its defaults.</summary>
    /// <param name="name">“direct”, “adjoint” or “checkpointed”; upper and lower case are the same.</param>
    /// <returns>The gradient method.</returns>
    /// <exception cref="ArgumentException">No gradient method has the name; the message lists those there are.</exception>
    public static GradientMethod Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        GradientMethod[] all = Array.ConvertAll(Defaults, create => create());
        return Array.Find(all, method => string.Equals(method.Name, name.Trim(), StringComparison.OrdinalIgnoreCase))
            ?? throw new ArgumentException($"There is no gradient method '{name}'; the methods are {string.Join(", ", all.Select(method => method.Name))}.", nameof(name));
    }

    /// <inheritdoc/>
    public override string ToString() => Name;

    internal abstract OdeSolution Solve(OdeProblem problem);
}
