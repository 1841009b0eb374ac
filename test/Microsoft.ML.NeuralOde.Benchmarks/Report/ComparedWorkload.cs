using Microsoft.ML.NeuralOde.Benchmarks.Workloads;

namespace Microsoft.ML.NeuralOde.Benchmarks.Report;

/// <summary>One side's best figure, and the number of threads that gave it.</summary>
internal sealed record Side(double Value, int Threads, double? Forward, double? Backward, double? Loss);

/// <summary>A workload with the figures of all sides.</summary>
internal sealed record ComparedWorkload(
    string Name, double Ours, double? Peer, double? Ratio, string Unit, Side OursDetail, Side? PeerDetail)
{
    /// <summary>Diffrax's figure; null where there is none.</summary>
    public double? Diffrax { get; init; }

    /// <summary>How much faster ours is; null where Diffrax's figure is none of this machine.</summary>
    public double? DiffraxRatio { get; init; }

    /// <summary>Sets the figures of a workload side by side.</summary>
    /// <param name="workload">The workload.</param>
    /// <param name="ours">Our runs.</param>
    /// <param name="peer">The peer's.</param>
    /// <param name="diffrax">What Diffrax's script printed on this machine; null for what is recorded of another.</param>
    public static ComparedWorkload Of(
        Workload workload, IReadOnlyList<(int Threads, Outcome Outcome)> ours, IReadOnlyList<(int Threads, Outcome Outcome)> peer,
        IReadOnlyDictionary<string, double>? diffrax)
    {
        Side best = Best(ours, workload.HigherIsBetter)!;
        Side? other = Best(peer, workload.HigherIsBetter);
        return new ComparedWorkload(workload.Name, best.Value, other?.Value, Ratio(other?.Value), workload.Unit, best, other)
        {
            Diffrax = workload.Diffrax?.In(diffrax ?? DiffraxPeer.Recorded),
            DiffraxRatio = diffrax is null ? null : Ratio(workload.Diffrax?.In(diffrax)),
        };

        double? Ratio(double? theirs) => workload.HigherIsBetter ? best.Value / theirs : theirs / best.Value;
    }

    /// <summary>The best number of threads, with the median of its runs.</summary>
    private static Side? Best(IReadOnlyList<(int Threads, Outcome Outcome)> runs, bool higherIsBetter)
    {
        Side[] medians =
        [
            .. from run in runs
               group run.Outcome by run.Threads into same
               let sorted = same.OrderBy(outcome => outcome.Value).ToArray()
               let median = sorted[sorted.Length / 2]
               select new Side(median.Value, same.Key, median.Forward, median.Backward, median.Loss),
        ];
        return higherIsBetter ? medians.MaxBy(side => side.Value) : medians.MinBy(side => side.Value);
    }
}
