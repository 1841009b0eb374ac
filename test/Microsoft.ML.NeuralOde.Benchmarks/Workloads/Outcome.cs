namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>What one run of one side gave.</summary>
/// <param name="Value">The figure, in the workload's unit.</param>
/// <param name="Forward">Evaluations of the right-hand side on the way forward, per solve; null where not counted.</param>
/// <param name="Backward">The same on the way back.</param>
/// <param name="Loss">The loss at the end; null where there is none.</param>
internal sealed record Outcome(double Value, double? Forward = null, double? Backward = null, double? Loss = null);

/// <summary>One line of the comparison.</summary>
/// <param name="Name">What is measured.</param>
/// <param name="Unit">Of the figure.</param>
/// <param name="HigherIsBetter">Whether the figure is a rate.</param>
/// <param name="Ours">Measures our side.</param>
/// <param name="Peer">Finds the peer's figure in a line of its output; null where it is not that line.</param>
internal sealed record Workload(
    string Name, string Unit, bool HigherIsBetter, Func<Outcome> Ours, Func<System.Text.Json.JsonElement, Outcome?> Peer)
{
    /// <summary>Diffrax's side; null where its script has nothing like it.</summary>
    public DiffraxLine? Diffrax { get; init; }
}

/// <summary>A line of Diffrax's script.</summary>
/// <param name="Name">The name of what was timed.</param>
/// <param name="FromMilliseconds">The workload's figure, from the line's milliseconds.</param>
internal sealed record DiffraxLine(string Name, Func<double, double> FromMilliseconds)
{
    /// <summary>The figure; null where the line is missing.</summary>
    public double? In(IReadOnlyDictionary<string, double> lines) =>
        lines.TryGetValue(Name, out double milliseconds) ? FromMilliseconds(milliseconds) : null;
}

/// <summary>Workloads whose peer's side is one run of its script.</summary>
/// <param name="PeerArguments">Arguments of the script; null where the peer has nothing like it.</param>
/// <param name="Workloads">The workloads.</param>
/// <param name="UsesOwnScript">Whether the peer's side is the script beside this program instead of the one that was given.</param>
internal sealed record WorkloadGroup(string[]? PeerArguments, IReadOnlyList<Workload> Workloads, bool UsesOwnScript = false);
