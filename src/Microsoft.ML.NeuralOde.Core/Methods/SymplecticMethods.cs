using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// Methods for second-order systems, which update positions and velocities in turn: the state's last dimension holds positions in its first
/// half and velocities in its second, and f returns their derivatives in the same places.
/// </summary>
internal sealed class SymplecticMethod : OdeMethod
{
    public SymplecticMethod(string name, bool isLeapfrog)
        : base(name, order: isLeapfrog ? 2 : 1, isAdaptive: false) => IsLeapfrog = isLeapfrog;

    public bool IsLeapfrog { get; }

    public override int InterpolantOrder => Order;

    public override bool IsForSecondOrderSystems => true;

    internal override Stepper CreateStepper(StepperContext context) => new SymplecticStepper(this, IsLeapfrog, context);
}

internal sealed class SymplecticStepper(SymplecticMethod method, bool isLeapfrog, StepperContext context) : OneStepStepper(context)
{
    public override OdeMethod? StepMethod => method;

    public override int ErrorOrder => 0;

    public override void Start(double[] time, Tensor state)
    {
        if (state.dim() == 0 || state.size(-1) % 2 != 0)
            throw new ArgumentException(
                $"The initial state has shape [{string.Join(", ", state.shape)}]; "
                + "methods for second-order systems need a last dimension of even size: positions, then velocities.");
        if (Context.RightHandSide.WhyNotLeapfrog is { } reason)
            throw new ArgumentException($"OdeMethod '{method.Name}' cannot solve this equation. {reason}.");
        base.Start(time, state);
    }

    protected override StepAttempt Advance(StepSpan span)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor h = span.TrackedSize is { } tracked ? tracked : tensor(span.Size, State.dtype, State.device);
        Tensor q = Half(State, 0), v = Half(State, 1);
        if (isLeapfrog)
        {
            v = v.Plus(h.Over(2) * Half(Derivative(), 1));
            q = q.Plus(h * Half(Evaluate(scope, span, 0.5, q, v), 0));
            v = v.Plus(h.Over(2) * Half(Evaluate(scope, span, 1, q, v), 1));
        }
        else
        {
            v = v.Plus(h * Half(Derivative(), 1));
            q = q.Plus(h * Half(Evaluate(scope, span, 1, q, v), 0));
        }
        return new StepAttempt(span, cat([q, v], -1).DetachFromDisposeScope(), null);
    }

    private static Tensor Half(Tensor state, int index) => state.narrow(-1, index * state.size(-1) / 2, state.size(-1) / 2);

    private Tensor Evaluate(DisposeScope scope, StepSpan span, double fraction, Tensor q, Tensor v)
    {
        Tensor derivative = Context.Evaluate(span, fraction, cat([q, v], -1));
        scope.Attach(Context.Arithmetic.Disown(derivative));
        return derivative;
    }
}
