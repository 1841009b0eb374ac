using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>
/// Drives a method from the first output time to the last: either by equal steps, or by steps that the error sets. Knows nothing of why it
/// is called: with <c>differentiable</c> its arithmetic becomes part of the caller's graph.
/// </summary>
internal abstract class Integrator : IDisposable
{
    private readonly HeapGuard _heap;

    protected Integrator(IntegrationTask task, int lanes)
    {
        Task = task;
        Options = task.Options;
        Grid = task.Grid;
        Statistics = task.Statistics;
        _heap = new HeapGuard(task.InitialState);
        var clock = new Clock(
            Grid, task.InitialState, perRow: Options.PerRow && lanes > 0 && this is AdaptiveIntegrator, Options.Discontinuities);
        Context = new StepperContext(
            new RightHandSide(task.Equation, Statistics, task.IsDifferentiable),
            StateArithmetic.Create(task.InitialState, lanes, task.IsDifferentiable), clock, Options, Statistics);
        Stepper = Options.Method.CreateStepper(Context);
        if (task.Events is { } events)
            Watcher = new EventWatcher(events.Events, events.Starts, Context);
        Output = OutputCollector.Create(task.InitialState, Grid.Count, task.IsDifferentiable);
        Status = new RowStatus[Options.PerRow ? (int)task.InitialState.shape[0] : 1];
    }

    /// <summary>How the solve ended, one entry, or one a row under per-row step sizes.</summary>
    public RowStatus[] Status { get; }

    /// <summary>How far the first lane came.</summary>
    public double Reached => Stepper.Time[0];

    /// <summary>Looks for events; null without any.</summary>
    public EventWatcher? Watcher { get; }

    protected IntegrationTask Task { get; }

    protected OdeSolverOptions Options { get; }

    protected TimeGrid Grid { get; }

    protected SolverStatistics Statistics { get; }

    protected StepperContext Context { get; }

    protected Stepper Stepper { get; }

    protected OutputCollector Output { get; }

    public static Integrator Create(IntegrationTask task) =>
        task.Options.Method.IsAdaptive && task.Options.StepSize is null ? new AdaptiveIntegrator(task) : new FixedStepIntegrator(task);

    /// <summary>Integrates and returns the states at the output times, <c>[times, …]</c>; they are the caller's.</summary>
    public Tensor Run()
    {
        Output.Write(0, Task.InitialState);
        if (Grid.Count > 1)
            Integrate();
        return Output.Finish();
    }

    public void Dispose()
    {
        Stepper.Dispose();
        Context.Arithmetic.Dispose();
        Context.RightHandSide.Dispose();
        Output.Dispose();
    }

    protected abstract void Integrate();

    /// <summary>The initial state as the stepper's own.</summary>
    protected Tensor CopyInitialState()
    {
        if (Task.InitialState.is_contiguous())
            return Context.Arithmetic.Copy(Task.InitialState);
        using Tensor contiguous = Task.InitialState.contiguous();
        return Context.Arithmetic.Copy(contiguous);
    }

    /// <summary>
    /// Goes to an event inside the attempted step by a step of its own, which is more exact than the interpolant, and keeps the state
    /// there.
    /// </summary>
    protected void StopAtEvent(double time)
    {
        OdeEvent item = Watcher!.Found[^1].Event;
        double start = Stepper.Time[0];
        double slope = Watcher.Slope;
        StepAttempt attempt = Stepper.Try([time]);
        double value = Watcher.Evaluate(item, time, attempt.State);
        // Newton's iteration, with the interpolant's slope first and then with secants; the place is so close that one or two corrections
        // are all it takes.
        for (int i = 0; i < 3 && value != 0 && slope != 0; i++)
        {
            double next = time - value / slope;
            if (next == time || !(Math.Abs(next - time) <= 0.01 * Math.Abs(time - start)))
                break;
            (double near, double nearValue) = (time, value);
            time = next;
            attempt = Stepper.Try([time]);
            value = Watcher.Evaluate(item, time, attempt.State);
            if (value != nearValue)
                slope = (value - nearValue) / (time - near);
        }
        Statistics.CountAccepted(attempt.Span.Size[0]);
        Watcher.Stop(time, attempt.State);
        Array.Fill(Status, RowStatus.Event);
    }

