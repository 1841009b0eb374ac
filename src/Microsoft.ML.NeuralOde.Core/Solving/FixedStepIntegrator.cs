using Microsoft.ML.NeuralOde.StepControl;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>Equal steps between neighbouring output times (and discontinuities), each of which is a step's end.</summary>
internal sealed class FixedStepIntegrator : Integrator
{
    private long _steps;

    public FixedStepIntegrator(IntegrationTask task)
        : base(task, lanes: 1) => _steps = task.StepsBefore;

    protected override void Integrate()
    {
        double[] jumps = DiscontinuitiesInside();
        int nextJump = 0;
        Stepper.Start([Grid.Start], CopyInitialState());
        for (int output = 1; output < Grid.Count; output++)
        {
            double target = Grid.Values[output];
            while (nextJump < jumps.Length && (target - jumps[nextJump]) * Grid.Direction >= 0)
            {
                double jump = jumps[nextJump++];
                if (!Advance(jump))
                    return;
                if (jump == target)
                    WriteOutput(output);
                Stepper.Start([jump], Context.Arithmetic.Copy(Stepper.State));
            }
            if (Stepper.Time[0] == target)
                continue;
            if (!Advance(target))
                return;
            WriteOutput(output);
        }
    }

    private void WriteOutput(int output)
    {
        Output.Write(output, Stepper.State);
        Task.Recorder?.Output(output, [0], Stepper.Time, isAtEnd: true);
        CheckFinite();
    }

    /// <summary>Steps to a time; false where an event or the step limit ended the solve.</summary>
    private bool Advance(double target)
    {
        var steps = new FixedSteps(Stepper.Time[0], target, Options.LargestFixedStep);
        // More steps than allowed are known beforehand, unless an event may end the solve.
        if (steps.Count > Options.MaximumSteps - _steps && Options.OnStepLimit == StepLimitBehavior.Throw && Watcher is null)
            throw StepLimit();
        for (long i = 1; i <= steps.Count; i++)
        {
            BeforeStep(Stepper.Time[0]);
            if (_steps++ >= Options.MaximumSteps)
            {
                if (Options.OnStepLimit == StepLimitBehavior.Throw)
                    throw StepLimit();
                Array.Fill(Status, RowStatus.StepLimit);
                return false;
            }
            StepAttempt attempt = Stepper.Try([steps.End(i)]);
            if (attempt.NewtonFailed)
                throw new OdeSolverException(SolverFailure.Newton, Stepper.Time[0], attempt.Span.Size[0], double.NaN, [], "");
            if (attempt.Drift is { } drift)
                throw new OdeSolverException(
                    SolverFailure.Drift, Stepper.Time[0], attempt.Span.Size[0], double.NaN, drift.Rows, drift.Remark);
            if (Watcher?.Inspect(Stepper, attempt) is { } time)
            {
                StopAtEvent(time);
                return false;
            }
            Statistics.CountAccepted(attempt.Span.Size[0]);
            Task.Recorder?.Accept(new AcceptedStep(Stepper, attempt, [true], null));
            Stepper.Accept(null);
        }
        return true;

        OdeSolverException StepLimit() =>
            new(SolverFailure.StepLimit, Stepper.Time[0], steps.Size, double.NaN, [],
                $"MaximumSteps is {Options.MaximumSteps}.");
    }

    private void CheckFinite()
    {
        if (IsFinite(Stepper.State))
            return;
        List<long> rows = NonFiniteRows(Stepper.State);
        if (!Options.PerRow)
            throw new OdeSolverException(
                SolverFailure.NonFinite, Stepper.Time[0], Statistics.LargestStep * Grid.Direction, double.NaN, rows, "");
        foreach (long row in rows)
            Status[row] = RowStatus.NonFinite;
    }
}
