using System.Globalization;
using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>Looks for zeros of event functions along accepted steps, by the search of the tensors' solver.</summary>
internal sealed unsafe class NativeEventWatcher
{
    /// <summary>After so many steps whose pieces did not resolve an event function, it is looked at coarsely.</summary>
    private const int RoughSteps = 8;

    /// <summary>Events of one step that are nearer to each other than this fraction of it may be at one time.</summary>
    private const double AtOneTime = 0.01;

    private readonly IReadOnlyList<NativeOdeEvent> _events;
    private readonly NativeSystem _system;
    private readonly double* _state;
    private readonly double* _moved;
    private readonly double* _next;
    private readonly int[] _signs;
    private readonly int[] _rough;
    private readonly ResetTimes _resets;
    private readonly List<Passage> _nearby = [];
    private Passage _interruption;
    private int _recordedBefore;
    private double _begin;

    /// <summary>The passages at which the solve went on afresh, and the values of their functions there; null behind its first
    /// step.</summary>
    private List<(Passage Passage, double Residual)>? _starts;

    public NativeEventWatcher(IReadOnlyList<NativeOdeEvent> events, NativeSystem system)
    {
        _events = events;
        _system = system;
        _state = system.Take(system.Size);
        _moved = system.Take(system.Size);
        _next = system.Take(system.Size);
        _signs = new int[events.Count];
        _rough = new int[events.Count];
        _resets = new ResetTimes(events.Count);
        _begin = system.Grid.Start;
    }

    /// <summary>The events that happened.</summary>
    public List<NativeOdeOccurrence> Occurrences { get; } = [];

    /// <summary>Whether sign changes may have gone unnoticed.</summary>
    public bool MayHaveMissed { get; private set; }

    /// <summary>Searches an attempted step that will be accepted; returns the time of the first event that interrupts the solve.</summary>
    public double? Inspect(NativeStepper stepper, NativeAttempt attempt)
    {
        var found = new List<Passage>();
        for (int i = 0; i < _events.Count; i++)
            Search(i, stepper, attempt.Span, found);
        _starts = null;
        _recordedBefore = Occurrences.Count;
        found = [.. found.OrderBy(passage => passage.Time * Math.Sign(attempt.Span.Size))];
        for (int i = 0; i < found.Count; i++)
        {
            Passage passage = found[i];
            if (_events[passage.Event].Interrupts)
            {
                _interruption = passage;
                _nearby.Clear();
                _nearby.AddRange(found.Skip(i + 1).Where(other =>
                    Math.Abs(other.Time - passage.Time) <= AtOneTime * Math.Abs(attempt.Span.Size)));
                return passage.Time;
            }
            Record(passage.Event, passage.Time, Place(stepper, attempt.Span, passage.Time));
        }
        return null;
    }

    /// <summary>
    /// Makes the step that ends at the event, which is more exact than the interpolant: secants, of which one or two are all it takes.
    /// </summary>
    public NativeAttempt Approach(NativeStepper stepper, double time)
    {
        NativeOdeEvent item = _events[_interruption.Event];
        double start = stepper.Time;
        double before = time - 0.01 * (time - start);
        double beforeValue = Evaluate(item, before, Place(stepper, new NativeSpan(start, time), before));
        NativeAttempt attempt = stepper.Try(time);
        double value = Evaluate(item, time, stepper.Next);
        for (int i = 0; i < 3 && value != 0 && value != beforeValue; i++)
        {
            double next = time - value * (time - before) / (value - beforeValue);
            if (next == time || !(Math.Abs(next - time) <= 0.01 * Math.Abs(time - start)))
                break;
            (before, beforeValue, time) = (time, value, next);
            attempt = stepper.Try(time);
            value = Evaluate(item, time, stepper.Next);
        }
        return attempt;
    }

    /// <summary>
    /// The event that interrupts the solve was found more exactly. Returns the state with which the solve goes on; null where it ends.
    /// </summary>
    /// <param name="time">Where it was found.</param>
    /// <param name="state">The state there.</param>
    /// <exception cref="OdeSolverException">Events follow each other too fast.</exception>
    public double* Stop(double time, double* state)
    {
        for (int i = _recordedBefore; i < Occurrences.Count; i++)
            if ((Occurrences[i].Time - time) * _system.Grid.Direction > 0)
                Occurrences[i] = Occurrences[i] with { Time = time, State = Copy(state) };
        Passage[] atOnce = [_interruption, .. _nearby.Where(other => other.Event != _interruption.Event && IsAtOnce(other, time, state))];
        // In the order in which the events are given, those that interrupt behind the others.
        atOnce = [.. atOnce.OrderBy(passage => _events[passage.Event].Interrupts).ThenBy(passage => passage.Event)];
        foreach (Passage passage in atOnce)
            Record(passage.Event, time, state);
        if (atOnce.Any(passage => _events[passage.Event].IsTerminal))
            return null;
        if (_resets.Add(time, _begin) is { } failure)
            throw failure;
        _begin = time;
        // What was only recorded here is not to be recorded again either.
        _starts = [.. atOnce.Select(passage => (passage, Evaluate(_events[passage.Event], time, state)))];
        Array.Clear(_signs);
        Array.Clear(_rough);
        NativeSystem.Copy(state, _next, _system.Size);
        foreach (Passage passage in atOnce.Where(passage => _events[passage.Event].Interrupts))
        {
            NativeSystem.Copy(_next, _state, _system.Size);
            _events[passage.Event].Reset!(
                time, new ReadOnlySpan<double>(_state, _system.Size), new Span<double>(_next, _system.Size));
        }
        return _next;
    }

