using Microsoft.ML.NeuralOde.Benchmarks.Workloads;

namespace Microsoft.ML.NeuralOde.Benchmarks.Report;

/// <summary>One side's best figure, and the number of threads that gave it.</summary>
internal sealed record Side(double Value, int Threads, double? Forward, double? Backward, double? Loss);

/// <summary>A workload with the figures of both sides.</summary>
internal sealed record ComparedWorkload(
    string Name, double Ours, double? Peer, double? Ratio, string Unit, Side OursDetail, Side? PeerDetail)
{
    public static ComparedWorkload Of(
        Workload workload, IReadOnlyList<(int Threads, Outcome Outcome)> ours, IReadOnlyList<(int Threads, Outcome Outcome)> peer)
    {
        Side best = Best(ours, workload.HigherIsBetter)!;
        Side? other = Best(peer, workload.HigherIsBetter);
        double? ratio = other is null ? null : workload.HigherIsBetter ? best.Value / other.Value : other.Value / best.Value;
        return new ComparedWorkload(workload.Name, best.Value, other?.Value, ratio, workload.Unit, best, other);
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
