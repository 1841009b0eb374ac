using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>A solve with events: ordinary solves from one event that resets the state to the next, joined.</summary>
/// <remarks>
/// An event's time t* is found without a graph. The part of the solve up to t* is then an ordinary differentiable solve that ends at the
/// constant t*, and one Newton correction in the graph, t = t* − (g − |g|) / ġ with |·| held constant, gives t its derivatives; the state
/// moves along with slope f. (The implicit function theorem; R. T. Q. Chen, B. Amos, M. Nickel, Learning Neural Event Functions, 2021.)
/// </remarks>
internal sealed class EventSolve
{
    private const string NoDerivative =
        "The time of an event has no derivatives, because its function has none there: it compares, rounds, detaches or reaches zero " +
        "without slope. Write it as a differentiable distance from the threshold, " +
        "or detach the event's time and state if they are not to be differentiated.";

    private readonly OdeProblem _problem;
    private readonly bool _withGradient;
    private readonly bool _returnsPartial;
    private readonly SolverStatistics _statistics;
    private readonly DisposeScope _scope;
    private readonly Tensor?[] _states;
    private readonly List<OdeEventOccurrence> _occurrences = [];
    private readonly ResetTimes _resets;
    private bool _mayHaveMissed;
    private long _steps;

    /// <param name="problem">The problem.</param>
    /// <param name="withGradient">Whether derivatives are wanted.</param>
    /// <param name="scope">The current scope; what the solution does not need ends with it.</param>
    /// <param name="returnsPartial">Whether a solve that fails returns as far as it came, like a row of a batch whose rows have their own
    /// steps.</param>
    public EventSolve(OdeProblem problem, bool withGradient, DisposeScope scope, bool returnsPartial = false)
    {
        _statistics = problem.Statistics;
        _scope = scope;
        _problem = problem;
        _withGradient = withGradient;
        _returnsPartial = returnsPartial;
        _states = new Tensor?[problem.Grid.Count];
        _resets = new ResetTimes(problem.Options.Events.Count);
    }

    public OdeSolution Run()
    {
        double[] times = _problem.Grid.Values;
        Tensor state = _problem.InitialState;
        Tensor? start = _problem.TimesRequireGradient ? _problem.Times![0] : null;
        double from = times[0];
        int next = 1;
        IReadOnlyList<EventStart> starts = [];
        RowStatus status = RowStatus.Completed;
        _states[0] = state;
        while (next < times.Length)
        {
            // However few steps lie between two events, all together are limited.
            if (_steps >= _problem.Options.MaximumSteps)
            {
                if (_problem.Options.OnStepLimit == StepLimitBehavior.Throw)
                    throw new OdeSolverException(SolverFailure.StepLimit, from, 0, double.NaN, [],
                        $"MaximumSteps is {_problem.Options.MaximumSteps}, and {_occurrences.Count} events happened.");
                status = RowStatus.StepLimit;
                break;
            }
            Stretch stretch = Find(state, from, times[next..], starts);
            double end = stretch.Status == RowStatus.Event ? stretch.Found[^1].Time : stretch.End;
            next = SolvePart(state, start, from, end, next, stretch);
            status = stretch.Status;
            if (status != RowStatus.Event)
                break;
            FoundEvent[] last = [.. stretch.Found.Where(found => found.Time == end && found.Event.Interrupts)];
            if (last.Any(found => found.Event.IsTerminal))
                break;
            if (_resets.Add(end, from) is { } failure)
            {
                status = Returned(failure) ?? throw failure;
                break;
            }
            List<OdeEventOccurrence> occurred = _occurrences[^last.Length..];
            state = occurred.Aggregate(occurred[0].State, (current, occurrence) => occurrence.Event.Apply(occurrence.Time, current));
            start = _withGradient ? occurred[^1].Time : null;
            from = end;
            starts = [.. stretch.Found.Where(found => found.Time == end)
                .Select(found => new EventStart(found.Event, found.Sign, stretch.Residuals[found.Event]))];
            status = RowStatus.Completed;
        }
        Tensor missing = full_like(_problem.InitialState.detach(), Numbers.NaN);
        Tensor all = stack(Array.ConvertAll(_states, s => s ?? missing));
        foreach (OdeEventOccurrence occurrence in _occurrences)
        {
            occurrence.Time.MoveToOuterDisposeScope();
            occurrence.State.MoveToOuterDisposeScope();
        }
        return new OdeSolution(all.DetachFromDisposeScope(), _statistics, [status], _occurrences) { EventsMayBeMissed = _mayHaveMissed };
    }

