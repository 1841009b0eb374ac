namespace Microsoft.ML.NeuralOde.Plots;

/// <summary>Takes down the steps of a solve, for <see cref="Figures.StepSizes"/>. One log belongs to one solve.</summary>
/// <remarks>
/// For solves that reach their end with one step size for the whole batch: the solver reports before each attempt, so that the last step is
/// known from the end time.
/// </remarks>
/// <example><code>
/// var log = new StepLog();
/// using OdeSolution solution = Ode.Solve(f, y0, times, new OdeSolverOptions { Progress = log });
/// Figures.StepSizes([("dopri5", log)]).SavePng("steps.png");
/// </code></example>
public sealed class StepLog : IProgress<SolverProgress>
{
    private readonly List<(double Time, double Size)> _steps = [];
    private readonly List<double> _rejected = [];
    private SolverProgress? _last;

    /// <summary>The steps that were taken: where each began, and its size.</summary>
    public IReadOnlyList<(double Time, double Size)> Steps => _last is { } last && last.Time != last.EndTime
        ? [.. _steps, (last.Time, Math.Abs(last.EndTime - last.Time))]
        : _steps;

    /// <summary>The times at which steps began that were tried and not taken.</summary>
    public IReadOnlyList<double> RejectedTimes => _rejected;

    /// <summary>Called by the solver before each attempt of a step.</summary>
    /// <param name="value">Where the solve stands.</param>
    public void Report(SolverProgress value)
    {
        if (_last is { } last)
        {
            if (value.AcceptedSteps > last.AcceptedSteps)
                _steps.Add((last.Time, Math.Abs(value.Time - last.Time)));
            else
                _rejected.Add(last.Time);
        }
        _last = value;
    }
}
