namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A right-hand side that computes its values and derivatives itself, without the autograd graph. A module handed to <see cref="Ode"/> that
/// implements this beside <c>forward</c> is evaluated through it wherever no graph is recorded: on the way forward, and on the way back in
/// the gradient methods that do not differentiate the solver's own operations.
/// </summary>
/// <remarks>
/// Both must compute the same function; <c>forward</c> stays in use where a graph is needed and where <see cref="CreateEvaluator"/>
/// declines. Forward hooks of the module are not called. <see cref="DenseDynamics"/> and <see cref="ConvolutionalDynamics"/> implement
/// it; any other module works without.
/// </remarks>
public interface IAnalyticDynamics
{
    /// <summary>Prepares evaluations with the parameters as they are now. May be called by several threads at once.</summary>
    /// <param name="state">A state like those to come: same type, device and shape but for the number of rows (its first
    /// dimension).</param>
    /// <returns>An evaluator for one solve, to be disposed of; null where such states are better left to <c>forward</c>.</returns>
    DynamicsEvaluator? CreateEvaluator(Tensor state);
}

/// <summary>Evaluates a right-hand side during one solve, in which its parameters do not change. Used by one thread at a time.</summary>
/// <remarks>States are contiguous. Times are float64 numbers: one for all rows, or one a row.</remarks>
public abstract class DynamicsEvaluator : IDisposable
{
    /// <summary>
    /// Most memory of an evaluator that waits for the next solve: room for the evaluations that <see cref="GradientMethod.Checkpointed"/>
    /// keeps by default, and for as much again that a step needs.
    /// </summary>
    internal const long MostBytesKept = 2 * Gradients.DiscreteAdjoint.DefaultEvaluationBytes;

    /// <summary>Computes dy/dt.</summary>
    /// <param name="times">The time, or one a row.</param>
    /// <param name="state">y, shape <c>[batch, …]</c>.</param>
    /// <param name="derivative">Where dy/dt is written: contiguous, of the state's shape; shares no memory with it.</param>
    public abstract void Evaluate(ReadOnlySpan<double> times, Tensor state, Tensor derivative);

    /// <summary>Computes dy/dt and keeps what its derivatives need; later changes of <paramref name="state"/> must not matter.</summary>
    /// <param name="times">The time, or one a row.</param>
    /// <param name="state">y, shape <c>[batch, …]</c>.</param>
    /// <param name="derivative">Where dy/dt is written, as in <see cref="Evaluate"/>.</param>
    /// <returns>The linearization at that point, to be disposed of; several may be alive at once.</returns>
    public abstract DynamicsLinearization Linearize(ReadOnlySpan<double> times, Tensor state, Tensor derivative);

    /// <summary>Computes the trace of ∂f/∂y of each row, for right-hand sides that treat rows independently.</summary>
    /// <param name="times">The time, or one a row.</param>
    /// <param name="state">y, shape <c>[batch, …]</c>.</param>
    /// <param name="trace">Where the traces are written, shape <c>[batch]</c>.</param>
    /// <remarks>The default takes one vector–Jacobian product for each component of a row.</remarks>
    public virtual void Trace(ReadOnlySpan<double> times, Tensor state, Tensor trace)
    {
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(trace);
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor product = empty_like(state);
        using DynamicsLinearization linearization = Linearize(times, state, product);
        Tensor direction = zeros_like(state);
        Tensor components = direction.reshape(state.shape[0], -1);
        Tensor products = product.reshape(state.shape[0], -1);
        trace.zero_();
        for (long i = 0; i < components.shape[1]; i++)
        {
            using DisposeScope inner = NewDisposeScope();
            components.select(1, i).fill_(Numbers.One);
            linearization.Pull(direction, product, default);
            trace.Add(products.select(1, i));
            components.select(1, i).fill_(Numbers.Zero);
        }
    }

    /// <summary>Ends the use of the evaluator and of its linearizations.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the evaluator holds.</summary>
    /// <param name="disposing">Whether <see cref="Dispose()"/> was called.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}

/// <summary>The derivatives of a right-hand side at one point.</summary>
public abstract class DynamicsLinearization : IDisposable
{
    /// <summary>
    /// How many bytes it holds, so that <see cref="GradientMethod.Checkpointed"/> may keep linearizations from the solve for the way back,
    /// within its budget; null, the default: unknown, and none is kept.
    /// </summary>
    public virtual long? MemoryBytes => null;

    /// <summary>Computes λᵀ ∂f/∂y, and λᵀ ∂f/∂t where it is asked for.</summary>
    /// <param name="cotangent">λ, contiguous, of the state's shape. Later changes of it must not matter to
    /// <see cref="AddParameterGradients"/>.</param>
    /// <param name="state">Where λᵀ ∂f/∂y is written: contiguous, of the state's shape; shares no memory with λ.</param>
    /// <param name="times">Where λᵀ ∂f/∂t is written, one number for each time that was given; empty where it is not needed.</param>
    public abstract void Pull(Tensor cotangent, Tensor state, Span<double> times);

    /// <summary>Adds w λᵀ ∂f/∂θ, with the λ of the last <see cref="Pull"/>, to gradients.</summary>
    /// <param name="weight">w.</param>
    /// <param name="gradients">
    /// One contiguous tensor for each parameter, in the order of the module's <c>parameters()</c>; null for those that need no gradient.
    /// </param>
    public abstract void AddParameterGradients(double weight, IReadOnlyList<Tensor?> gradients);

    /// <summary>Ends the use of the linearization.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the linearization holds, or gives it back to its evaluator.</summary>
    /// <param name="disposing">Whether <see cref="Dispose()"/> was called.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}
