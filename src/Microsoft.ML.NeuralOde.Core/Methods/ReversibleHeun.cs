using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// Reversible Heun (P. Kidger, J. Foster, X. Li, T. Lyons, Efficient and accurate gradients for neural SDEs, 2021): a second state ŷ makes
/// each step algebraically reversible. ŷ₁ = 2y − ŷ + h f(ŷ), y₁ = y + h (f(ŷ) + f(ŷ₁)) / 2.
/// </summary>
internal sealed class ReversibleHeun : OdeMethod, IReversibleMethod
{
    public ReversibleHeun()
        : base("reversible_heun", order: 2, isAdaptive: true)
    {
    }

    public override int InterpolantOrder => 2;

    /// <summary>Undoing a step is as exact as making it.</summary>
    public double UndoGrowth => 1;

    internal override IReversibleMethod? Reversible => this;

    internal override bool IsOneStep => false;

    public T Undo<T>(IUndoFactory<T> factory) => factory.ForReversibleHeun();

    internal override Stepper CreateStepper(StepperContext context) => new ReversibleHeunStepper(context);
}

internal sealed class ReversibleHeunStepper(StepperContext context) : ReversibleStepper(context)
{
    private Tensor? _nextTwin;
    private Tensor? _end;

    public override int ErrorOrder => 1;

    public override Tensor NextTwin => _nextTwin!;

    protected override string DriftRemark =>
        $"'{Context.Options.Method.Name}' is stable for oscillations alone: "
        + "where components decay, its second state moves away by e^|h ∂f/∂y| in each step.";

    protected override StepAttempt Advance(StepSpan span)
    {
        StateArithmetic arithmetic = Context.Arithmetic;
        Tensor first = Derivative();
        Tensor reflected = arithmetic.Combine(State, null, [1, -1], [State, Twin]);
        _nextTwin = arithmetic.Combine(reflected, span, [1], [first]);
        arithmetic.Release(reflected);
        _end = Context.Evaluate(span, 1, _nextTwin);
        Tensor next = arithmetic.Combine(State, span, [0.5, 0.5], [first, _end]);
        double[] error = arithmetic.ScaledError(State, next, span, [-0.5, 0.5], [first, _end], Context.Options);
        return new StepAttempt(span, next, error, Drift: FindDrift(next, _nextTwin));
    }

    protected override Tensor? TakeEndDerivative()
    {
        Tensor? end = _end;
        _end = null;
        return end;
    }

    protected override Tensor TakeNextTwin()
    {
        Tensor next = _nextTwin!;
        _nextTwin = null;
        return next;
    }

    protected override void DropStep()
    {
        Release(ref _nextTwin);
        Release(ref _end);
    }
}
