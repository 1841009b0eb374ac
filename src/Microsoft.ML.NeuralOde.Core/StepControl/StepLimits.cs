namespace Microsoft.ML.NeuralOde.StepControl;

/// <summary>Where the steps of a solve must end, and between which sizes they lie.</summary>
internal sealed class StepLimits(double start, double[] stops, OdeSolverOptions options)
{
    private readonly double _interval = Math.Abs(stops[^1] - start);

    /// <summary>The discontinuities in order, and the end: each is a step's end, and f is never evaluated beyond the next.</summary>
    public double[] Stops { get; } = stops;

    /// <summary>1 where time goes up, −1 where it goes down.</summary>
    public int Direction { get; } = stops[^1] < start ? -1 : 1;

    public double Minimum { get; } = options.MinimumStep;

    public double Maximum { get; } = options.MaximumStep;

    /// <summary>Steps below this size would be lost in the rounding of time, or take the solve nowhere; positive.</summary>
    public double Smallest(double time)
    {
        double spacing = Math.BitIncrement(Math.Abs(time)) - Math.Abs(time);
        return Math.Max(4 * spacing, 1e-30 * _interval);
    }
}
