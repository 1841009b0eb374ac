namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>Takes down the steps of a solve, for <see cref="Figures.StepSizes"/>. One log belongs to one solve.</summary>
/// <example><code>
/// var log = new StepLog();
/// using OdeSolution solution = Ode.Solve(f, y0, times, new OdeSolverOptions { Progress = log });
/// Figures.StepSizes([("dopri5", log)]).SavePng("steps.png");
/// </code></example>
/// <param name="startTime">The time at which the solve begins; the first step begins there.</param>
public sealed class StepLog(double startTime = 0) : IProgress<SolverProgress>
{
    private readonly List<(double Time, double Size)> _steps = [];
    private readonly List<double> _rejected = [];
    private double _time = startTime;
    private long _accepted;

    /// <summary>The steps that were taken: where each began, and its size.</summary>
    public IReadOnlyList<(double Time, double Size)> Steps => _steps;

    /// <summary>The times at which steps began that were tried and not taken.</summary>
    public IReadOnlyList<double> RejectedTimes => _rejected;

    /// <summary>Called by the solver after each attempted step.</summary>
    /// <param name="value">Where the solve stands.</param>
    public void Report(SolverProgress value)
    {
        if (value.AcceptedSteps > _accepted)
        {
            _steps.Add((_time, Math.Abs(value.Time - _time)));
            (_time, _accepted) = (value.Time, value.AcceptedSteps);
        }
        else
        {
            _rejected.Add(_time);
        }
    }

    /// <summary>The size of the step that was taken from a time.</summary>
    internal double SizeAt(double time) => _steps.FirstOrDefault(step => step.Time == time).Size;
}
