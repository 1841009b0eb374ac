using Microsoft.ML.NeuralOde.Gradients;
using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde;

/// <summary>How derivatives of a solution with respect to the initial state, the parameters and the output times are computed.</summary>
public abstract class GradientMethod
{
    private static readonly Func<GradientMethod>[] Defaults = [Direct, () => Adjoint(), () => Checkpointed(), Reversible];

    internal GradientMethod(string name) => Name = name;

    /// <summary>The name by which <see cref="Parse"/> knows the method, in lower case.</summary>
    public string Name { get; }

    /// <summary>
    /// Every operation of the solver becomes part of the graph. Exact derivatives of the discrete solution, second derivatives too; memory
    /// grows with the number of evaluations.
    /// </summary>
    /// <returns>The gradient method.</returns>
    public static GradientMethod Direct() => DirectGradient.Instance;

    /// <summary>
    /// Solves the adjoint equation dλ/dt = −λᵀ ∂f/∂y backward in time together with y, from output time to output time
    /// (R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Neural Ordinary Differential Equations, 2018). Memory does not depend on
    /// the number of steps; gradients are as accurate as the backward solve. Parameter gradients are quadratures along the backward steps
    /// and so do not take part in its error control (the seminorm of P. Kidger, R. T. Q. Chen and T. Lyons, “Hey, that's not an ODE”,
    /// 2021).
    /// </summary>
    /// <param name="method">
    /// The method of the backward solve, a Runge–Kutta method, explicit or implicit; null: that of the forward solve if it is one,
    /// <see cref="OdeMethod.Radau5"/> after <see cref="OdeMethod.Auto"/>, and <see cref="OdeMethod.Dopri5"/> after others; and where output
    /// times lie closer together than its steps, an explicit pair of lower order that needs fewer evaluations. Where components
    /// of y decay fast, they grow as fast backward, whatever the method: for such problems take <see cref="Checkpointed"/>.
    /// </param>
    /// <param name="relativeTolerance">rtol of the backward solve; null: that of the forward solve.</param>
    /// <param name="absoluteTolerance">
    /// atol of the backward solve, for y in the unit of the state and for λ relative to the gradient that comes in; null: that of the
    /// forward solve.
    /// </param>
    /// <returns>The gradient method.</returns>
    public static GradientMethod Adjoint(OdeMethod? method = null, double? relativeTolerance = null, double? absoluteTolerance = null) =>
        new BacksolveAdjoint(method, relativeTolerance, absoluteTolerance);

    /// <summary>
    /// Keeps the states at the starts of some steps and, on the way back, makes one step after the other again and differentiates it: the
    /// exact derivatives of the discrete solution, as <see cref="Direct"/> gives them, in the memory of the states that are kept. The
    /// default for training.
    /// </summary>
    /// <remarks>
    /// Where more steps are made than states may be kept, those in between are made again from the nearest one, on the binomial schedule
    /// (A. Griewank, A. Walther, Algorithm 799: revolve, 2000; during the solve, which does not know how many steps will come, by the rule
    /// of Q. Wang, P. Moin, G. Iaccarino, 2009): with c states, up to (c + r over r) steps are made at most r times more.
    /// Explicit Runge–Kutta steps are reversed by hand-written transposed stages; steps of other one-step methods are made again in a graph
    /// of their own (for implicit methods the derivatives are exact up to the tolerance of their iteration). Reversible methods are treated
    /// as by <see cref="Reversible"/>, and multistep methods as by <see cref="Direct"/>.
    /// </remarks>
    /// <param name="checkpoints">
    /// How many states to keep from the solve, at least 1; the way back may need as many again. Null: all while they take up to 64 MiB, and
    /// then as many as fit in that, but no fewer than the square root of the number of steps.
    /// </param>
    /// <param name="evaluationBytes">
    /// How many bytes evaluations of the right-hand side may take that are kept from the solve with what their derivatives need, so that
    /// they are not made again on the way back; those of the first steps, by explicit Runge–Kutta methods with steps for the whole batch.
    /// For modules without derivatives of their own it is an estimate. Null: 64 MiB where <paramref name="checkpoints"/> is null, and
    /// otherwise 0.
    /// </param>
    /// <returns>The gradient method.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The number of checkpoints is not positive, or the number of bytes is
    /// negative.</exception>
    public static GradientMethod Checkpointed(int? checkpoints = null, long? evaluationBytes = null) =>
        new DiscreteAdjoint(checkpoints, evaluationBytes);

    /// <summary>
    /// Undoes each step exactly on the way back, so that only the last states are kept: the exact derivatives of the discrete solution, in
    /// memory that does not depend on the number of steps. For the reversible methods only: <see cref="OdeMethod.ReversibleHeun"/> and
    /// <see cref="OdeMethod.ReversibleCoupling"/>, of which the latter keeps its states at every so many steps too.
    /// </summary>
    /// <remarks>
    /// Undoing steps amplifies rounding where components of y grow. If the states that come back differ from those of the solve by more
    /// than 1e-6 of their size (1e-3 in float32), the backward pass fails.
    /// </remarks>
    /// <returns>The gradient method.</returns>
    public static GradientMethod Reversible() => ReversibleGradient.Instance;

    /// <summary>The gradient method of a name, with its defaults.</summary>
    /// <param name="name">“direct”, “adjoint”, “checkpointed” or “reversible”; upper and lower case are the same.</param>
    /// <returns>The gradient method.</returns>
    /// <exception cref="ArgumentException">No gradient method has the name; the message lists those there are.</exception>
    public static GradientMethod Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        GradientMethod[] all = Array.ConvertAll(Defaults, create => create());
        return Array.Find(all, method => string.Equals(method.Name, name.Trim(), StringComparison.OrdinalIgnoreCase))
            ?? throw new ArgumentException(
                $"There is no gradient method '{name}'; the methods are {string.Join(", ", all.Select(method => method.Name))}.",
                nameof(name));
    }

    /// <summary>Where the method was published; empty for plain differentiation through the solver.</summary>
    public virtual IReadOnlyList<Citation> Citations => [];

    /// <summary>The name, and in parentheses what differs from the defaults.</summary>
    /// <returns>For instance “checkpointed” or “adjoint (method radau5, rtol 1e-06)”.</returns>
    public override string ToString() => Name;

    /// <summary>The name with what differs from the defaults; null for what does not.</summary>
    private protected string Describe(params ReadOnlySpan<string?> differences) =>
        OptionText.Join(differences) is { Length: > 0 } text ? $"{Name} ({text})" : Name;

    /// <exception cref="ArgumentException">The gradient method does not fit the other options.</exception>
    internal virtual void Check(OdeSolverOptions options)
    {
    }

    /// <summary>Whether derivatives reach every tensor that the right-hand side depends on, named or not.</summary>
    internal virtual bool ReachesAll(OdeMethod method) => false;

    internal abstract OdeSolution Solve(OdeProblem problem);
}
