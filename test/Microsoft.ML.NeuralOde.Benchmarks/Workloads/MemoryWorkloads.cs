using System.Globalization;

namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>Memory by the number of steps, each figure from a process of its own.</summary>
internal static class MemoryWorkloads
{
    public static IEnumerable<WorkloadGroup> Create(bool quick) =>
        from gradient in new[] { "adjoint", "reversible", "checkpointed", "direct" }
        from steps in quick ? [MemoryBySteps.Steps[0]] : MemoryBySteps.Steps
            // The peer has neither checkpoints nor reversible methods.
        let peer = gradient is "adjoint" or "direct" ? new[] { "memory", gradient, steps.ToString(CultureInfo.InvariantCulture) } : null
        select new WorkloadGroup(peer,
        [
            new Workload(
                $"memory growth, {gradient}, {steps} steps", "MB", HigherIsBetter: false,
                () => new Outcome(MemoryCommand.MeasureApart(steps, gradient)),
                line => new Outcome(line.GetProperty("growth_mb").GetDouble())),
        ], UsesOwnScript: true);
}