    /// <summary>What is known of the solve from one interruption to the next.</summary>
    /// <param name="Found">The events.</param>
    /// <param name="Status">How it ended.</param>
    /// <param name="End">The time that was reached where no event interrupted it.</param>
    /// <param name="Residuals">What the functions of the events at its end are there.</param>
    /// <param name="Reached">How many output times were reached; those at the interruption among them.</param>
    private sealed record Stretch(
        List<FoundEvent> Found, RowStatus Status, double End, Dictionary<OdeEvent, double> Residuals, int Reached);

    /// <summary>Looks for events from a time on, without a graph, up to the first that interrupts the solve.</summary>
    private Stretch Find(Tensor state, double from, double[] outputs, IReadOnlyList<EventStart> starts)
    {
        using IDisposable noGrad = no_grad();
        // The part is solved again: what evaluations draw and count is to be that of one solve.
        using Undisturbed? undisturbed = _problem.Equation.IsComplete ? null : new Undisturbed(_problem.Equation);
        using Tensor initial = state.detach();
        var task = new IntegrationTask(
            _problem.Equation, initial, TimeGrid.Of([from, .. outputs]), _problem.Options with { Events = [] }, _statistics,
            IsDifferentiable: false, Events: (_problem.Options.Events, starts))
        {
            StepsBefore = _steps,
        };
        using var integrator = Integrator.Create(task);
        EventWatcher watcher = integrator.Watcher!;
        RowStatus status;
        double end = outputs[^1];
        long before = Steps;
        try
        {
            integrator.Run().Dispose();
            status = integrator.Status[0];
            if (status == RowStatus.StepLimit)
                end = integrator.Reached;
        }
        catch (OdeSolverException failure) when (Returned(failure) is not null)
        {
            status = Returned(failure)!.Value;
            end = failure.Time;
        }
        _steps += Steps - before;
        _mayHaveMissed |= watcher.MayHaveMissed;
        using Tensor? final = watcher.FinalState;
        var residuals = new Dictionary<OdeEvent, double>();
        int direction = _problem.Grid.Direction;
        if (status == RowStatus.Event)
        {
            end = watcher.Found[^1].Time;
            foreach (FoundEvent found in watcher.Found.Where(found => found.Time == end))
                residuals[found.Event] = watcher.Evaluate(found.Event, end, final!);
        }
        int reached = outputs.Count(time => (end - time) * direction >= 0);
        // Rounding must not decide whether an output at the event's time is reached.
        if (status == RowStatus.Event && reached < outputs.Length
            && IsAtOnce(end, outputs[reached], reached == 0 ? from : outputs[reached - 1], final!, watcher.Found[^1]))
            reached++;
        return new Stretch(watcher.Found, status, end, residuals, reached);
    }

    /// <summary>
    /// Whether an output time behind an event is the event's time: within rounding, or, where the solve ends there, so near that the state
    /// moves by less than its tolerance.
    /// </summary>
    private bool IsAtOnce(double time, double output, double before, Tensor state, FoundEvent found)
    {
        double distance = Math.Abs(output - time);
        if (distance <= 8 * TimePrecision.Spacing(time, state.dtype))
            return true;
        if (!found.Event.IsTerminal || distance > 1e-3 * Math.Abs(output - before))
            return false;
        using DisposeScope scope = NewDisposeScope();
        _statistics.FunctionEvaluations++;
        Tensor slope = RightHandSide.Own(_problem.Equation, tensor(time, state.dtype, state.device), state);
        OdeSolverOptions options = _problem.Options;
        return StateArithmetic.Ratio(slope.Times(distance), state, state, options).abs().le(Numbers.One).all().item<bool>();
    }

    /// <summary>How a solve that failed is returned; null where it is not.</summary>
    private RowStatus? Returned(OdeSolverException failure) => failure.Failure switch
    {
        SolverFailure.EventAccumulation when _returnsPartial || _problem.Options.OnStepLimit == StepLimitBehavior.ReturnPartial =>
            RowStatus.EventAccumulation,
        SolverFailure.NonFinite when _returnsPartial => RowStatus.NonFinite,
        SolverFailure.StepSizeUnderflow or SolverFailure.Newton when _returnsPartial => RowStatus.StepSizeUnderflow,
        _ => null,
    };

