using System.Diagnostics;

namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>Where a workload is computed, and how much of it.</summary>
/// <param name="Device">Has the network and its data.</param>
/// <param name="BatchSize">The rows of a step.</param>
/// <param name="Warmup">How many steps are made before those that count.</param>
/// <param name="Steps">How many steps count.</param>
internal sealed record Amount(Device Device, int BatchSize, int Warmup, int Steps)
{
    /// <summary>Makes the steps and times each; what the device was given to do is done by then.</summary>
    /// <param name="prepare">Makes what a step works on, untimed.</param>
    /// <param name="step">Makes a step, which costs evaluations and has a loss, or null.</param>
    public Measured Measure<T>(Func<int, T> prepare, Func<T, StepCost> step)
    {
        var milliseconds = new double[Steps];
        double forward = 0, backward = 0;
        double? loss = null;
        for (int k = 0; k < Warmup + Steps; k++)
        {
            using DisposeScope scope = NewDisposeScope();
            T given = prepare(k);
            Synchronize();
            long started = Stopwatch.GetTimestamp();
            StepCost cost = step(given);
            Synchronize();
            if (k < Warmup)
                continue;
            milliseconds[k - Warmup] = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
            forward += cost.Forward;
            backward += cost.Backward;
            loss = cost.Loss?.ToDouble();
        }
        return new Measured(milliseconds, forward / Steps, backward / Steps, loss);
    }

    private void Synchronize()
    {
        if (Device.type == DeviceType.CUDA)
            cuda.synchronize(Device);
    }
}

/// <summary>What a step cost.</summary>
/// <param name="Forward">Evaluations of the right-hand side on the way forward.</param>
/// <param name="Backward">The same on the way back.</param>
/// <param name="Loss">The loss; null where there is none.</param>
internal readonly record struct StepCost(double Forward, double Backward = 0, Tensor? Loss = null)
{
    public static StepCost Of(SolverStatistics statistics, Tensor? loss = null) =>
        new(statistics.FunctionEvaluations, statistics.BackwardEvaluations, loss);
}

/// <summary>The steps of a workload.</summary>
/// <param name="Milliseconds">The time of each.</param>
/// <param name="Forward">Evaluations on the way forward, in the mean.</param>
/// <param name="Backward">The same on the way back.</param>
/// <param name="Loss">The last loss.</param>
internal sealed record Measured(double[] Milliseconds, double Forward, double Backward, double? Loss)
{
    /// <summary>The median time of a step.</summary>
    public double Median => Milliseconds.Order().ElementAt(Milliseconds.Length / 2);

    /// <summary>The mean time of a step in seconds.</summary>
    public double MeanSeconds => Milliseconds.Average() / 1000;

    /// <summary>The same with another figure in front.</summary>
    public Outcome With(double value) => new(value, Forward, Backward, Loss);
}
