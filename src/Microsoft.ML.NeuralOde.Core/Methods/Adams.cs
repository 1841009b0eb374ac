using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// Adams methods with fixed order: explicit (Adams–Bashforth), or with one correction (Adams–Bashforth–Moulton, PECE). The coefficients
/// come from the actual times of the steps, so that steps may change their length; the first steps are made by a Runge–Kutta method of
/// order 8.
/// </summary>
internal sealed class AdamsMethod : OdeMethod
{
    public const int MaximumOrder = 8;

    public const string ExplicitName = "adams_bashforth";

    public const string CorrectedName = "adams_bashforth_moulton";

    private readonly bool _corrects;

    public AdamsMethod(int order, bool corrects)
        : base((corrects ? CorrectedName : ExplicitName) + order, Check(order), isAdaptive: false) => _corrects = corrects;

    public override int Stages => _corrects ? 2 : 1;

    public override int InterpolantOrder => Math.Min(Order, 3);

    internal override bool IsOneStep => false;

    internal override Stepper CreateStepper(StepperContext context) => new AdamsStepper(Order, _corrects, context);

    /// <summary>The method of a name such as adams_bashforth5; null if it is not one.</summary>
    public static AdamsMethod? FromName(string name)
    {
        foreach ((string prefix, bool corrects) in new[] { (CorrectedName, true), (ExplicitName, false) })
            if (name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase)
                && int.TryParse(name.AsSpan(prefix.Length), System.Globalization.CultureInfo.InvariantCulture, out int order)
                && order is >= 1 and <= MaximumOrder)
                return new AdamsMethod(order, corrects);
        return null;
    }

    private static int Check(int order) =>
        order is >= 1 and <= MaximumOrder
            ? order
            : throw new ArgumentOutOfRangeException(
                nameof(order), order, $"The order of an Adams method must be between 1 and {MaximumOrder}.");
}

internal sealed class AdamsStepper(int order, bool corrects, StepperContext context) : OneStepStepper(context)
{
    /// <summary>Earlier derivatives, the latest first.</summary>
    private readonly List<(double Time, Tensor Derivative)> _history = [];
    private Tensor? _current;

    public override int ErrorOrder => 0;

    public override void Start(double[] time, Tensor state)
    {
        if (Context.Clock.IsTracked)
            throw new ArgumentException(
                "Gradients with respect to the output times are not available for Adams methods; take a Runge–Kutta method.");
        base.Start(time, state);
    }

    protected override StepAttempt Advance(StepSpan span)
    {
        Tensor first = Derivative();
        _current = Context.Arithmetic.Copy(first);
        if (_history.Count < order - 1)
            return new StepAttempt(span, StartUp(span, first), null);

        Tensor[] derivatives = [first, .. _history.Take(order - 1).Select(entry => entry.Derivative)];
        double[] times = [span.Start[0], .. _history.Take(order - 1).Select(entry => entry.Time)];
        Tensor next = Context.Arithmetic.Combine(State, span, AdamsCoefficients.Weights(span, times), derivatives);
        if (!corrects)
            return new StepAttempt(span, next, null);
        Tensor predicted = Context.Evaluate(span, 1, next);
        Context.Arithmetic.Release(next);
        Tensor corrected = Context.Arithmetic.Combine(
            State, span, AdamsCoefficients.Weights(span, [span.End[0], .. times.SkipLast(1)]), [predicted, .. derivatives.SkipLast(1)]);
        Context.Arithmetic.Release(predicted);
        return new StepAttempt(span, corrected, null);
    }

    protected override void Moved(bool[]? mask)
    {
        _history.Insert(0, (Attempt!.Span.Start[0], _current!));
        _current = null;
        if (_history.Count < order)
            return;
        Context.Arithmetic.Release(_history[^1].Derivative);
        _history.RemoveAt(_history.Count - 1);
    }

    protected override void Forget()
    {
        foreach ((_, Tensor derivative) in _history)
            Context.Arithmetic.Release(derivative);
        _history.Clear();
    }

    protected override void DropStep() => Release(ref _current);

    private Tensor StartUp(StepSpan span, Tensor first)
    {
        ButcherTableau tableau = DormandPrince8.Tableau;
        Tensor[] k = ExplicitStages.Evaluate(Context, tableau, span, State, first);
        Tensor next = Context.Arithmetic.Combine(State, span, tableau.B, k);
        foreach (Tensor stage in k.Skip(1))
            Context.Arithmetic.Release(stage);
        return next;
    }
}
