using System.Diagnostics;
using System.Globalization;

namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>One training step of a continuous normalizing flow by maximum likelihood, batch 512.</summary>
internal static class FlowWorkloads
{
    private const int BatchSize = 512;

    public static IEnumerable<WorkloadGroup> Create(bool quick)
    {
        TraceEstimator estimate = TraceEstimator.Hutchinson(1, ProbeDistribution.Gaussian);
        return [Group("ffjord", 2, estimate), Group("ffjord", 43, estimate), Group("exact_flow", 2, TraceEstimator.Exact)];

        WorkloadGroup Group(string mode, int dimension, TraceEstimator trace)
        {
            string name = $"flow step, {(trace.IsExact ? "exact trace" : "Hutchinson")}, d = {dimension}";
            return new WorkloadGroup([mode, dimension.ToString(CultureInfo.InvariantCulture)],
            [
                Step($"{name}, adjoint", dimension, trace, quick, GradientMethod.Adjoint(), "adjoint"),
                Step($"{name}, default gradient against their direct", dimension, trace, quick, null, "direct"),
            ], UsesOwnScript: trace.IsExact);
        }
    }

    private static Workload Step(
        string name, int dimension, TraceEstimator trace, bool quick, GradientMethod? gradient, string peerGradient) =>
        new(name, "ms", HigherIsBetter: false, () => Measure(dimension, trace, quick, gradient),
            line => line.GetProperty("gradient").GetString() == peerGradient
                ? new Outcome(
                    line.GetProperty("ms_per_step").GetDouble(), line.GetProperty("nfe_forward").GetDouble(),
                    line.GetProperty("nfe_backward").GetDouble(),
                    line.GetProperty("loss").GetDouble())
                : null)
        {
            Diffrax = trace.IsExact ? null
                : new DiffraxLine($"flow d={dimension} {(gradient is null ? "checkpointed" : "backsolve")}", ms => ms),
        };

    /// <summary>
    /// Another flow is trained first, until the runtime has compiled everything for good; how many evaluations a flow takes grows as it
    /// learns.
    /// </summary>
    private static Outcome Measure(int dimension, TraceEstimator trace, bool quick, GradientMethod? gradient)
    {
        if (!quick)
            Train(dimension, trace, BatchSize, gradient, warmup: 0, steps: 60);
        return Train(dimension, trace, quick ? 8 : BatchSize, gradient, warmup: quick ? 0 : 3, steps: quick ? 1 : 15);
    }

    private static Outcome Train(int dimension, TraceEstimator trace, int batchSize, GradientMethod? gradient, int warmup, int steps)
    {
        random.manual_seed(0);
        using DisposeScope outer = NewDisposeScope();
        // As on the peer's side: tanh layers of 64 units to each of which a vector times t is added, and the same tolerances.
        var flow = new ContinuousFlow(dimension, new ContinuousFlowOptions
        {
            Hidden = [64, 64, 64],
            Time = TimeDependence.Concatenate,
            Standardize = false,
            Trace = trace,
            Solver = new OdeSolverOptions { RelativeTolerance = 1e-5, AbsoluteTolerance = 1e-5, Gradient = gradient },
        });
        using var optimizer = new AdamOptimizer(flow.parameters(), 1e-3);
        Tensor mix = randn(dimension, dimension) / Math.Sqrt(dimension);
        var times = new List<double>();
        double forward = 0, backward = 0, last = 0;
        for (int k = 0; k < warmup + steps; k++)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor x = randn(batchSize, dimension).matmul(mix) + 2 * randn(batchSize, 1).sign();
            long started = Stopwatch.GetTimestamp();
            optimizer.ZeroGradients();
            FlowEncoding encoding = flow.Encode(x);
            Tensor loss = -encoding.LogDensity.mean();
            loss.backward();
            optimizer.Step();
            if (k < warmup)
                continue;
            times.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
            forward += encoding.Statistics.Sum(statistics => statistics.FunctionEvaluations);
            backward += encoding.Statistics.Sum(statistics => statistics.BackwardEvaluations);
            // The peer's loss leaves the normal density's constant out.
            last = loss.ToDouble() - dimension / 2.0 * Math.Log(2 * Math.PI);
        }
        times.Sort();
        return new Outcome(times[times.Count / 2], forward / steps, backward / steps, last);
    }
}
