using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>Drives a method in plain memory from the first output time to the last, as <see cref="Solving.Integrator"/> does on
/// tensors.</summary>
internal abstract unsafe class NativeIntegrator : IDisposable
{
    private readonly NativeProblem _problem;
    private readonly double[] _states;
    private double[]? _final;

    protected NativeIntegrator(NativeProblem problem)
    {
        _problem = problem;
        System = new NativeSystem(problem);
        Stepper = NativeStepper.Create(problem.Options.Method, System);
        Watcher = problem.Events.Count > 0 ? new NativeEventWatcher(problem.Events, System) : null;
        _states = new double[problem.Size * Grid.Count];
        Array.Fill(_states, double.NaN);
        Initial = System.Take(problem.Size);
        problem.InitialState.CopyTo(new Span<double>(Initial, problem.Size));
    }

    protected NativeSystem System { get; }

    protected NativeStepper Stepper { get; }

    protected NativeEventWatcher? Watcher { get; }

    protected double* Initial { get; }

    protected RowStatus Status { get; set; }

    protected TimeGrid Grid => _problem.Grid;

    protected OdeSolverOptions Options => _problem.Options;

    protected SolverStatistics Statistics => System.Statistics;

    public static NativeIntegrator Create(NativeProblem problem) =>
        problem.Options.Method.IsAdaptive && problem.Options.StepSize is null
        ? new AdaptiveNativeIntegrator(problem) : new FixedNativeIntegrator(problem);

    public NativeOdeSolution Run()
    {
        Stepper.Start(Grid.Start, Initial);
        new ReadOnlySpan<double>(Initial, System.Size).CopyTo(_states);
        try
        {
            if (Grid.Count > 1)
                Integrate();
        }
        catch (OdeSolverException failure) when (
            failure.Failure == SolverFailure.EventAccumulation && Options.OnStepLimit == StepLimitBehavior.ReturnPartial)
        {
            Status = RowStatus.EventAccumulation;
        }
        // Where a reset happens at the last output time, the output is the state before it.
        ReadOnlySpan<double> last = Status == RowStatus.Completed
            ? Output(Grid.Count - 1) : new ReadOnlySpan<double>(Stepper.State, System.Size);
        return new NativeOdeSolution(
            Grid.Values, _states, _final ?? last.ToArray(), Statistics, Status,
            Watcher?.Occurrences ?? [])
        {
            EventsMayBeMissed = Watcher is { MayHaveMissed: true },
            Citations = Options.Method.Citations,
        };
    }

    /// <summary>The memory is used until the solve is over, however little the garbage collector sees of that.</summary>
    public void Dispose() => GC.KeepAlive(System);

    protected abstract void Integrate();

    /// <summary>Where the state at an output time goes.</summary>
    protected Span<double> Output(int index) => _states.AsSpan(index * System.Size, System.Size);

    protected void BeforeStep()
    {
        Options.CancellationToken.ThrowIfCancellationRequested();
        Options.Progress?.Report(new SolverProgress(Stepper.Time, Grid.End, Statistics.AcceptedSteps, Statistics.FunctionEvaluations));
    }

    /// <summary>
    /// Goes to an event inside the attempted step by a step of its own, which is more exact than the interpolant, and on with the state
    /// that the event sets; false where the solve ends there.
    /// </summary>
    protected bool PassEvent(double time)
    {
        NativeAttempt attempt = Watcher!.Approach(Stepper, time);
        time = attempt.Span.End;
        Statistics.CountAccepted(attempt.Span.Size);
        // Rounding must not decide whether an output at the event's time is reached.
        WriteAtEvent(attempt.Span, time + Grid.Direction * 8 * TimePrecision.Spacing(time, ScalarType.Float64));
        double* next = Watcher.Stop(time, Stepper.Next);
        if (next != null)
        {
            Stepper.Start(time, next);
            return true;
        }
        _final = new ReadOnlySpan<double>(Stepper.Next, System.Size).ToArray();
        Status = RowStatus.Event;
        return false;
    }

    /// <summary>Notes the outputs of a step that ends at an event, up to a time.</summary>
    protected abstract void WriteAtEvent(NativeSpan span, double end);

    /// <summary>The discontinuities between the first and the last output time, in the order in which they are reached.</summary>
    protected double[] DiscontinuitiesInside() => Options.Discontinuities.Count == 0 ? [] :
        [.. Options.Discontinuities.Where(t => (t - Grid.Start) * Grid.Direction > 0 && (Grid.End - t) * Grid.Direction > 0).Distinct()
            .OrderBy(t => t * Grid.Direction)];
}
