namespace Microsoft.ML.NeuralOde.Fitting;

/// <summary>A stretch of a record that is solved from a state of its own.</summary>
/// <param name="Trajectory">The record.</param>
/// <param name="First">The index of its first time.</param>
/// <param name="Last">The index of its last time, which is the next segment's first.</param>
/// <param name="IsLastOfRecord">Whether no segment follows.</param>
/// <param name="Start">The guess of its first state, or the state itself.</param>
/// <param name="Variable">Where its first state stands among the numbers that are searched for; negative where it is known.</param>
internal sealed record ShootingSegment(OdeTrajectory Trajectory, int First, int Last, bool IsLastOfRecord, double[] Start, int Variable)
{
    /// <summary>Its times.</summary>
    public double[] Times { get; } = [.. Enumerable.Range(First, Last - First + 1).Select(i => Trajectory.Times[i])];

    /// <summary>The times whose observations it explains: a segment's first is its predecessor's last.</summary>
    public int FirstExplained => First == 0 ? 0 : 1;
}
