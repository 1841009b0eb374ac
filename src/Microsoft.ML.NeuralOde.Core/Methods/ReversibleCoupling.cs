using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// The algebraically reversible coupling of an explicit Runge–Kutta method (S. McCallum, J. Foster, Efficient, accurate and stable
/// gradients for neural ODEs, 2024): y₁ = λy + (1 − λ)z + Ψ_h(t, z), z₁ = z − Ψ_{−h}(t + h, y₁), where x + Ψ_h(t, x) is a step of the
/// method.
/// </summary>
internal sealed class ReversibleCoupling : OdeMethod, IReversibleMethod
{
    /// <summary>Decaying components leave steps alone up to h |∂f/∂y| = 0.7, which is about what accuracy allows.</summary>
    public const double DefaultCoupling = 0.5;
    private const string Prefix = "reversible_";

    /// <param name="method">The explicit Runge–Kutta method.</param>
    /// <param name="tableau">Its coefficients.</param>
    /// <param name="coupling">λ.</param>
    public ReversibleCoupling(OdeMethod method, ButcherTableau tableau, double coupling)
        : base(Prefix + method.Name, method.Order, method.IsAdaptive)
    {
        Tableau = tableau;
        Coupling = coupling;
        Citations = [Publications.ReversibleCoupling, .. method.Citations];
        IsKnownByName = method.IsKnownByName && coupling == DefaultCoupling;
    }

    public ButcherTableau Tableau { get; }

    /// <summary>λ.</summary>
    public double Coupling { get; }

    /// <summary>Those of a step forward and of one backward.</summary>
    public override int Stages => 2 * Tableau.Stages;

    public override int InterpolantOrder => Tableau.Extension.Order;

    public double UndoGrowth => 1 / Coupling;

    /// <summary>The name tells of the method, but not of another λ than the usual one.</summary>
    internal override bool IsKnownByName { get; }

    internal override IReversibleMethod? Reversible => this;

    internal override bool IsOneStep => false;

    /// <summary>The coupling of a name, with the usual λ; null if it is not one.</summary>
    public static ReversibleCoupling? FromName(string name)
    {
        if (!name.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase))
            return null;
        OdeMethod? method = All.FirstOrDefault(m => string.Equals(m.Name, name[Prefix.Length..], StringComparison.OrdinalIgnoreCase));
        return method?.ExplicitTableau is { } tableau ? new ReversibleCoupling(method, tableau, DefaultCoupling) : null;
    }

    public T Undo<T>(IUndoFactory<T> factory) => factory.ForCoupling(Tableau, Coupling);

    internal override Stepper CreateStepper(StepperContext context) => new ReversibleCouplingStepper(this, context);
}

/// <summary>
/// The coupling at work. With d = y − z and hλ_f = x for a component with the eigenvalue λ_f of ∂f/∂y, d₁ = λ e^(−x) d: decaying components
/// move the states apart unless |x| &lt; −ln λ. So the error of a step is the method's own estimate or, where it is larger and has grown,
/// |d₁|.
/// </summary>
internal sealed class ReversibleCouplingStepper(ReversibleCoupling method, StepperContext context) : ReversibleStepper(context)
{
    /// <summary>An error for which the step control leaves the step about as it is.</summary>
    private const double GoodAsItIs = 0.5;

    /// <summary>From this part of the tolerance on, a drift above the method's own error is what limits the steps.</summary>
    private const double NoticeableDrift = 0.1;

    private readonly ButcherTableau _tableau = method.Tableau;
    private Tensor[] _forward = [];
    private Tensor[] _extension = [];
    private Tensor[] _backward = [];
    private Tensor? _nextTwin;

    public override int ErrorOrder => _tableau.ErrorOrder;

    public override Tensor NextTwin
    {
        get
        {
            // Steps whose own error is too large do without it.
            EvaluateBackward(Attempt!.Span, Attempt.State);
            return _nextTwin!;
        }
    }

    protected override Tensor DerivativeState => Twin;

    protected override string DriftRemark =>
        $"The coupling of '{method.Name}' is {method.Coupling}: where components decay, its states move apart, or hold the steps h so " +
        $"small that h |∂f/∂y| is below {-Math.Log(method.Coupling):G2}. Where that is too small, take a smaller λ, " +
        "or the method itself with GradientMethod.Checkpointed.";