    /// <summary>
    /// Solves from event to event at the output times and event times between, and returns the index of the next output time.
    /// </summary>
    private int SolvePart(Tensor state, Tensor? start, double from, double end, int next, Stretch stretch)
    {
        int direction = _problem.Grid.Direction;
        int stop = next + stretch.Reached;
        double[] outputs =
            [.. Enumerable.Range(next, stretch.Reached).Select(i => _problem.Grid.Values[i]).Where(time => (end - time) * direction >= 0)];
        // A solve that failed, or ended at the step limit, is made again up to the last output and event only.
        IEnumerable<double> last = stretch.Status is RowStatus.Event or RowStatus.Completed ? [end] : [];
        double[] values = [from, .. outputs.Concat(stretch.Found.Select(found => found.Time)).Concat(last)
            .Where(t => t != from).Distinct().OrderBy(t => t * direction)];
        OdeSolution part = (_problem with
        {
            InitialState = state,
            Times = Times(values, start, next, next + outputs.Length),
            Grid = TimeGrid.Of(values),
            Options = _problem.Options with { Events = [] },
        })
            .Solve(_withGradient);
        _scope.Attach(part.States);
        Tensor At(double time) => part.States[Array.IndexOf(values, time)];
        for (int i = next; i < stop; i++)
            _states[i] = At(i - next < outputs.Length ? _problem.Grid.Values[i] : end);
        foreach (FoundEvent found in stretch.Found)
            _occurrences.Add(Occurrence(found.Event, found.Time, At(found.Time)));
        return stop;
    }

    /// <summary>
    /// The times of a part as a tensor, where they carry gradients: its start and the output times in it do, event times do not.
    /// </summary>
    private Tensor? Times(double[] values, Tensor? start, int next, int stop)
    {
        if (start is null && !_problem.TimesRequireGradient)
            return null;
        Tensor[] parts = Array.ConvertAll(values, value => tensor(value, ScalarType.Float64, _problem.InitialState.device));
        if (start is not null)
            parts[0] = start.to(ScalarType.Float64);
        for (int i = next; _problem.TimesRequireGradient && i < stop; i++)
            parts[Array.IndexOf(values, _problem.Grid.Values[i])] = _problem.Times![i].to(ScalarType.Float64);
        return stack(parts);
    }

    /// <summary>Time and state of an event with their derivatives.</summary>
    private OdeEventOccurrence Occurrence(OdeEvent item, double time, Tensor state)
    {
        Tensor t = tensor(time, state.dtype, state.device);
        if (!_withGradient)
            return new OdeEventOccurrence(item, t, state);
        using Tensor slope = RightHandSide.Own(_problem.Equation, t, state.detach());
        if (Rate(item, t, state, slope) is not { } rate)
        {
            Tensor still = Undifferentiable.Of(t, state, NoDerivative);
            return new OdeEventOccurrence(item, still, state.Plus(slope.detach() * (still - t)));
        }
        Tensor value = item.Evaluate(t, state);
        Tensor moving = t - (value - value.detach()) / rate;
        return new OdeEventOccurrence(item, moving, state.Plus(slope.detach() * (moving - t)));
    }

    /// <summary>ġ = ∂g/∂t + ∂g/∂y f; null where g has no derivatives, or they cancel.</summary>
    private static Tensor? Rate(OdeEvent item, Tensor time, Tensor state, Tensor slope)
    {
        using IDisposable grad = enable_grad();
        Tensor t = time.detach().requires_grad_();
        Tensor y = state.detach().requires_grad_();
        Tensor value = item.Evaluate(t, y);
        Tensor?[] derivatives = Autograd.PullSum("an event function", value, [t, y]);
        Tensor rate = zeros_like(time);
        if (derivatives[0] is { } byTime)
            rate = rate.Plus(byTime);
        if (derivatives[1] is { } byState)
            rate = rate.Plus((byState * slope).sum());
        return rate.ToDouble() == 0 ? null : rate.detach();
    }

    private long Steps => _statistics.AcceptedSteps + _statistics.RejectedSteps;
}
