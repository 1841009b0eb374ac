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
        if (Grid.Count > 1)
            Integrate();
        return new NativeOdeSolution(
            Grid.Values, _states, _final ?? new ReadOnlySpan<double>(Stepper.State, System.Size).ToArray(), Statistics, Status,
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

    /// <inheritdoc cref="Solving.Integrator.StopAtEvent"/>
    protected void StopAtEvent(double time)
    {
        NativeAttempt attempt = Watcher!.Approach(Stepper, time);
        Statistics.CountAccepted(attempt.Span.Size);
        Watcher.Stop(attempt.Span.End, Stepper.Next);
        _final = new ReadOnlySpan<double>(Stepper.Next, System.Size).ToArray();
        Status = RowStatus.Event;
    }

    /// <summary>The discontinuities between the first and the last output time, in the order in which they are reached.</summary>
    protected double[] DiscontinuitiesInside() => Options.Discontinuities.Count == 0 ? [] :
        [.. Options.Discontinuities.Where(t => (t - Grid.Start) * Grid.Direction > 0 && (Grid.End - t) * Grid.Direction > 0).Distinct()
            .OrderBy(t => t * Grid.Direction)];
}
