namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>Dynamics of positions and velocities that know whether they may be updated in turn.</summary>
internal interface ISecondOrderSystem
{
    /// <summary>Why methods that update positions and velocities in turn are of no use, as sentences; null where they are.</summary>
    string? WhyNotLeapfrog { get; }
}
