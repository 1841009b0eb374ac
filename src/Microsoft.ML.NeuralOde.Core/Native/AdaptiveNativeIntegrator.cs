using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.StepControl;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>
/// Steps whose size the error sets. Output times between a step's ends are interpolated; the last output time, and each discontinuity, is
/// a step's end, and f is never evaluated beyond.
/// </summary>
internal sealed unsafe class AdaptiveNativeIntegrator : NativeIntegrator
{
    private readonly ErrorHistory _history = new();
    private readonly double[] _stops;
    private readonly double* _moved;
    private readonly double* _there;
    private int _nextStop;
    private int _nextOutput = 1;
    private double _step;
    private bool _isCut;
    private long _attempts;

    public AdaptiveNativeIntegrator(NativeProblem problem)
        : base(problem)
    {
        _stops = [.. DiscontinuitiesInside(), Grid.End];
        _moved = System.Take(System.Size);
        _there = System.Take(System.Size);
    }

    private double Interval => Math.Abs(Grid.End - Grid.Start);

    protected override void Integrate()
    {
        ChooseStep(Options.FirstStep ?? 0);
        while (_nextStop < _stops.Length)
        {
            BeforeStep();
            if (_attempts++ >= Options.MaximumSteps)
            {
                if (Options.OnStepLimit == StepLimitBehavior.Throw)
                    throw NativeFailure.StepLimit(Stepper.Time, Grid.Direction * _step, Options, StiffnessRemark);
                Status = RowStatus.StepLimit;
                return;
            }
            if (!Step())
                return;
        }
    }

    private string StiffnessRemark => Statistics.IsStiff
        ? " Stability, not accuracy, limited the steps: the problem is stiff; use OdeMethod.Auto or an implicit method." : "";

    /// <summary>Tries one step, takes it where it is good enough, and sets the size of the next; false where an event ended the
    /// solve.</summary>
    private bool Step()
    {
        NativeAttempt attempt = Stepper.Try(End());
        if (!(attempt.Error <= 1))
        {
            Statistics.RejectedSteps++;
            Reject(attempt);
            return true;
        }
        if (Watcher?.Inspect(Stepper, attempt) is { } time)
        {
            WriteOutputs(attempt.Span, time);
            StopAtEvent(time);
            return false;
        }
        Statistics.CountAccepted(attempt.Span.Size);
        WriteOutputs(attempt.Span, attempt.Span.End);
        // A step that was cut to meet a stop says little about the size that the problem allows.
        double tried = Math.Abs(attempt.Span.Size);
        double next = tried * _history.Accepted(Options.Controller ?? Stepper.Controller, Order, tried, attempt.Error);
        _step = Math.Min(_isCut ? Math.Max(next, _step) : next, Options.MaximumStep);
        Statistics.NextStep = _step;
        Stepper.Accept();
        PassStop();
        return true;
    }

    private int Order => Math.Max(1, Stepper.ErrorOrder) + 1;

    /// <summary>Where the next step ends: one step size on, or at the next stop where that is nearer or all but reached.</summary>
    private double End()
    {
        double stop = _stops[_nextStop];
        double end = Stepper.Time + Grid.Direction * _step;
        _isCut = (stop - end) * Grid.Direction <= 1e-10 * _step;
        return _isCut ? stop : end;
    }

    private void WriteOutputs(NativeSpan span, double end)
    {
        for (; _nextOutput < Grid.Count && (end - Grid.Values[_nextOutput]) * Grid.Direction >= 0; _nextOutput++)
        {
            double time = Grid.Values[_nextOutput];
            fixed (double* target = Output(_nextOutput))
            {
                if (time == span.End)
                    NativeSystem.Copy(Stepper.Next, target, System.Size);
                else
                    Stepper.Interpolate(time, target);
            }
        }
    }

    private void Reject(in NativeAttempt attempt)
    {
        double tried = Math.Abs(attempt.Span.Size);
        _step = tried * _history.Rejected(Options.Controller ?? Stepper.Controller, Order, attempt.Error);
        // Where the state or its derivative is not finite, no step is small enough.
        string nothing = double.IsFinite(attempt.Error) ? "" : NothingToStartFrom();
        if (nothing.Length == 0 && _step >= Math.Max(Options.MinimumStep, ErrorHistory.SmallestStep(Stepper.Time, Interval)))
            return;
        SolverFailure failure = nothing.Length > 0 ? SolverFailure.NonFinite
            : double.IsFinite(attempt.Error) ? SolverFailure.StepSizeUnderflow
            : attempt.NewtonFailed ? SolverFailure.Newton
            : SolverFailure.NonFinite;
        bool blowsUp = nothing.Length == 0 && NativeFailure.BlowsUp(Stepper, System, Initial, tried);
        string detail = nothing.Length > 0 ? nothing : blowsUp ? "" : StiffnessRemark.TrimStart();
        throw new OdeSolverException(failure, Stepper.Time, attempt.Span.Size, attempt.Error, [], detail, blowsUp);
    }

    /// <summary>What is not finite where the solve stands; empty for nothing.</summary>
    private string NothingToStartFrom()
    {
        string place = Stepper.Time == Grid.Start ? "Component of the initial state" : "Component of the state";
        string found = NativeFailure.NotFinite(Stepper.State, System, place);
        return found.Length > 0 ? found : NativeFailure.NotFinite(Stepper.Derivative(), System, "Component of the right-hand side");
    }

    /// <summary>Goes past a stop that was reached: a discontinuity starts the method afresh.</summary>
    private void PassStop()
    {
        if (!_isCut || ++_nextStop == _stops.Length)
            return;
        _history.Restart();
        Stepper.Start(Stepper.Time, Stepper.State);
        ChooseStep(_step);
    }

    /// <summary>The first step, given or chosen.</summary>
    private void ChooseStep(double given)
    {
        double step = given == 0 ? FirstStep() : given;
        _step = Math.Min(Math.Max(step, ErrorHistory.SmallestStep(Stepper.Time, Interval)), Options.MaximumStep);
    }

    private double FirstStep()
    {
        double* state = Stepper.State, slope = Stepper.Derivative();
        double limit = Math.Min(Math.Abs(_stops[_nextStop] - Stepper.Time), Options.MaximumStep);
        double d0 = System.Norm.Of(state, state, state), d1 = System.Norm.Of(state, state, slope);
        double h0 = InitialStep.Guess(d0, d1, limit);
        var span = new NativeSpan(Stepper.Time, Stepper.Time + Grid.Direction * h0);
        StateKernels.Combine(_moved, state, span.Size, [1], &slope, System.Size);
        System.Evaluate(span, 1, _moved, _there);
        double** pair = stackalloc double*[] { _there, slope };
        double d2 = System.Norm.Of(state, state, 1, [1, -1], pair);
        return InitialStep.Choose(h0, d1, d2, Options.Method.StartOrder, limit);
    }
}
