using Microsoft.ML.NeuralOde.StepControl;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>Equal steps between neighbouring output times and discontinuities, each of which is a step's end.</summary>
internal sealed unsafe class FixedNativeIntegrator(NativeProblem problem) : NativeIntegrator(problem)
{
    private long _steps;

    protected override void Integrate()
    {
        double[] jumps = DiscontinuitiesInside();
        int nextJump = 0;
        for (int output = 1; output < Grid.Count; output++)
        {
            double target = Grid.Values[output];
            while (nextJump < jumps.Length && (target - jumps[nextJump]) * Grid.Direction >= 0)
            {
                if (!Advance(jumps[nextJump++]))
                    return;
                Stepper.Start(Stepper.Time, Stepper.State);
            }
            if (Stepper.Time != target && !Advance(target))
                return;
            if (!System.IsFinite(Stepper.State))
                throw new OdeSolverException(
                    SolverFailure.NonFinite, Stepper.Time, Statistics.LargestStep * Grid.Direction, double.NaN,
                    [], NativeFailure.NotFinite(Stepper.State, System));
            new ReadOnlySpan<double>(Stepper.State, System.Size).CopyTo(Output(output));
        }
    }

    /// <summary>Steps to a time; false where an event or the step limit ended the solve.</summary>
    private bool Advance(double target)
    {
        var steps = new FixedSteps(Stepper.Time, target, Options.LargestFixedStep);
        // More steps than allowed are known beforehand, unless an event may end the solve.
        if (steps.Count > Options.MaximumSteps - _steps && Options.OnStepLimit == StepLimitBehavior.Throw && Watcher is null)
            throw NativeFailure.StepLimit(Stepper.Time, steps.Size, Options, "");
        for (long i = 1; i <= steps.Count; i++)
        {
            BeforeStep();
            if (_steps++ >= Options.MaximumSteps)
            {
                if (Options.OnStepLimit == StepLimitBehavior.Throw)
                    throw NativeFailure.StepLimit(Stepper.Time, steps.Size, Options, "");
                Status = RowStatus.StepLimit;
                return false;
            }
            NativeAttempt attempt = Stepper.Try(steps.End(i));
            if (attempt.NewtonFailed)
                throw new OdeSolverException(SolverFailure.Newton, Stepper.Time, attempt.Span.Size, double.NaN, [], "");
            if (Watcher?.Inspect(Stepper, attempt) is { } time)
            {
                StopAtEvent(time);
                return false;
            }
            Statistics.CountAccepted(attempt.Span.Size);
            Stepper.Accept();
        }
        return true;
    }
}
