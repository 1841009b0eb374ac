using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>Looks for zeros of event functions along accepted steps. Numbers only: gradients come later.</summary>
internal sealed class EventWatcher
{
    private const int Samples = 8;

    /// <summary>Where, in a step that begins at an event, its function is looked at to see which way it goes.</summary>
    private const double JustBehind = 1e-5;

    private readonly IReadOnlyList<OdeEvent> _events;
    private readonly OdeEvent? _atStart;
    private readonly StateArithmetic _arithmetic;
    private readonly Clock _clock;
    private bool _first = true;

    /// <param name="events">The events.</param>
    /// <param name="atStart">The event at which this part of the solve begins; its zero there is not a new one.</param>
    /// <param name="context">What the solve works with.</param>
    public EventWatcher(IReadOnlyList<OdeEvent> events, OdeEvent? atStart, StepperContext context)
    {
        _events = events;
        _atStart = atStart;
        _arithmetic = context.Arithmetic;
        _clock = context.Clock;
    }

    /// <summary>Events that were found, in order.</summary>
    public List<(OdeEvent Event, double Time)> Found { get; } = [];

    /// <summary>The state at the event that interrupted the solve; the caller's.</summary>
    public Tensor? FinalState { get; set; }

    /// <summary>Searches an attempted step that will be accepted; returns the time of the first event that interrupts the solve.</summary>
    public double? Inspect(Stepper stepper, StepAttempt attempt)
    {
        double start = attempt.Span.Start[0];
        double size = attempt.Span.Size[0];
        var found = new List<(OdeEvent Event, double Time)>();
        foreach (OdeEvent item in _events)
        {
            double Value(double sigma) => Evaluate(item, stepper, attempt, start + sigma * size, sigma);
            double left = _first && ReferenceEquals(item, _atStart) ? JustBehind : 0;
            double before = Value(left);
            for (int i = 1; i <= Samples; i++)
            {
                double right = i / (double)Samples;
                double after = Value(right);
                if (Counts(item, before, after, size))
                {
                    double sigma = Root(Value, left, before, right, after);
                    found.Add((item, sigma == 1 ? attempt.Span.End[0] : start + sigma * size));
                }
                (left, before) = (right, after);
            }
        }
        _first = false;
        found.Sort((a, b) => (a.Time - b.Time) * Math.Sign(size) < 0 ? -1 : a.Time == b.Time ? 0 : 1);
        foreach ((OdeEvent item, double time) in found)
        {
            Found.Add((item, time));
            if (item.Interrupts)
                return time;
        }
        return null;
    }

    /// <summary>Moves the time of the last event, after it was found more exactly.</summary>
    public void Polish(double time) => Found[^1] = (Found[^1].Event, time);

    /// <summary>g at a time and state, as a number.</summary>
    public double Evaluate(OdeEvent item, double time, Tensor state)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor value = item.Function(_clock.Tensor([time]), state);
        if (value is null || value.numel() != 1)
            throw new InvalidOperationException(
                $"An event function returned {(value is null ? "null" : $"shape [{string.Join(", ", value.shape)}]")}; it must return one number.");
        return value.ToDouble();
    }

    // Rising and falling are meant in the direction of the solve.
    private static bool Counts(OdeEvent item, double before, double after, double size)
    {
        if (before == 0 || Math.Sign(before) == Math.Sign(after))
            return false;
        return item.Direction == EventDirection.Both || (before < 0) == (item.Direction == EventDirection.Rising);
    }

    /// <summary>A zero between two places of different sign: regula falsi in the Illinois form, with bisection where that is slow.</summary>
    private static double Root(Func<double, double> value, double left, double before, double right, double after)
    {
        if (after == 0)
            return right;
        for (int i = 0; i < 100 && right - left > 1e-15; i++)
        {
            double middle = i % 3 == 2 ? (left + right) / 2 : (left * after - right * before) / (after - before);
            if (!(middle > left && middle < right))
                middle = (left + right) / 2;
            double there = value(middle);
            if (there == 0)
                return middle;
            if (Math.Sign(there) == Math.Sign(before))
            {
                (left, before) = (middle, there);
                after /= 2;
            }
            else
            {
                (right, after) = (middle, there);
                before /= 2;
            }
        }
        return right;
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