    protected void BeforeStep(double time)
    {
        _heap.AfterStep();
        Options.CancellationToken.ThrowIfCancellationRequested();
        Options.Progress?.Report(new SolverProgress(time, Grid.End, Statistics.AcceptedSteps, Statistics.FunctionEvaluations));
    }

    /// <summary>The discontinuities between the first and the last output time, in the order in which they are reached.</summary>
    protected double[] DiscontinuitiesInside() =>
        [.. Options.Discontinuities.Where(t => (t - Grid.Start) * Grid.Direction > 0 && (Grid.End - t) * Grid.Direction > 0).Distinct()
            .OrderBy(t => t * Grid.Direction)];

    /// <summary>Batch rows (at most ten) that hold a number which is not finite.</summary>
    protected static List<long> NonFiniteRows(Tensor state)
    {
        using DisposeScope scope = NewDisposeScope();
        if (state.dim() == 0)
            return [];
        Tensor bad = state.detach().isfinite().logical_not().reshape(state.shape[0], -1).any(1);
        return [.. bad.nonzero().reshape(-1).to(CPU).data<long>().ToArray().Take(10)];
    }

    protected static bool IsFinite(Tensor state)
    {
        if (Kernels.StateKernels.Supports(state) && state.is_contiguous())
            return Kernels.StateKernels.IsFinite(state);
        using DisposeScope scope = NewDisposeScope();
        return state.detach().isfinite().all().item<bool>();
    }
}

/// <summary>An initial value problem in the form the integrators take it.</summary>
/// <param name="Equation">f(t, y).</param>
/// <param name="InitialState">y at the first output time.</param>
/// <param name="Grid">The output times.</param>
/// <param name="Options">How to solve.</param>
/// <param name="Statistics">Where the cost is counted.</param>
/// <param name="IsDifferentiable">Whether the arithmetic is to be part of the graph.</param>
/// <param name="Events">Events to look for, and those at which this part of the solve begins; null for none.</param>
/// <param name="Recorder">Told of the steps and outputs; null for no one.</param>
internal sealed record IntegrationTask(
    VectorField Equation, Tensor InitialState, TimeGrid Grid, OdeSolverOptions Options, SolverStatistics Statistics, bool IsDifferentiable,
    IStepRecorder? Recorder = null, (IReadOnlyList<OdeEvent> Events, IReadOnlyList<EventStart> Starts)? Events = null)
{
    /// <summary>What is known of the steps beforehand, before the options; null for nothing.</summary>
    public StepGuess? Guess { get; init; }

    /// <summary>Steps that were tried before, in parts of the same solve, and count against <see cref="OdeSolverOptions.MaximumSteps"/>.</summary>
    public long StepsBefore { get; init; }
}

/// <summary>What a solve of a like problem tells of the steps.</summary>
/// <param name="First">A bold first step.</param>
/// <param name="Cautious">The next one, should that be rejected, unless the error asks for a smaller one.</param>
internal readonly record struct StepGuess(double First, double Cautious)
{
    /// <summary>The size behind a solve's last step, and its mean step; null without any.</summary>
    public static StepGuess? From(SolverStatistics statistics) =>
        statistics.NextStep > 0 ? new StepGuess(statistics.NextStep, statistics.StepSum / statistics.AcceptedSteps) : null;

    /// <summary>
    /// The same for the way back of a solve. Where it had steps rejected, errors do not follow the size as they should, and the mean step
    /// is bold enough.
    /// </summary>
    public static StepGuess? ForWayBack(SolverStatistics statistics) =>
        From(statistics) is { } guess && statistics.RejectedSteps > 0
            ? guess with { First = Math.Min(guess.First, guess.Cautious) } : From(statistics);
}
