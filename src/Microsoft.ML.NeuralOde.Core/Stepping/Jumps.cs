namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>
/// The times at which a right-hand side jumps, and the times it is asked at in their place: one number of the state's type before or
/// behind, on the step's own side.
/// </summary>
internal sealed class Jumps
{
    private readonly double[] _times;
    private readonly ScalarType _type;

    private Jumps(double[] times, ScalarType type) => (_times, _type) = (times, type);

    /// <summary>The jumps; null for none.</summary>
    public static Jumps? Create(IReadOnlyList<double>? times, ScalarType type) =>
        times is { Count: > 0 } ? new Jumps([.. times.Distinct().Order()], type) : null;

    /// <summary>The time at which a step leaves from here: behind a jump that is here.</summary>
    public double Leaving(double time, int direction) => Beside(time, time, direction);

    /// <summary>A time inside a step, on the step's own side of the jumps around it.</summary>
    public double Inside(double time, double start, double end) => Beside(time, start + (end - start) / 2, end < start ? -1 : 1);

    /// <summary>
    /// A time, kept between the jumps around a place; where the place is a jump, it means the side that the direction leads to.
    /// </summary>
    private double Beside(double time, double place, int direction)
    {
        int next = Array.BinarySearch(_times, place);
        next = next < 0 ? ~next : direction > 0 ? next + 1 : next;
        double low = next > 0 ? TimePrecision.Next(_times[next - 1], _type) : double.NegativeInfinity;
        double high = next < _times.Length ? TimePrecision.Previous(_times[next], _type) : double.PositiveInfinity;
        // Between jumps so near to each other that the type tells none between them, no time is better than another.
        return low <= high ? Math.Clamp(time, low, high) : time;
    }
}
