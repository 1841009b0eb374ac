using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>An event that was found.</summary>
/// <param name="Event">The event.</param>
/// <param name="Time">Its time.</param>
/// <param name="Sign">The sign of its function before.</param>
internal readonly record struct FoundEvent(OdeEvent Event, double Time, int Sign);

/// <summary>An event at which a part of a solve begins: its zero there is not a new one.</summary>
/// <param name="Event">The event.</param>
/// <param name="Sign">The sign of its function before the event.</param>
/// <param name="Residual">The value of its function at the event, as near to 0 as it could be brought.</param>
internal readonly record struct EventStart(OdeEvent Event, int Sign, double Residual);

/// <summary>Looks for zeros of event functions along accepted steps. Numbers only: gradients come later.</summary>
internal sealed class EventWatcher
{
    /// <summary>Events of one step that are nearer to each other than this fraction of it may be at one time.</summary>
    private const double AtOneTime = 0.01;

    /// <summary>After so many steps whose pieces did not resolve an event function, it is looked at coarsely.</summary>
    private const int RoughSteps = 8;

    private readonly IReadOnlyList<OdeEvent> _events;
    private readonly IReadOnlyList<EventStart> _starts;
    private readonly StateArithmetic _arithmetic;
    private readonly Clock _clock;
    private readonly int[] _signs;
    private readonly int[] _rough;
    private readonly List<FoundEvent> _nearby = [];
    private double _interruption;
    private bool _first = true;

    /// <param name="events">The events.</param>
    /// <param name="starts">Those at which this part of the solve begins.</param>
    /// <param name="context">What the solve works with.</param>
    public EventWatcher(IReadOnlyList<OdeEvent> events, IReadOnlyList<EventStart> starts, StepperContext context)
    {
        _events = events;
        _starts = starts;
        _arithmetic = context.Arithmetic;
        _clock = context.Clock;
        _signs = new int[events.Count];
        _rough = new int[events.Count];
    }

    /// <summary>Events that were found, in order; the last ones, at one time, interrupt the solve if any did.</summary>
    public List<FoundEvent> Found { get; } = [];

    /// <summary>Whether sign changes may have gone unnoticed.</summary>
    public bool MayHaveMissed { get; private set; }

    /// <summary>How fast the function of the event that interrupts changes with time, on the interpolant.</summary>
    public double Slope { get; private set; }

    /// <summary>The state at the event that interrupted the solve; the caller's.</summary>
    public Tensor? FinalState { get; private set; }

    /// <summary>Searches an attempted step that will be accepted; returns the time of the first event that interrupts the solve.</summary>
    /// <exception cref="OdeSolverException">An event follows itself before anything lies in between.</exception>
    public double? Inspect(Stepper stepper, StepAttempt attempt)
    {
        double start = attempt.Span.Start[0];
        double size = attempt.Span.Size[0];
        var found = new List<(FoundEvent Event, double Place)>();
        for (int i = 0; i < _events.Count; i++)
        {
            OdeEvent item = _events[i];
            double Value(double sigma) => Evaluate(item, stepper, attempt, start + sigma * size, sigma);
            double first = Value(0);
            double Noise() =>
                this.Noise(item, attempt.Span.End[0], attempt.State)
                    + Math.Abs((Value(1) - first) / size) * TimePrecision.Spacing(start, ScalarType.Float64);
            Func<double, double> value = Value;
            // A function that was too rough in several steps will not become smooth.
            int pieces = _rough[i] < RoughSteps ? SignChanges.MostPieces : 1;
            SignChanges.Result changes;
            var departure = new EventDeparture(start, size, TimePrecision.Spacing(start, _clock.Type), Value);
            if (Speed(item, departure, stepper, attempt) is { } speed)
            {
                value = departure.Deflated(speed);
                changes = SignChanges.Find(value, speed, Math.Sign(speed), () => 100 * Noise(), pieces);
                if (item.Interrupts && changes.Brackets.Count > 0 && Counts(item, changes.Brackets[0].Sign))
                    departure.CheckHop(SignChanges.Root(value, changes.Brackets[0]), this.Noise(item, start, stepper.State));
            }
            else
            {
                changes = SignChanges.Find(Value, first, _signs[i], Noise, pieces);
            }
            _signs[i] = changes.Sign;
            MayHaveMissed |= !changes.IsComplete;
            _rough[i] += changes.IsComplete ? 0 : 1;
            foreach (SignChanges.Bracket bracket in changes.Brackets)
            {
                if (!Counts(item, bracket.Sign))
                    continue;
                double sigma = SignChanges.Root(value, bracket);
                found.Add((new FoundEvent(item, sigma == 1 ? attempt.Span.End[0] : start + sigma * size, bracket.Sign), sigma));
            }
        }
        _first = false;
        // A stable sort: events at one time stay in their order.
        found = [.. found.OrderBy(entry => entry.Event.Time * Math.Sign(size))];
        for (int i = 0; i < found.Count; i++)
        {
            (FoundEvent entry, double place) = found[i];
            Found.Add(entry);
            if (!entry.Event.Interrupts)
                continue;
            _interruption = entry.Time;
            _nearby.AddRange(found.Skip(i + 1).Where(other => other.Place - place <= AtOneTime).Select(other => other.Event));
            double before = place * (1 - AtOneTime);
            double reach = (place - before) * size;
            Slope = reach == 0
                ? 0
                : (Evaluate(entry.Event, stepper, attempt, entry.Time, place)
                    - Evaluate(entry.Event, stepper, attempt, start + before * size, before)) / reach;
            return entry.Time;
        }
        return null;
    }

