namespace Microsoft.ML.NeuralOde.StepControl;

/// <summary>Equal steps from a time to another, none larger than a given size, which may be infinite.</summary>
internal readonly struct FixedSteps
{
    private readonly double _start, _end;

    public FixedSteps(double start, double end, double largest)
    {
        (_start, _end) = (start, end);
        // The slack keeps ten steps of 0.1 ten where the quotient rounds to 10.000000000000002.
        Count = double.IsInfinity(largest) ? 1 : Math.Max(1, (long)Math.Ceiling(Math.Abs(end - start) / largest * (1 - 1e-12)));
    }

    /// <summary>How many there are.</summary>
    public long Count { get; }

    /// <summary>Their size, with the sign of the direction.</summary>
    public double Size => (_end - _start) / Count;

    /// <summary>Where a step ends, counted from 1.</summary>
    public double End(long step) => step == Count ? _end : _start + (_end - _start) * step / Count;
}
