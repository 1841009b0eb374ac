using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>An explicit method and an implicit one that take turns: the explicit one until its steps are limited by stability.</summary>
internal sealed class AutoSwitching : OdeMethod
{
    public AutoSwitching(string name, ExplicitRungeKutta nonStiff, ImplicitRungeKutta stiff)
        : base(name, Math.Min(nonStiff.Order, stiff.Order), isAdaptive: true)
    {
        NonStiff = nonStiff;
        Stiff = stiff;
    }

    public ExplicitRungeKutta NonStiff { get; }

    public ImplicitRungeKutta Stiff { get; }

    public override int Stages => NonStiff.Stages;

    public override int InterpolantOrder => Math.Min(NonStiff.InterpolantOrder, Stiff.InterpolantOrder);

    internal override bool SupportsPerRow => false;

    internal override bool SolvesEquations => true;

    /// <summary>The implicit method, which is right for the adjoint equation wherever one of both is.</summary>
    internal override OdeMethod AdjointMethod => Stiff;

    internal override bool SwitchesByStiffness => true;

    internal override Stepper CreateStepper(StepperContext context) => new AutoSwitchingStepper(this, context);
}

internal sealed class AutoSwitchingStepper : Stepper
{
    /// <summary>So many steps in a row must have been possible for the explicit method before it comes back.</summary>
    public const int EnoughCalmSteps = 5;

    private readonly ExplicitRungeKuttaStepper _nonStiff;
    private readonly ImplicitRungeKuttaStepper _stiff;
    private readonly double _calmLimit;
    private OneStepStepper _current;
    private StepAttempt? _attempt;
    private int _calmSteps;

    public AutoSwitchingStepper(AutoSwitching method, StepperContext context)
        : base(context)
    {
        _nonStiff = method.NonStiff.CreateStepper(context);
        _stiff = method.Stiff.CreateStepper(context);
        _calmLimit = CalmLimit(method);
        _current = _nonStiff;
    }

    /// <summary>Below it h |λ| calls the explicit method back: well inside its stability, or the two would alternate.</summary>
    public static double CalmLimit(AutoSwitching method) => 0.5 * method.NonStiff.Tableau.StabilityLimit;

    public override int ErrorOrder => _current.ErrorOrder;

    public override StepController Controller => _current.Controller;

    public override OdeMethod? StepMethod => _current.StepMethod;

    public override void Start(double[] time, Tensor state)
    {
        _current.Start(time, state);
        Follow();
    }

    public override Tensor Derivative() => _current.Derivative();

    public override StepAttempt Try(double[] end)
    {
        if (_nonStiff.LooksStiff && _current == _nonStiff)
            SwitchTo(_stiff);
        else if (_calmSteps >= EnoughCalmSteps)
            SwitchTo(_nonStiff);
        return _attempt = _current.Try(end);
    }

    public override Tensor Interpolate(double[] times) => _current.Interpolate(times);

    public override IReadOnlyList<long> WorstRows() => _current.WorstRows();

    public override void Accept(bool[]? mask)
    {
        bool isCalm = _current == _stiff && Math.Abs(_attempt!.Span.Size[0]) * _stiff.SpectralBound < _calmLimit;
        _calmSteps = isCalm ? _calmSteps + 1 : 0;
        _current.Accept(mask);
        Follow();
    }

    public override void Keep(int[] lanes) => throw new NotSupportedException("Switching decides for the whole batch.");

    public override void Dispose()
    {
        _nonStiff.Dispose();
        _stiff.Dispose();
    }

    private void SwitchTo(OneStepStepper next)
    {
        _calmSteps = 0;
        next.Start(_current.Time, Context.Arithmetic.Copy(_current.State));
        _current = next;
        Follow();
    }

    private void Follow()
    {
        State = _current.State;
        Time = _current.Time;
    }
}