    /// <summary>The event that interrupts the solve was found more exactly; so were those that happen by then.</summary>
    public void Stop(double time, Tensor state)
    {
        FinalState = state.clone().DetachFromDisposeScope();
        int direction = _clock.Direction;
        for (int i = 0; i < Found.Count; i++)
            if (i == Found.Count - 1 || (Found[i].Time - time) * direction > 0)
                Found[i] = Found[i] with { Time = time };
        foreach (FoundEvent other in _nearby)
        {
            bool isAtOnce = Math.Abs(other.Time - _interruption) <= EventDeparture.AtOnce * TimePrecision.Spacing(time, _clock.Type);
            if ((isAtOnce || Math.Sign(Evaluate(other.Event, time, state)) != other.Sign)
                && !Found.Exists(entry => entry.Event == other.Event && entry.Time == time))
                Found.Add(other with { Time = time });
        }
        // Those that interrupt stand last.
        var atEnd = Found.Where(entry => entry.Time == time).OrderBy(entry => entry.Event.Interrupts).ToList();
        Found.RemoveAll(entry => entry.Time == time);
        Found.AddRange(atEnd);
    }

    /// <summary>g at a time and state, as a number.</summary>
    /// <exception cref="InvalidOperationException">The function returned something else than a number.</exception>
    public double Evaluate(OdeEvent item, double time, Tensor state)
    {
        using DisposeScope scope = NewDisposeScope();
        double value = item.Evaluate(_clock.Tensor([time]), state).ToDouble();
        if (!double.IsNaN(value))
            return double.IsInfinity(value) ? Math.Sign(value) * 1e300 : value;
        if (!state.isfinite().all().item<bool>())
            throw new OdeSolverException(SolverFailure.NonFinite, time, 0, double.NaN, [], "An event function was to be looked at there.");
        throw new InvalidOperationException(string.Create(
            System.Globalization.CultureInfo.InvariantCulture,
            $"An event function returned NaN at t = {time:G10}; it must return a number wherever the state is finite."));
    }

    // Rising and falling are meant in the direction of the solve.
    private static bool Counts(OdeEvent item, int before) =>
        item.Direction == EventDirection.Both || (before < 0) == (item.Direction == EventDirection.Rising);

    /// <summary>How fast g leaves its zero at the start of this part of the solve; null where it does not begin at such a zero.</summary>
    private double? Speed(OdeEvent item, EventDeparture departure, Stepper stepper, StepAttempt attempt)
    {
        if (!_first || _starts.FirstOrDefault(entry => entry.Event == item) is not { Event: not null } origin)
            return null;
        double start = attempt.Span.Start[0], size = attempt.Span.Size[0];
        Tensor slope = stepper.Derivative();
        return departure.Speed(origin.Sign, origin.Residual, Noise(item, start, stepper.State), item.Interrupts, sigma =>
        {
            using Tensor step = slope.Times(sigma * size);
            using Tensor moved = stepper.State.Plus(step);
            return Evaluate(item, start + sigma * size, moved);
        });
    }

    /// <summary>By how much rounding of time and state moves g.</summary>
    private double Noise(OdeEvent item, double time, Tensor state)
    {
        using DisposeScope scope = NewDisposeScope();
        double epsilon = 2 * TimePrecision.Spacing(1, _clock.Type);
        Tensor detached = state.detach();
        // Not all components the same way, or differences would hide it.
        Tensor pattern = Numbers.Range(detached.numel(), ScalarType.Float64, detached.device)
            .Times(2.4).Plus(1).cos().Times(epsilon).Plus(1);
        Tensor moved = (detached.to(ScalarType.Float64) * pattern.reshape(detached.shape)).to(detached.dtype);
        double value = Evaluate(item, time, detached);
        double other = time + _clock.Direction * TimePrecision.Spacing(time, _clock.Type);
        return Math.Abs(Evaluate(item, time, moved) - value) + Math.Abs(Evaluate(item, other, detached) - value);
    }

    private double Evaluate(OdeEvent item, Stepper stepper, StepAttempt attempt, double time, double sigma)
    {
        if (sigma == 0)
            return Evaluate(item, attempt.Span.Start[0], stepper.State);
        if (sigma == 1)
            return Evaluate(item, attempt.Span.End[0], attempt.State);
        Tensor state = stepper.Interpolate([time]);
        double value = Evaluate(item, time, state);
        _arithmetic.Release(state);
        return value;
    }
}
