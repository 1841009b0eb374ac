using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>An explicit and an implicit method that take turns in plain memory: as <see cref="AutoSwitchingStepper"/> decides it.</summary>
internal sealed unsafe class SwitchingNativeStepper : NativeStepper
{
    private readonly ExplicitNativeStepper _nonStiff;
    private readonly ImplicitNativeStepper _stiff;
    private readonly double _calmLimit;
    private NativeStepper _current;
    private double _size;
    private int _calmSteps;

    public SwitchingNativeStepper(AutoSwitching method, NativeSystem system)
        : base(system)
    {
        _nonStiff = new ExplicitNativeStepper(method.NonStiff.Tableau, system);
        _stiff = new ImplicitNativeStepper(method.Stiff.Tableau, system, boundsSpectrum: true);
        _calmLimit = AutoSwitchingStepper.CalmLimit(method);
        _current = _nonStiff;
    }

    public override int ErrorOrder => _current.ErrorOrder;

    public override StepController Controller => _current.Controller;

    public override double* State => _current.State;

    public override double* Next => _current.Next;

    public override void Start(double time, double* state)
    {
        _current.Start(time, state);
        Time = time;
    }

    public override double* Derivative() => _current.Derivative();

    public override NativeAttempt Try(double end)
    {
        if (_nonStiff.LooksStiff && _current == _nonStiff)
            SwitchTo(_stiff);
        else if (_calmSteps >= AutoSwitchingStepper.EnoughCalmSteps)
            SwitchTo(_nonStiff);
        NativeAttempt attempt = _current.Try(end);
        _size = attempt.Span.Size;
        return attempt;
    }

    public override void Interpolate(double time, double* result) => _current.Interpolate(time, result);

    public override void Accept()
    {
        bool isCalm = _current == _stiff && Math.Abs(_size) * _stiff.SpectralBound < _calmLimit;
        _calmSteps = isCalm ? _calmSteps + 1 : 0;
        _current.Accept();
        Time = _current.Time;
    }

    protected override NativeAttempt Advance(NativeSpan span) =>
        throw new NotSupportedException("Steps are those of the methods that take turns.");

    protected override bool TakeEndDerivative(double* target) => false;

    protected override void Forget()
    {
    }

    private void SwitchTo(NativeStepper next)
    {
        _calmSteps = 0;
        next.Start(_current.Time, _current.State);
        _current = next;
    }
}
