namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>The stretch of time a step covers, lane by lane; and, where output times carry derivatives, its size as a tensor.</summary>
internal sealed class StepSpan : IDisposable
{
    private readonly Clock _clock;

    public StepSpan(double[] start, double[] end, Clock clock)
        : this(start, end, clock, clock.Difference(start, end))
    {
    }

    private StepSpan(double[] start, double[] end, Clock clock, Tensor? trackedSize)
    {
        _clock = clock;
        Start = start;
        End = end;
        Size = new double[start.Length];
        for (int lane = 0; lane < start.Length; lane++)
            Size[lane] = end[lane] - start[lane];
        TrackedSize = trackedSize;
    }

    public double[] Start { get; }

    public double[] End { get; }

    public double[] Size { get; }

    /// <summary>The sizes in the graph, shape <c>[lanes]</c>; null where times are mere numbers.</summary>
    public Tensor? TrackedSize { get; }

    /// <summary>The same stretch, whose size is mere numbers.</summary>
    public StepSpan AsNumbers() => new(Start, End, _clock, trackedSize: null);

    /// <summary>
    /// The times at a fraction of the step at which the right-hand side is to be asked: exactly <see cref="End"/> at 1, unless it jumps
    /// there.
    /// </summary>
    public double[] At(double fraction)
    {
        double[] times = Place(fraction);
        return _clock.HasJumps ? [.. times.Select((time, lane) => _clock.Inside(time, Start[lane], End[lane]))] : times;
    }

    private double[] Place(double fraction)
    {
        if (fraction == 0)
            return Start;
        if (fraction == 1)
            return End;
        var times = new double[Start.Length];
        for (int lane = 0; lane < times.Length; lane++)
            times[lane] = Start[lane] + fraction * Size[lane];
        return times;
    }

    /// <summary>The place of a time as a fraction of the step; 0 in a lane that stands still.</summary>
    public double Fraction(double time, int lane) => Size[lane] == 0 ? 0 : (time - Start[lane]) / Size[lane];

    public void Dispose() => TrackedSize?.Dispose();
}
