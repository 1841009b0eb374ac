namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>Memory by the number of steps, each figure from a process of its own.</summary>
internal static class MemoryWorkloads
{
    public static WorkloadGroup Create(bool quick) => new(null,
    [
        .. from gradient in new[] { "adjoint", "checkpointed", "direct" }
           from steps in quick ? [MemoryBySteps.Steps[0]] : MemoryBySteps.Steps
           select new Workload(
               $"memory growth, {gradient}, {steps} steps", "MB", HigherIsBetter: false, () => new Outcome(MemoryCommand.MeasureApart(steps, gradient)), _ => null),
    ]);
}
