using Microsoft.ML.NeuralOde.Kernels;
using Microsoft.ML.NeuralOde.StepControl;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>
/// Steps whose size the error sets. Output times between a step's ends are interpolated; the last output time, and each discontinuity, is
/// a step's end, and f is never evaluated beyond.
/// </summary>
internal sealed unsafe class AdaptiveNativeIntegrator : NativeIntegrator
{
    private readonly AdaptiveSteps _steps;
    private readonly double* _moved;
    private readonly double* _there;
    private int _nextOutput = 1;
    private long _attempts;

    public AdaptiveNativeIntegrator(NativeProblem problem)
        : base(problem)
    {
        _steps = new AdaptiveSteps(new StepLimits(Grid.Start, [.. DiscontinuitiesInside(), Grid.End], Options));
        _moved = System.Take(System.Size);
        _there = System.Take(System.Size);
    }

    protected override void Integrate()
    {
        ChooseStep(Options.FirstStep ?? 0);
        while (!_steps.IsOver)
        {
            BeforeStep();
            if (_attempts++ >= Options.MaximumSteps)
            {
                if (Options.OnStepLimit == StepLimitBehavior.Throw)
                    throw NativeFailure.StepLimit(Stepper.Time, Grid.Direction * _steps.Size, Options, StiffnessRemark);
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
        NativeAttempt attempt = Stepper.Try(_steps.End(Stepper.Time));
        if (!(attempt.Error <= 1))
        {
            Statistics.RejectedSteps++;
            Reject(attempt);
            return true;
        }
        if (Watcher?.Inspect(Stepper, attempt) is { } time)
        {
            if (!PassEvent(time))
                return false;
            _steps.Restart(Stepper.Time);
            if (!_steps.IsOver)
                ChooseStep(0);
            return true;
        }
        Statistics.CountAccepted(attempt.Span.Size);
        WriteOutputs(attempt.Span, attempt.Span.End);
        _steps.Accept(Controller, Stepper.ErrorOrder, Math.Abs(attempt.Span.Size), attempt.Error);
        Statistics.NextStep = _steps.Size;
        Stepper.Accept();
        if (_steps.PassStop())
        {
            Stepper.Start(Stepper.Time, Stepper.State);
            ChooseStep(_steps.Size);
        }
        return true;
    }

    private StepController Controller => Options.Controller ?? Stepper.Controller;

    protected override void WriteAtEvent(NativeSpan span, double end) => WriteOutputs(span, end);

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
        bool isLargeEnough = _steps.Reject(Controller, Stepper.ErrorOrder, Stepper.Time, tried, attempt.Error);
        // Where the state or its derivative is not finite, no step is small enough.
        string nothing = double.IsFinite(attempt.Error) ? "" : NothingToStartFrom();
        if (nothing.Length == 0 && isLargeEnough)
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

    /// <summary>The first step, given or chosen.</summary>
    private void ChooseStep(double given) => _steps.Begin(Stepper.Time, given == 0 ? FirstStep() : given);

    private double FirstStep()
    {
        double* state = Stepper.State, slope = Stepper.Derivative();
        double limit = _steps.Room(Stepper.Time);
        double d0 = System.Norm.Of(state, state, state), d1 = System.Norm.Of(state, state, slope);
        double h0 = InitialStep.Guess(d0, d1, limit);
        var span = new NativeSpan(Stepper.Time, Stepper.Time + Grid.Direction * h0);
        StateKernels.Combine(_moved, state, span.Size, [1], &slope, System.Size);
        System.Evaluate(span, 1, _moved, _there);
        double** pair = stackalloc double*[] { _there, slope };
        double d2 = System.Norm.Of(state, state, 1, [1, -1], pair);
        return InitialStep.Choose(h0, d1, d2, Options.Method.StartOrder, limit, mayBeBold: !Options.Method.SolvesEquations);
    }
}
