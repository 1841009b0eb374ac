using System.Diagnostics;
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
        new(name, "s", HigherIsBetter: false, () => Train(digits, quick, gradient, type),
            line => new Outcome(
                line.GetProperty("seconds_per_20_batches").GetDouble(), line.GetProperty("nfe_forward").GetDouble(),
                line.GetProperty("nfe_backward").GetDouble(),
                line.GetProperty("loss").GetDouble()));

    private static Outcome Train(Digits digits, bool quick, GradientMethod? gradient, ScalarType? type)
    {
        random.manual_seed(0);
        using DisposeScope outer = NewDisposeScope();
        Module<Tensor, Tensor> down = Down(Channels);
        var options = new OdeSolverOptions { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-3, Gradient = gradient };
        var block = new OdeBlock(new ConvolutionalDynamics(Channels, convolutionType: type), endTime: 1, options);
        Module<Tensor, Tensor> head = Head(Channels, 10);
        optim.Optimizer optimizer = optim.SGD([.. down.parameters(), .. block.parameters(), .. head.parameters()], 0.1, momentum: 0.9);
        Tensor order = randperm(digits.TrainImages.shape[0]);
        int warmup = quick ? 0 : 2, batches = quick ? 1 : 20, size = quick ? 4 : BatchSize;
        double seconds = 0, forward = 0, backward = 0, last = 0;
        for (int b = 0; b < warmup + batches; b++)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor rows = order.narrow(0, b * size, size);
            long started = Stopwatch.GetTimestamp();
            optimizer.zero_grad();
            OdeSolution solution = block.Solve(down.call(digits.TrainImages.index_select(0, rows).reshape(-1, 1, 28, 28)));
            Tensor loss = functional.cross_entropy(head.call(solution.Final), digits.TrainLabels.index_select(0, rows));
            loss.backward();
            optimizer.step();
            if (b < warmup)
                continue;
            seconds += Stopwatch.GetElapsedTime(started).TotalSeconds;
            forward += solution.Statistics.FunctionEvaluations;
            backward += solution.Statistics.BackwardEvaluations;
            last = loss.ToDouble();
        }
        return new Outcome(seconds / batches * 20, forward / batches, backward / batches, last);
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
