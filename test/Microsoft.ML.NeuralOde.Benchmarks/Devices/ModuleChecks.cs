using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Devices;

/// <summary>The modules of the library: made on the processor, moved, solved, differentiated, saved there and loaded here.</summary>
internal static class ModuleChecks
{
    private static readonly (string Name, GradientMethod? Method)[] Gradients =
        [("default", null), ("direct", GradientMethod.Direct()), ("adjoint", GradientMethod.Adjoint())];

    public static IEnumerable<DeviceCheck> All()
    {
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            // Kernels of our own and torch's differ by rounding, which the error control may amplify to another step.
            double tolerance = type == ScalarType.Float64 ? 1e-6 : 5e-3;
            foreach ((string gradient, GradientMethod? method) in Gradients)
            {
                foreach (TimeDependence time in Enum.GetValues<TimeDependence>())
                    yield return new DeviceCheck(
                        $"dense dynamics, time {time}, {type}, gradient {gradient}", tolerance,
                        device => Solve(
                            new DenseDynamics(4, [8], time: time), [5, 4], device, type, new OdeSolverOptions { Gradient = method }));
                foreach (bool perRow in new[] { false, true })
                    yield return new DeviceCheck(
                        $"convolutional dynamics, {type}, gradient {gradient}{(perRow ? ", per row" : "")}", tolerance,
                        device => Solve(new ConvolutionalDynamics(4), [2, 4, 6, 6], device, type,
                            new OdeSolverOptions { Gradient = method, PerRow = perRow }));
            }
        }
        yield return new DeviceCheck(
            "convolutions in bfloat16", 0.05,
            device => Solve(
                new ConvolutionalDynamics(8, convolutionType: ScalarType.BFloat16), [2, 8, 6, 6], device, ScalarType.Float32,
                new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.25, Gradient = GradientMethod.Direct() }));
        yield return new DeviceCheck("path regularization and spectral norms", 5e-3, Regularized);
        yield return new DeviceCheck("a block saved on the device and loaded on the processor", 1e-3, Reloaded);
        yield return new DeviceCheck("a block exported to ONNX", 0, device =>
        {
            using var block = new OdeBlock(new DenseDynamics(3, [4]), 1, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.25 });
            return Exported(block.to(device), stream => block.SaveAsOnnx([3], stream));
        });
        yield return new DeviceCheck("a convolutional block exported to ONNX", 0, device =>
        {
            using var block =
                new OdeBlock(new ConvolutionalDynamics(4), 1, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.25 });
            return Exported(block.to(device), stream => block.SaveAsOnnx([4, 5, 5], stream));
        });
    }

    internal static Tensor[] Exported(Module module, Action<Stream> save)
    {
        using var stream = new MemoryStream();
        save(stream);
        _ = module;
        return [tensor(stream.ToArray(), device: CPU)];
    }

    private static Tensor[] Solve(
        Module<Tensor, Tensor, Tensor> dynamics, long[] shape, Device device, ScalarType type, OdeSolverOptions options)
    {
        using (dynamics)
        {
            dynamics.to(type);
            dynamics.to(device);
            Tensor start = randn(shape, ScalarType.Float64, CPU).to(type).to(device).requires_grad_();
            OdeSolution solution = Ode.Solve(dynamics, start, 0, 1, options);
            solution.Final.square().sum().backward();
            return [solution.Final, start.grad!, .. dynamics.parameters().Select(parameter => parameter.grad!)];
        }
    }

    private static Tensor[] Regularized(Device device)
    {
        using var dynamics = new DenseDynamics(3, [6]);
        dynamics.to(device);
        Tensor penalty = SpectralNorm.Penalty(dynamics);
        penalty.backward();
        return [penalty, .. dynamics.parameters().Where(parameter => parameter.grad is not null).Select(parameter => parameter.grad!)];
    }

    private static Tensor[] Reloaded(Device device)
    {
        using var there = new OdeBlock(new DenseDynamics(3, [6]));
        Tensor x = randn([4, 3], ScalarType.Float32, CPU);
        there.to(device);
        string file = Path.GetTempFileName();
        try
        {
            there.save(file);
            using var here = new OdeBlock(new DenseDynamics(3, [6]));
            here.load(file);
            return [here.call(x), there.call(x.to(device))];
        }
        finally
        {
            File.Delete(file);
        }
    }
}
