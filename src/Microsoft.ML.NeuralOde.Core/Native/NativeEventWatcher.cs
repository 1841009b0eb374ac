using System.Globalization;
using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Native;

/// <summary>Looks for zeros of event functions along accepted steps, by the search of the tensors' solver.</summary>
internal sealed unsafe class NativeEventWatcher
{
    /// <summary>After so many steps whose pieces did not resolve an event function, it is looked at coarsely.</summary>
    private const int RoughSteps = 8;

    private readonly IReadOnlyList<NativeOdeEvent> _events;
    private readonly NativeSystem _system;
    private readonly double* _state;
    private readonly int[] _signs;
    private readonly int[] _rough;
    private NativeOdeEvent? _ending;

    public NativeEventWatcher(IReadOnlyList<NativeOdeEvent> events, NativeSystem system)
    {
        _events = events;
        _system = system;
        _state = system.Take(system.Size);
        _signs = new int[events.Count];
        _rough = new int[events.Count];
    }

    /// <summary>The events that happened.</summary>
    public List<NativeOdeOccurrence> Occurrences { get; } = [];

    /// <summary>Whether sign changes may have gone unnoticed.</summary>
    public bool MayHaveMissed { get; private set; }

    /// <summary>Searches an attempted step that will be accepted; returns the time of the first event that ends the solve.</summary>
    public double? Inspect(NativeStepper stepper, NativeAttempt attempt)
    {
        var found = new List<(NativeOdeEvent Event, double Time)>();
        for (int i = 0; i < _events.Count; i++)
            Search(i, stepper, attempt.Span, found);
        foreach ((NativeOdeEvent item, double time) in found.OrderBy(entry => entry.Time * Math.Sign(attempt.Span.Size)))
        {
            if (item.IsTerminal)
            {
                _ending = item;
                return time;
            }
            Occurrences.Add(new NativeOdeOccurrence(item, time, Copy(Place(stepper, attempt.Span, time))));
        }
        return null;
    }

    /// <summary>
    /// Makes the step that ends at the event, which is more exact than the interpolant: secants, of which one or two are all it takes.
    /// </summary>
    public NativeAttempt Approach(NativeStepper stepper, double time)
    {
        double start = stepper.Time;
        double before = time - 0.01 * (time - start);
        double beforeValue = Evaluate(_ending!, before, Place(stepper, new NativeSpan(start, time), before));
        NativeAttempt attempt = stepper.Try(time);
        double value = Evaluate(_ending!, time, stepper.Next);
        for (int i = 0; i < 3 && value != 0 && value != beforeValue; i++)
        {
            double next = time - value * (time - before) / (value - beforeValue);
            if (next == time || !(Math.Abs(next - time) <= 0.01 * Math.Abs(time - start)))
                break;
            (before, beforeValue, time) = (time, value, next);
            attempt = stepper.Try(time);
            value = Evaluate(_ending!, time, stepper.Next);
        }
        return attempt;
    }

    /// <summary>The event that ends the solve was found more exactly.</summary>
    public void Stop(double time, double* state) => Occurrences.Add(new NativeOdeOccurrence(_ending!, time, Copy(state)));

    private void Search(int index, NativeStepper stepper, NativeSpan span, List<(NativeOdeEvent Event, double Time)> found)
    {
        NativeOdeEvent item = _events[index];
        double Value(double place) => Evaluate(item, At(place), Place(stepper, span, At(place)));
        double At(double place) => place == 0 ? span.Start : place == 1 ? span.End : span.Start + place * span.Size;
        // A function that was too rough in several steps will not become smooth.
        int pieces = _rough[index] < RoughSteps ? SignChanges.MostPieces : 1;
        SignChanges.Result changes = SignChanges.Find(Value, Value(0), _signs[index], () => Noise(item, span.End, stepper.Next), pieces);
        _signs[index] = changes.Sign;
        MayHaveMissed |= !changes.IsComplete;
        _rough[index] += changes.IsComplete ? 0 : 1;
        foreach (SignChanges.Bracket bracket in changes.Brackets)
            // Rising and falling are meant in the direction of the solve.
            if (item.Direction == EventDirection.Both || (bracket.Sign < 0) == (item.Direction == EventDirection.Rising))
                found.Add((item, At(SignChanges.Root(Value, bracket))));
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
}
