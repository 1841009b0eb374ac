namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// The algebraically reversible coupling of an explicit Runge–Kutta method (S. McCallum, J. Foster, Efficient, accurate and stable gradients for
/// neural ODEs, 2024): y₁ = λy + (1 − λ)z + Ψ_h(t, z), z₁ = z − Ψ_{−h}(t + h, y₁), where x + Ψ_h(t, x) is a step of the method.
/// </summary>
internal sealed class ReversibleCoupling : OdeMethod
{
    public const double DefaultCoupling = 0.999;
    private const string Prefix = "reversible_";

    public ReversibleCoupling(ExplicitRungeKutta method, double coupling)
        : base(Prefix + method.Name, method.Order, method.IsAdaptive)
    {
        Tableau = method.Tableau;
        Coupling = coupling;
    }

    public ButcherTableau Tableau { get; }

    /// <summary>λ.</summary>
    public double Coupling { get; }

    /// <summary>Those of a step forward and of one backward.</summary>
    public override int Stages => 2 * Tableau.Stages;

    public override int InterpolantOrder => Math.Min(Order, 3);

    public override bool IsReversible => true;

    internal override bool IsOneStep => false;

    /// <summary>The coupling of a name, with the usual λ; null if it is not one.</summary>
    public static ReversibleCoupling? FromName(string name)
    {
        if (!name.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase))
            return null;
        OdeMethod? method = All.FirstOrDefault(m => string.Equals(m.Name, name[Prefix.Length..], StringComparison.OrdinalIgnoreCase));
        return method is ExplicitRungeKutta explicitMethod ? new ReversibleCoupling(explicitMethod, DefaultCoupling) : null;
    }

    internal override Stepper CreateStepper(StepperContext context) => new ReversibleCouplingStepper(this, context);
}

internal sealed class ReversibleCouplingStepper(ReversibleCoupling method, StepperContext context) : ReversibleStepper(context)
{
    private readonly ButcherTableau _tableau = method.Tableau;
    private Tensor[] _forward = [];
    private Tensor[] _backward = [];
    private Tensor? _nextTwin;

    public override int ErrorOrder => _tableau.ErrorOrder;

    public override Tensor NextTwin
    {
        get
        {
            // Steps that are rejected do without it.
            EvaluateBackward();
            return _nextTwin!;
        }
    }

    protected override Tensor DerivativeState => Twin;

    public override Tensor Interpolate(double[] times)
    {
        EvaluateBackward();
        return Hermite(times, _forward[0], _backward[0]);
    }

    public override void Accept(bool[]? mask)
    {
        EvaluateBackward();
        base.Accept(mask);
    }

    protected override StepAttempt Advance(StepSpan span)
    {
        StateArithmetic arithmetic = Context.Arithmetic;
        Tensor between = arithmetic.Combine(null, null, [method.Coupling, 1 - method.Coupling], [State, Twin]);
        _forward = ExplicitStages.Evaluate(Context, _tableau, span, Twin, Derivative());
        Tensor next = arithmetic.Combine(between, span, _tableau.B, _forward);
        arithmetic.Release(between);
        return new StepAttempt(span, next, ExplicitStages.Error(Context, _tableau, span, State, next, _forward));
    }

    protected override Tensor TakeNextTwin()
    {
        Tensor next = _nextTwin!;
        _nextTwin = null;
        return next;
    }

    protected override void DropStep()
    {
        foreach (Tensor k in _forward.Skip(1).Concat(_backward))
            Context.Arithmetic.Release(k);
        _forward = [];
        _backward = [];
        Release(ref _nextTwin);
    }

    private void EvaluateBackward()
    {
        if (_backward.Length > 0)
            return;
        StepAttempt attempt = Attempt!;
        using var span = new StepSpan(attempt.Span.End, attempt.Span.Start, Context.Clock);
        _backward = ExplicitStages.Evaluate(Context, _tableau, span, attempt.State, Context.Evaluate(span, 0, attempt.State), forSolutionOnly: true);
        _nextTwin = Context.Arithmetic.Combine(Twin, span, Array.ConvertAll(_tableau.B[.._backward.Length], b => -b), _backward);
    }
}
