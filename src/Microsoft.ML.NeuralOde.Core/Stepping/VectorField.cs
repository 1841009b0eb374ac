using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// The right-hand side f(t, y) of an equation, with all that is known of it: one object from the front door to the gradients.
/// </summary>
/// <remarks>
/// It belongs to one solve and its way back, and does not change: what is asked of some rows of the batch alone is asked of another object,
/// <see cref="OfRows"/>. A new kind of equation is a subclass that says what it knows; what it does not know it leaves as it is here.
/// </remarks>
internal abstract class VectorField
{
    private Reachable? _reach;

    /// <summary>
    /// What f depends on besides time and state and may get gradients, in the order in which <see cref="Analytic"/> gives them; none where
    /// that is not known.
    /// </summary>
    public abstract IReadOnlyList<Tensor> Parameters { get; }

    /// <summary>
    /// Whether <see cref="Parameters"/> are known; where they are not, only a graph through the solver reaches what f depends on.
    /// </summary>
    public virtual bool NamesParameters => true;

    /// <summary>
    /// Whether f may use tensors that should get gradients and are not among <see cref="Parameters"/>: they are looked for before a solve.
    /// </summary>
    public virtual bool MayHideParameters => !IsComplete;

    /// <summary>f as a right-hand side with derivatives of its own; null where it is none.</summary>
    public virtual IAnalyticDynamics? Analytic => null;

    /// <summary>The module that f belongs to; null where there is none.</summary>
    public virtual Module? Module => null;

    /// <summary>
    /// Whether <see cref="Parameters"/> are sure to be all that f depends on, and f is sure to draw no random numbers and to change
    /// nothing.
    /// </summary>
    public virtual bool IsComplete => Module is IClosedDynamics;

    /// <summary>What f can reach: for messages, and for what evaluations change in passing.</summary>
    public Reachable Reach => _reach ??= Reachable.From(Source);

    /// <summary>Buffers that evaluations may change, such as the running statistics of batch normalisation.</summary>
    public IEnumerable<Tensor> Buffers => IsComplete ? [] : Module is { } module ? module.buffers() : Reach.Buffers;

    /// <summary>Where <see cref="Reach"/> begins: the module, or what the user wrote.</summary>
    protected virtual object Source => Module ?? (object)this;

    /// <summary>f(t, y), with a look at what users' code returns; the tensor may be f's own.</summary>
    public abstract Tensor Evaluate(Tensor time, Tensor state);

    /// <summary>
    /// The same as far as the dependence on tensors goes, without derivatives that f computes on the way: those require gradients by
    /// themselves.
    /// </summary>
    public virtual Tensor EvaluatePlainly(Tensor time, Tensor state) => Evaluate(time, state);

    /// <summary>
    /// The right-hand side of some rows of the batch that this one is of: what belongs to rows, such as their arguments, is theirs.
    /// </summary>
    /// <param name="rows">The rows; null for all.</param>
    public virtual VectorField OfRows(int[]? rows) => this;
}