    /// <summary>y(σ) = y + (1 − λ) σ (z − y) + h Σ_i p_i(σ) k_i, which is y at the step's start and y₁ at its end.</summary>
    public override Tensor Interpolate(double[] times)
    {
        StepSpan span = Attempt!.Span;
        if (_extension.Length == 0)
            _extension = ExplicitStages.EvaluateExtension(Context, _tableau, span, Twin, _forward);
        ContinuousExtension extension = _tableau.Extension;
        double pull = 1 - method.Coupling;
        Tensor[] inputs = [State, Twin, .. _forward, .. _extension];
        if (span.TrackedSize is { } size)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor sigma = Context.Clock.Difference(span.Start, times)! / size;
            Tensor towards = sigma.Times(pull).unsqueeze(1);
            Tensor weights = cat([-towards, towards, extension.Weights(sigma) * size.unsqueeze(1)], 1);
            return Context.Arithmetic.CombineTracked(State, weights, inputs).DetachFromDisposeScope();
        }
        var numbers = new double[times.Length * inputs.Length];
        for (int lane = 0; lane < times.Length; lane++)
        {
            Span<double> row = numbers.AsSpan(lane * inputs.Length, inputs.Length);
            double sigma = span.Fraction(times[lane], lane);
            (row[0], row[1]) = (-pull * sigma, pull * sigma);
            extension.Weights(sigma, row[2..]);
            for (int i = 2; i < row.Length; i++)
                row[i] *= span.Size[lane];
        }
        return Context.Arithmetic.Combine(State, null, numbers, inputs);
    }

    public override void Accept(bool[]? mask)
    {
        EvaluateBackward(Attempt!.Span, Attempt.State);
        base.Accept(mask);
    }

    protected override StepAttempt Advance(StepSpan span)
    {
        StateArithmetic arithmetic = Context.Arithmetic;
        Tensor between = arithmetic.Combine(null, null, [method.Coupling, 1 - method.Coupling], [State, Twin]);
        _forward = ExplicitStages.Evaluate(Context, _tableau, span, Twin, Derivative());
        Tensor next = arithmetic.Combine(between, span, _tableau.B, _forward);
        arithmetic.Release(between);
        using var table = new StepTable(arithmetic.Lanes, span, _tableau.Rows);
        double[]? error = ExplicitStages.Error(Context, _tableau, table, State, next, _forward);
        if (!IsControlled)
        {
            EvaluateBackward(span, next);
            return new StepAttempt(span, next, error, Drift: FindDrift(next, _nextTwin!));
        }
        StateDrift? drift = null;
        if (Array.Exists(error!, e => e <= 1))
        {
            EvaluateBackward(span, next);
            double[] before = arithmetic.ScaledError(State, next, null, [1, -1], [State, Twin], Context.Options);
            double[] after = arithmetic.ScaledError(State, next, null, [1, -1], [next, _nextTwin!], Context.Options);
            for (int lane = 0; lane < after.Length; lane++)
            {
                // A smaller step cannot undo what earlier ones left: where the states come closer, however far apart they are, the step is
                // good as it is.
                double apart = after[lane] <= before[lane] ? Math.Min(after[lane], GoodAsItIs) : after[lane] / Math.Max(1, before[lane]);
                if (!(apart <= Math.Max(error![lane], NoticeableDrift)))
                    drift = new StateDrift(DriftRemark, []);
                error![lane] = Math.Max(error[lane], apart);
            }
        }
        return new StepAttempt(span, next, error, Drift: drift);
    }

    protected override Tensor TakeNextTwin()
    {
        Tensor next = _nextTwin!;
        _nextTwin = null;
        return next;
    }

    protected override void DropStep()
    {
        foreach (Tensor k in _forward.Skip(1).Concat(_extension).Concat(_backward))
            Context.Arithmetic.Release(k);
        _forward = [];
        _extension = [];
        _backward = [];
        Release(ref _nextTwin);
    }

    private void EvaluateBackward(StepSpan step, Tensor next)
    {
        if (_backward.Length > 0)
            return;
        using var span = new StepSpan(step.End, step.Start, Context.Clock);
        _backward = ExplicitStages.Evaluate(Context, _tableau, span, next, Context.Evaluate(span, 0, next), forSolutionOnly: true);
        _nextTwin = Context.Arithmetic.Combine(Twin, span, Array.ConvertAll(_tableau.B[.._backward.Length], b => -b), _backward);
    }
}
