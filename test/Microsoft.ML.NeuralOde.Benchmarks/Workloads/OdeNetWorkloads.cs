using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>The convolutional ODE-Net of R. T. Q. Chen et al., 2018: 20 training batches of 128 images.</summary>
internal static class OdeNetWorkloads
{
    private const int BatchSize = 128;
    private const int Channels = 64;

    public static IEnumerable<WorkloadGroup> Create(Digits digits, bool quick)
    {
        yield return new WorkloadGroup(["odenet"],
        [
            Workload("ODE-Net, 20 batches, direct", digits, quick, GradientMethod.Direct()),
            Workload("ODE-Net, 20 batches, direct, bfloat16 convolutions", digits, quick, GradientMethod.Direct(), ScalarType.BFloat16),
            Workload("ODE-Net, 20 batches, default gradient against their direct", digits, quick, null),
        ]);
        yield return new WorkloadGroup(["odenet_adjoint"],
        [
            Workload("ODE-Net, 20 batches, adjoint", digits, quick, GradientMethod.Adjoint()),
            Workload("ODE-Net, 20 batches, adjoint, bfloat16 convolutions", digits, quick, GradientMethod.Adjoint(), ScalarType.BFloat16),
        ]);
    }

    /// <summary>What stands in front of the block, as modules of torch.</summary>
    public static Module<Tensor, Tensor> Down(int channels) => Sequential(
        Conv2d(1, channels, 3), Norm(channels), ReLU(), Conv2d(channels, channels, 4, stride: 2, padding: 1), Norm(channels), ReLU(),
        Conv2d(channels, channels, 4, stride: 2, padding: 1));

    /// <summary>What stands behind it.</summary>
    public static Module<Tensor, Tensor> Head(int channels, int classes) =>
        Sequential(Norm(channels), ReLU(), AdaptiveAvgPool2d(1), Flatten(), Linear(channels, classes));

    private static Workload Workload(string name, Digits digits, bool quick, GradientMethod? gradient, ScalarType? type = null) =>
        new(name, "s", HigherIsBetter: false, () => Batches(digits, quick, gradient, type),
            line => new Outcome(
                line.GetProperty("seconds_per_20_batches").GetDouble(), line.GetProperty("nfe_forward").GetDouble(),
                line.GetProperty("nfe_backward").GetDouble(),
                line.GetProperty("loss").GetDouble()));

    /// <summary>Training steps, of another batch each.</summary>
    public static Measured Train(Digits digits, GradientMethod? gradient, ScalarType? type, Amount amount)
    {
        random.manual_seed(0);
        using DisposeScope outer = NewDisposeScope();
        Module<Tensor, Tensor> down = Down(Channels);
        var options = new OdeSolverOptions { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-3, Gradient = gradient };
        var block = new OdeBlock(new ConvolutionalDynamics(Channels, convolutionType: type), endTime: 1, options);
        Module<Tensor, Tensor> head = Head(Channels, 10);
        foreach (Module part in new Module[] { down, block, head })
            part.to(amount.Device);
        optim.Optimizer optimizer = optim.SGD([.. down.parameters(), .. block.parameters(), .. head.parameters()], 0.1, momentum: 0.9);
        Tensor images = digits.TrainImages.to(amount.Device), labels = digits.TrainLabels.to(amount.Device);
        Tensor order = randperm(images.shape[0]).to(amount.Device);
        return amount.Measure(
            step => order.narrow(0, step * amount.BatchSize, amount.BatchSize),
            rows =>
            {
                optimizer.zero_grad();
                OdeSolution solution = block.Solve(down.call(images.index_select(0, rows).reshape(-1, 1, 28, 28)));
                Tensor loss = functional.cross_entropy(head.call(solution.Final), labels.index_select(0, rows));
                loss.backward();
                optimizer.step();
                return StepCost.Of(solution.Statistics, loss);
            });
    }

    private static Outcome Batches(Digits digits, bool quick, GradientMethod? gradient, ScalarType? type)
    {
        Measured steps = Train(digits, gradient, type, new Amount(CPU, quick ? 4 : BatchSize, quick ? 0 : 2, quick ? 1 : 20));
        return steps.With(steps.MeanSeconds * 20);
    }

    /// <summary>Group normalisation; this version of TorchSharp leaves its weights uninitialised.</summary>
    private static TorchSharp.Modules.GroupNorm Norm(int channels)
    {
        TorchSharp.Modules.GroupNorm norm = GroupNorm(Math.Min(32, channels), channels);
        init.ones_(norm.weight!);
        init.zeros_(norm.bias!);
        return norm;
    }
}
