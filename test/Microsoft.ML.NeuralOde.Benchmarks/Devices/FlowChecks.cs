using Microsoft.ML.NeuralOde.Plots;

namespace Microsoft.ML.NeuralOde.Benchmarks.Devices;

/// <summary>Flows: made on the processor, moved, trained, evaluated, sampled, drawn and exported.</summary>
internal static class FlowChecks
{
    private const double Tolerance = 5e-3;

    private static readonly OdeSolverOptions Steps = new() { Method = OdeMethod.Rk4, StepSize = 0.25 };

    public static IEnumerable<DeviceCheck> All()
    {
        foreach (long conditions in new[] { 0L, 2L })
            foreach (int blocks in new[] { 1, 2 })
                foreach (bool mixture in new[] { false, true })
                {
                    string kind = $"flow, {conditions} conditions, {blocks} blocks, {(mixture ? "mixture" : "normal")} base";
                    yield return new DeviceCheck(
                        $"{kind}: log-density", Tolerance, device => WithFlow(device, conditions, blocks, mixture, (flow, x, c) =>
                    {
                        using FlowEncoding encoding = flow.Encode(x, c);
                        FlowEncoding back = flow.Decode(encoding.Latent, c);
                        return [encoding.LogDensity.clone(), encoding.Latent.clone(), back.Data, flow.DecodePath(back.Latent, 2, c)];
                    }));
                    yield return new DeviceCheck(
                        $"{kind}: maximum likelihood", Tolerance, device => WithFlow(device, conditions, blocks, mixture, (flow, x, c) =>
                        Gradients(flow, flow.NegativeLogLikelihood(x, c))));
                    yield return new DeviceCheck(
                        $"{kind}: samples", Tolerance, device => WithFlow(device, conditions, blocks, mixture, (flow, x, c) =>
                    {
                        // Without a generator the device draws numbers of its own.
                        using Tensor other = flow.Sample(x.shape[0], c);
                        using var generator = new Generator(5);
                        return other.isfinite().all().item<bool>() ? [flow.Sample(x.shape[0], c, generator)] : [];
                    }));
                    foreach (FlowPairing pairing in Enum.GetValues<FlowPairing>())
                        yield return new DeviceCheck($"{kind}: flow matching, {pairing}", Tolerance,
                            device => WithFlow(device, conditions, blocks, mixture, (flow, x, c) =>
                        {
                            using var generator = new Generator(6);
                            using Tensor other = FlowMatching.Loss(flow, x, c, new FlowMatchingOptions { Pairing = pairing, Noise = 0.1 });
                            return Gradients(
                                flow, FlowMatching.Loss(flow, x, c, new FlowMatchingOptions { Pairing = pairing, Noise = 0.1 }, generator));
                        }));
                }
        yield return new DeviceCheck(
            "flow matching, averaged targets", Tolerance, device => WithFlow(device, 0, 1, mixture: false, (flow, x, c) =>
        {
            using var generator = new Generator(6);
            return Gradients(flow, FlowMatching.Loss(flow, x, c, new FlowMatchingOptions { AverageTargets = true }, generator));
        }));
        foreach (TraceEstimator trace in new[] { TraceEstimator.Exact, TraceEstimator.Auto })
            yield return new DeviceCheck($"flow in training, trace {trace}", Tolerance, device =>
            {
                using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [8], Trace = trace, Solver = Steps });
                Tensor x = Rows();
                flow.Observe(x);
                flow.to(device);
                flow.Observe(x.to(device));
                return Gradients(flow, flow.NegativeLogLikelihood(x.to(device)));
            });
        yield return new DeviceCheck(
            "flow moved to the device and back", 1e-6, device => WithFlow(device, 0, 1, mixture: false, (flow, x, c) =>
        {
            flow.to(CPU);
            return [flow.LogDensity(x.cpu()), flow.Sample(3, null, new Generator(2))];
        }));
        yield return new DeviceCheck("flow exported to ONNX", 0, device => WithFlow(device, 0, 1, mixture: false, (flow, x, c) =>
            ModuleChecks.Exported(flow, stream => flow.SaveAsOnnx(stream))));
        yield return new DeviceCheck("flow drawn", 0, device => WithFlow(device, 0, 1, mixture: false, (flow, x, c) =>
        {
            string file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.png");
            try
            {
                FlowFigure.Save(file, flow, x);
                return [tensor(new FileInfo(file).Length > 0, device: CPU)];
            }
            finally
            {
                File.Delete(file);
            }
        }));
    }

    private static Tensor Rows() => randn([12, 2], ScalarType.Float32, CPU).mul(3).add(5);

    private static Tensor[] WithFlow(
        Device device, long conditions, int blocks, bool mixture, Func<ContinuousFlow, Tensor, Tensor?, Tensor[]> use)
    {
        using var flow = new ContinuousFlow(
            2, new ContinuousFlowOptions
            {
                Hidden = [8],
                Conditions = conditions,
                Blocks = blocks,
                Solver = Steps,
                Trace = TraceEstimator.Exact
            },
            mixture ? new GaussianMixtureBase(randn([3, 2], ScalarType.Float32, CPU)) : null);
        Tensor x = Rows();
        Tensor? c = conditions == 0 ? null : randint(0, 2, [12, conditions], ScalarType.Float32, CPU);
        flow.Observe(x);
        flow.to(device);
        return use(flow, x.to(device), c?.to(device));
    }

    private static Tensor[] Gradients(ContinuousFlow flow, Tensor loss)
    {
        loss.backward();
        return [loss, .. flow.parameters().Where(parameter => parameter.grad is not null).Select(parameter => parameter.grad!)];
    }
}