    private void Record(int index, double time, double* state) =>
        Occurrences.Add(new NativeOdeOccurrence(_events[index], time, Copy(state)));

    /// <summary>Whether another event of the step happens at the time of the one that interrupts it.</summary>
    private bool IsAtOnce(Passage other, double time, double* state) =>
        Math.Abs(other.Time - _interruption.Time) <= EventDeparture.AtOnce * TimePrecision.Spacing(time, ScalarType.Float64)
        || Math.Sign(Evaluate(_events[other.Event], time, state)) != other.Sign;

    private void Search(int index, NativeStepper stepper, NativeSpan span, List<Passage> found)
    {
        NativeOdeEvent item = _events[index];
        double Value(double place) => Evaluate(item, At(place), Place(stepper, span, At(place)));
        double At(double place) => place == 0 ? span.Start : place == 1 ? span.End : span.Start + place * span.Size;
        double EndNoise() => Noise(item, span.End, stepper.Next);
        // A function that was too rough in several steps will not become smooth.
        int pieces = _rough[index] < RoughSteps ? SignChanges.MostPieces : 1;
        Func<double, double> value = Value;
        SignChanges.Result changes;
        var departure = new EventDeparture(span.Start, span.Size, TimePrecision.Spacing(span.Start, ScalarType.Float64), Value);
        if (Speed(index, departure, stepper, span) is { } speed)
        {
            value = departure.Deflated(speed);
            changes = SignChanges.Find(value, speed, Math.Sign(speed), () => 100 * EndNoise(), pieces);
            if (item.Interrupts && changes.Brackets.Count > 0 && Counts(item, changes.Brackets[0]))
                departure.CheckHop(SignChanges.Root(value, changes.Brackets[0]), Noise(item, span.Start, stepper.State));
        }
        else
        {
            changes = SignChanges.Find(Value, Value(0), _signs[index], EndNoise, pieces);
        }
        _signs[index] = changes.Sign;
        MayHaveMissed |= !changes.IsComplete;
        _rough[index] += changes.IsComplete ? 0 : 1;
        foreach (SignChanges.Bracket bracket in changes.Brackets)
            if (Counts(item, bracket))
                found.Add(new Passage(index, At(SignChanges.Root(value, bracket)), bracket.Sign));
    }

    /// <summary>Rising and falling are meant in the direction of the solve.</summary>
    private static bool Counts(NativeOdeEvent item, SignChanges.Bracket bracket) =>
        item.Direction == EventDirection.Both || (bracket.Sign < 0) == (item.Direction == EventDirection.Rising);

    /// <summary>How fast a function leaves the zero at which the solve went on; null where it did not begin at one.</summary>
    private double? Speed(int index, EventDeparture departure, NativeStepper stepper, NativeSpan span)
    {
        int place = _starts?.FindIndex(entry => entry.Passage.Event == index) ?? -1;
        if (place < 0)
            return null;
        (Passage origin, double residual) = _starts![place];
        return departure.Speed(origin.Sign, residual, Noise(_events[index], span.Start, stepper.State), _events[index].Interrupts, sigma =>
        {
            double* slope = stepper.Derivative();
            for (int i = 0; i < _system.Size; i++)
                _moved[i] = stepper.State[i] + sigma * span.Size * slope[i];
            return Evaluate(_events[index], span.Start + sigma * span.Size, _moved);
        });
    }

    /// <summary>The state at a time of the attempted step.</summary>
    private double* Place(NativeStepper stepper, NativeSpan span, double time)
    {
        if (time == span.Start)
            return stepper.State;
        if (time == span.End)
            return stepper.Next;
        stepper.Interpolate(time, _state);
        return _state;
    }

    /// <summary>By how much rounding of time and state moves g.</summary>
    private double Noise(NativeOdeEvent item, double time, double* state)
    {
        double value = Evaluate(item, time, state);
        // Not all components the same way, or differences would hide it.
        for (int i = 0; i < _system.Size; i++)
            _state[i] = state[i] * (1 + Math.ScaleB(1, -51) * Math.Cos(2.4 * i + 1));
        double other = time + _system.Grid.Direction * TimePrecision.Spacing(time, ScalarType.Float64);
        return Math.Abs(Evaluate(item, time, _state) - value) + Math.Abs(Evaluate(item, other, state) - value);
    }

    private double Evaluate(NativeOdeEvent item, double time, double* state)
    {
        double value = item.Function(time, new ReadOnlySpan<double>(state, _system.Size));
        if (!double.IsNaN(value))
            return double.IsInfinity(value) ? Math.Sign(value) * 1e300 : value;
        if (!_system.IsFinite(state))
            throw new OdeSolverException(SolverFailure.NonFinite, time, 0, double.NaN, [], "An event function was to be looked at there.");
        throw new InvalidOperationException(string.Create(
            CultureInfo.InvariantCulture,
            $"An event function returned NaN at t = {time:G10}; it must return a number wherever the state is finite."));
    }

    private double[] Copy(double* state) => new ReadOnlySpan<double>(state, _system.Size).ToArray();

    /// <summary>A zero that an event's function passed.</summary>
    /// <param name="Event">The place of the event.</param>
    /// <param name="Time">When.</param>
    /// <param name="Sign">The sign of its function before.</param>
    private readonly record struct Passage(int Event, double Time, int Sign);
}
