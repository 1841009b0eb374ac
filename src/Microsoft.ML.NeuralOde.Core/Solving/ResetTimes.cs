namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>The times of the last resets, and whether they come closer together than time can tell.</summary>
/// <param name="events">How many events are looked for.</param>
internal sealed class ResetTimes(int events)
{
    private const int Many = 100;

    private readonly Queue<double> _times = new();

    /// <summary>
    /// Fails where resets, this one included, follow each other so fast that rounding of their times governs the solve: more of them than
    /// there are events within a few numbers, or a hundred within some more.
    /// </summary>
    /// <param name="time">When this one happened.</param>
    /// <param name="before">When the stretch that it ended began.</param>
    /// <returns>The failure; null for none.</returns>
    public OdeSolverException? Add(double time, double before)
    {
        int few = events + 1;
        _times.Enqueue(time);
        if (_times.Count > Math.Max(Many, few) + 1)
            _times.Dequeue();
        double spacing = Math.BitIncrement(Math.Abs(time)) - Math.Abs(time);
        return AreWithin(few, 64 * few * spacing) || AreWithin(Many, 1000 * Many * spacing)
            ? EventDeparture.Accumulation(time, time - before, "They follow each other faster than time can tell them apart.") : null;

        bool AreWithin(int count, double distance) =>
            _times.Count > count && Math.Abs(time - _times.ElementAt(_times.Count - 1 - count)) <= distance;
    }
}
