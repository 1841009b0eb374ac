using Microsoft.ML.NeuralOde.Gradients;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>A solve with events: ordinary solves from one event that resets the state to the next, joined.</summary>
/// <remarks>
/// An event's time t* is found without a graph. The part of the solve up to t* is then an ordinary differentiable solve that ends at the
/// constant t*, and one Newton correction in the graph, t = t* − (g − |g|) / ġ with |·| held constant, gives t its derivatives; the state moves
/// along with slope f. (The implicit function theorem; R. T. Q. Chen, B. Amos, M. Nickel, Learning Neural Event Functions, 2021.)
/// </remarks>
internal sealed class EventSolve
{
    private const string NoDerivative =
        "The time of an event has no derivatives, because its function has none there: it compares, rounds, detaches or reaches zero without slope. Write it as a " +
        "differentiable distance from the threshold, or detach the event's time and state if they are not to be differentiated.";

    private readonly OdeProblem _problem;
    private readonly bool _withGradient;
    private readonly SolverStatistics _statistics;
    private readonly DisposeScope _scope;
    private readonly Tensor?[] _states;
    private readonly List<OdeEventOccurrence> _occurrences = [];

    /// <param name="problem">The problem.</param>
    /// <param name="withGradient">Whether derivatives are wanted.</param>
    /// <param name="scope">The current scope; what the solution does not need ends with it.</param>
    public EventSolve(OdeProblem problem, bool withGradient, DisposeScope scope)
    {
        _statistics = problem.Statistics;
        _scope = scope;
        _problem = problem;
        _withGradient = withGradient;
        _states = new Tensor?[problem.Grid.Count];
    }

    public OdeSolution Run()
    {
        double[] times = _problem.Grid.Values;
        Tensor state = _problem.InitialState;
        Tensor? start = _problem.TimesRequireGradient ? _problem.Times![0] : null;
        double from = times[0];
        int next = 1;
        OdeEvent? atStart = null;
        RowStatus status = RowStatus.Completed;
        _states[0] = state;
        while (next < times.Length)
        {
            (List<(OdeEvent Event, double Time)> found, RowStatus reached) = Find(state, from, times[next..], atStart);
            OdeEvent? last = reached == RowStatus.Event ? found[^1].Event : null;
            double end = last is null ? times[^1] : found[^1].Time;
            next = SolvePart(state, start, from, end, next, found, last);
            status = reached;
            if (last?.Reset is null)
                break;
            OdeEventOccurrence occurrence = _occurrences[^1];
            state = Reset(last, occurrence);
            start = _withGradient ? occurrence.Time : null;
            from = end;
            atStart = last;
            status = RowStatus.Completed;
        }
        Tensor missing = full_like(_problem.InitialState.detach(), Numbers.NaN);
        Tensor all = stack(Array.ConvertAll(_states, s => s ?? missing));
        foreach (OdeEventOccurrence occurrence in _occurrences)
        {
            occurrence.Time.MoveToOuterDisposeScope();
            occurrence.State.MoveToOuterDisposeScope();
        }
        return new OdeSolution(all.DetachFromDisposeScope(), _statistics, [status], _occurrences);
    }

    private static Tensor Reset(OdeEvent item, OdeEventOccurrence occurrence)
    {
        Tensor state = item.Reset!(occurrence.Time, occurrence.State)
            ?? throw new InvalidOperationException("An event's reset returned null; it must return the state to go on with.");
        if (!state.shape.AsSpan().SequenceEqual(occurrence.State.shape) || state.dtype != occurrence.State.dtype)
            throw new InvalidOperationException(
                $"An event's reset returned {RightHandSide.Describe(state)} for a state of {RightHandSide.Describe(occurrence.State)}; both must have the same shape and type.");
        return state;
    }

    /// <summary>Looks for events from a time on, without a graph, up to the first that interrupts the solve.</summary>
    private (List<(OdeEvent Event, double Time)> Found, RowStatus Status) Find(Tensor state, double from, double[] outputs, OdeEvent? atStart)
    {
        using IDisposable noGrad = no_grad();
        using Tensor initial = state.detach();
        var task = new IntegrationTask(
            _problem.Function, initial, TimeGrid.Of([from, .. outputs]), Remaining(), _statistics, IsDifferentiable: false, Events: (_problem.Options.Events, atStart));
        using var integrator = Integrator.Create(task);
        integrator.Run().Dispose();
        integrator.Watcher!.FinalState?.Dispose();
        return (integrator.Watcher.Found, integrator.Status[0]);
    }

    /// <summary>Solves from event to event at the output times and event times between, and returns the index of the next output time.</summary>
    private int SolvePart(Tensor state, Tensor? start, double from, double end, int next, List<(OdeEvent Event, double Time)> found, OdeEvent? last)
    {
        int direction = _problem.Grid.Direction;
        int stop = next;
        while (stop < _problem.Grid.Count && (end - _problem.Grid.Values[stop]) * direction >= 0)
            stop++;
        double[] values = [from, .. Enumerable.Range(next, stop - next).Select(i => _problem.Grid.Values[i]).Concat(found.Select(f => f.Time)).Append(end)
            .Where(t => t != from).Distinct().OrderBy(t => t * direction)];
        OdeSolution part = (_problem with { InitialState = state, Times = Times(values, start, next, stop), Grid = TimeGrid.Of(values), Options = Remaining() })
            .Solve(_withGradient);
        _scope.Attach(part.States);
        Tensor At(double time) => part.States[Array.IndexOf(values, time)];
        for (int i = next; i < stop; i++)
            _states[i] = At(_problem.Grid.Values[i]);
        foreach ((OdeEvent item, double time) in found)
            _occurrences.Add(Occurrence(item, time, At(time)));
        return stop;
    }

    /// <summary>The times of a part as a tensor, where they carry gradients: its start and the output times in it do, event times do not.</summary>
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
        using Tensor slope = RightHandSide.Own(_problem.Function, t, state.detach());
        if (Rate(item, t, state, slope) is not { } rate)
        {
            Tensor still = Undifferentiable.Of(t, state, NoDerivative);
            return new OdeEventOccurrence(item, still, state.Plus(slope.detach() * (still - t)));
        }
        Tensor value = item.Function(t, state).reshape([]);
        Tensor moving = t - (value - value.detach()) / rate;
        return new OdeEventOccurrence(item, moving, state.Plus(slope.detach() * (moving - t)));
    }

    /// <summary>ġ = ∂g/∂t + ∂g/∂y f; null where g has no derivatives, or they cancel.</summary>
    private static Tensor? Rate(OdeEvent item, Tensor time, Tensor state, Tensor slope)
    {
        using IDisposable grad = enable_grad();
        Tensor t = time.detach().requires_grad_();
        Tensor y = state.detach().requires_grad_();
        Tensor value = item.Function(t, y);
        Tensor?[] derivatives = Autograd.PullSum("an event function", value, [t, y]);
        Tensor rate = zeros_like(time);
        if (derivatives[0] is { } byTime)
            rate = rate.Plus(byTime);
        if (derivatives[1] is { } byState)
            rate = rate.Plus((byState * slope).sum());
        return rate.ToDouble() == 0 ? null : rate.detach();
    }

    private OdeSolverOptions Remaining()
    {
        long used = _statistics.AcceptedSteps + _statistics.RejectedSteps;
        return _problem.Options with { MaximumSteps = Math.Max(1, _problem.Options.MaximumSteps - used), Events = [] };
    }
}
