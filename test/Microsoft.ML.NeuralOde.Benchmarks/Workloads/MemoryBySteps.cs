using System.Diagnostics;

namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>How far the process grows over forced steps of the reference dynamics at batch 2,048, forward and backward.</summary>
internal static class MemoryBySteps
{
    public static readonly int[] Steps = [16, 64, 256, 1024];

    private const int BatchSize = 2048;
    private const int Width = 64;

    /// <summary>
    /// Growth of the resident memory, in MB, to its peak; of this process, so that each measurement needs a process of its own.
    /// </summary>
    public static double Measure(int steps, string gradient)
    {
        using DisposeScope outer = NewDisposeScope();
        var dynamics = new DenseDynamics(Width);
        // Compiles, and lets libtorch allocate what it keeps.
        Run(dynamics, 2, gradient);
        Run(dynamics, 2, gradient);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        long before = Resident();
        Run(dynamics, steps, gradient);
        return (Peak() - before) / 1e6;
    }

    private static void Run(DenseDynamics dynamics, int steps, string gradient)
    {
        using DisposeScope scope = NewDisposeScope();
        dynamics.zero_grad();
        Tensor y = randn(BatchSize, Width).requires_grad_();
        var options = new OdeSolverOptions
        {
            Method = gradient == GradientMethod.Reversible().Name ? OdeMethod.ReversibleHeun : OdeMethod.Dopri5,
            StepSize = 1.0 / steps,
            Gradient = GradientMethod.Parse(gradient),
        };
        OdeSolution solution = Ode.Solve(dynamics, y, 0, 1, options);
        solution.Final.square().sum().backward();
    }

    private static long Resident()
    {
        using Process process = Process.GetCurrentProcess();
        return process.WorkingSet64;
    }

    private static long Peak()
    {
        using Process process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }
}
