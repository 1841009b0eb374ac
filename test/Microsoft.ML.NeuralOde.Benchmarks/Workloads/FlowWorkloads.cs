using System.Globalization;

namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>One training step of a continuous normalizing flow by maximum likelihood, batch 512.</summary>
internal static class FlowWorkloads
{
    private const int BatchSize = 512;

    /// <summary>The peer's estimate of the trace.</summary>
    public static TraceEstimator Estimate { get; } = TraceEstimator.Hutchinson(1, ProbeDistribution.Gaussian);

    public static IEnumerable<WorkloadGroup> Create(bool quick)
    {
        return [Group("ffjord", 2, Estimate), Group("ffjord", 43, Estimate), Group("exact_flow", 2, TraceEstimator.Exact)];

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
        new(name, "ms", HigherIsBetter: false, () => Measure(CPU, dimension, trace, quick, gradient),
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
    public static Outcome Measure(Device device, int dimension, TraceEstimator trace, bool quick, GradientMethod? gradient)
    {
        if (!quick)
            Train(dimension, trace, gradient, new Amount(device, BatchSize, Warmup: 0, Steps: 60));
        Measured steps = Train(dimension, trace, gradient, new Amount(device, quick ? 8 : BatchSize, quick ? 0 : 3, quick ? 1 : 15));
        return steps.With(steps.Median);
    }

    private static Measured Train(int dimension, TraceEstimator trace, GradientMethod? gradient, Amount amount)
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
        flow.to(amount.Device);
        using var optimizer = new AdamOptimizer(flow.parameters(), 1e-3);
        Tensor mix = randn(dimension, dimension) / Math.Sqrt(dimension);
        Measured steps = amount.Measure(
            _ => (randn(amount.BatchSize, dimension).matmul(mix) + 2 * randn(amount.BatchSize, 1).sign()).to(amount.Device),
            x =>
            {
                optimizer.ZeroGradients();
                FlowEncoding encoding = flow.Encode(x);
                Tensor loss = -encoding.LogDensity.mean();
                loss.backward();
                optimizer.Step();
                return new StepCost(
                    encoding.Statistics.Sum(statistics => statistics.FunctionEvaluations),
                    encoding.Statistics.Sum(statistics => statistics.BackwardEvaluations), loss);
            });
        // The peer's loss leaves the normal density's constant out.
        return steps with { Loss = steps.Loss - dimension / 2.0 * Math.Log(2 * Math.PI) };
    }
}
