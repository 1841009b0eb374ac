using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>Adams methods in the form predict–evaluate–correct–evaluate whose order and step size both follow the error.</summary>
internal sealed class VariableOrderAdams : OdeMethod
{
    public const int MaximumOrder = 12;

    private static readonly OdeMethod FixedSteps = AdamsBashforthMoulton();

    public VariableOrderAdams()
        : base("adams", FixedSteps.Order, isAdaptive: true)
    {
    }

    public override int Stages => FixedSteps.Stages;

    public override int InterpolantOrder => MaximumOrder;

    internal override bool SupportsPerRow => false;

    internal override bool IsOneStep => false;

    internal override int StartOrder => 1;

    internal override Stepper CreateStepper(StepperContext context) =>
        context.Options.StepSize is null ? new VariableOrderAdamsStepper(context) : FixedSteps.CreateStepper(context);
}

/// <remarks>
/// With q derivatives known, a polynomial through them predicts; the correction uses one through f at the prediction as well. The
/// difference between the corrections of two neighbouring orders is the error of the lower one; the higher one is propagated. Order and
/// step are chosen as by Shampine and Gordon: in the beginning both grow with every step; later the order moves by one where a neighbour's
/// error is smaller, and the step is doubled, kept or reduced, since equal steps keep the estimates reliable.
/// </remarks>
internal sealed class VariableOrderAdamsStepper(StepperContext context) : OneStepStepper(context)
{
    /// <summary>Earlier derivatives, the latest first.</summary>
    private readonly List<(double Time, Tensor Derivative)> _history = [];
    private Tensor? _current;
    private Tensor? _predicted;
    private int _order = 1;
    private int _nextOrder = 1;
    private bool _isStarting = true;
    private int _equalSteps;
    private double _lastSize;
    private int _rejections;

    public override int ErrorOrder => _order;

    public override void Start(double[] time, Tensor state)
    {
        if (Context.Clock.IsTracked)
            throw new ArgumentException(
                "Gradients with respect to the output times are not available for Adams methods; take a Runge–Kutta method.");
        base.Start(time, state);
    }

    public override Tensor Interpolate(double[] times)
    {
        StepSpan span = Attempt!.Span;
        using var part = new StepSpan(span.Start, times, Context.Clock);
        double[] nodes = [span.End[0], .. Nodes(_order)];
        return Context.Arithmetic.Combine(State, part, AdamsCoefficients.Weights(part, nodes), [_predicted!, .. Derivatives(_order)]);
    }

    protected override StepAttempt Advance(StepSpan span)
    {
        // Three rejections in a row: what the past says no longer holds.
        if (++_rejections > 3)
            _order = 1;
        _current = Context.Arithmetic.Copy(Derivative());
        double[] nodes = Nodes(_order);
        Tensor guess = Context.Arithmetic.Combine(State, span, AdamsCoefficients.Weights(span, nodes), Derivatives(_order));
        _predicted = Context.Evaluate(span, 1, guess);
        Context.Arithmetic.Release(guess);
        Tensor next = Context.Arithmetic.Combine(State, span, Corrector(span, _order + 1), [_predicted, .. Derivatives(_order)]);
        double error = Error(span, next, _order);
        double? factor = error <= 1 ? ChooseNext(span, next, error) : null;
        return new StepAttempt(span, next, [error], NextFactor: factor);
    }

    protected override void Moved(bool[]? mask)
    {
        StepSpan span = Attempt!.Span;
        _history.Insert(0, (span.Start[0], _current!));
        _current = null;
        _equalSteps = _nextOrder == _order && Math.Abs(span.Size[0] / _lastSize - 1) < 1e-9 ? _equalSteps + 1 : 0;
        _lastSize = span.Size[0];
        _order = _nextOrder;
        _rejections = 0;
        while (_history.Count > VariableOrderAdams.MaximumOrder)
        {
            Context.Arithmetic.Release(_history[^1].Derivative);
            _history.RemoveAt(_history.Count - 1);
        }
    }

    protected override void Forget()
    {
        foreach ((_, Tensor derivative) in _history)
            Context.Arithmetic.Release(derivative);
        _history.Clear();
        (_order, _nextOrder, _isStarting, _equalSteps, _lastSize, _rejections) = (1, 1, true, 0, 0, 0);
    }

    protected override void DropStep()
    {
        Release(ref _current);
        Release(ref _predicted);
    }

    /// <summary>The order of the next step, and by how much that step should be longer or shorter.</summary>
    private double ChooseNext(StepSpan span, Tensor next, double error)
    {
        int order = _order;
        double below = order > 1 ? Error(span, next, order - 1) : double.PositiveInfinity;
        double farBelow = order > 2 ? Error(span, next, order - 2) : 0;
        (_nextOrder, double best) = (order, error);
        if (order > 2 ? Math.Max(below, farBelow) <= error : below <= error / 2)
            (_nextOrder, best) = (order - 1, below);
        // A derivative older than those of this order makes the next order possible.
        bool canRaise = order < VariableOrderAdams.MaximumOrder && _history.Count >= order;
        _isStarting &= _nextOrder == order && order < VariableOrderAdams.MaximumOrder;
        if (_isStarting)
        {
            _nextOrder = order + 1;
            return 2;
        }
        if (_nextOrder == order && canRaise && _equalSteps > order)
        {
            double above = Error(span, next, order + 1);
            if (order > 1 && below <= Math.Min(error, above))
                (_nextOrder, best) = (order - 1, below);
            else if (above < (order > 1 ? error : error / 2))
                (_nextOrder, best) = (order + 1, above);
        }
        if (best * Math.Pow(2, _nextOrder + 1) <= 0.5)
            return 2;
        return best <= 0.5 ? 1 : Math.Clamp(Math.Pow(0.5 / best, 1.0 / (_nextOrder + 1)), 0.5, 0.9);
    }

    /// <summary>The error of the corrector of an order: its distance from that of the next order.</summary>
    private double Error(StepSpan span, Tensor next, int order)
    {
        double[] high = Corrector(span, order + 1);
        double[] low = Corrector(span, order);
        double[] difference = [.. high.Select((weight, j) => weight - (j < low.Length ? low[j] : 0))];
        return Context.Arithmetic.ScaledError(State, next, span, difference, [_predicted!, .. Derivatives(order)], Context.Options)[0];
    }

    /// <summary>The weights of f at the prediction and of <c>order − 1</c> derivatives behind it.</summary>
    private double[] Corrector(StepSpan span, int order)
    {
        double[] nodes = [span.End[0], .. Nodes(order - 1)];
        return AdamsCoefficients.Weights(span, nodes);
    }

    /// <summary>The times of the current derivative and of those before it, <paramref name="count"/> in all.</summary>
    private double[] Nodes(int count) => count == 0 ? [] : [Time[0], .. _history.Take(count - 1).Select(entry => entry.Time)];

    private Tensor[] Derivatives(int count) =>
        count == 0 ? [] : [Derivative(), .. _history.Take(count - 1).Select(entry => entry.Derivative)];
}
