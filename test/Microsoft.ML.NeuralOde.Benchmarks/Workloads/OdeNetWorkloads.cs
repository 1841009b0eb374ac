using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>The convolutional ODE-Net of R. T. Q. Chen et al., 2018: 20 training batches of 128 images.</summary>
internal static class OdeNetWorkloads
{
    private const int BatchSize = 128;
    private const int Channels = 64;
    private const double Tolerance = 1e-3;

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
            Workload("ODE-Net, 20 batches, adjoint to 1e-2", digits, quick, LooseAdjoint),
            Workload("ODE-Net, 20 batches, adjoint, bfloat16 convolutions", digits, quick, GradientMethod.Adjoint(), ScalarType.BFloat16),
        ]);
        yield return new WorkloadGroup(["odenet_error"],
        [
            ErrorWorkload("ODE-Net, error of gradients, adjoint", digits, quick, GradientMethod.Adjoint()),
            ErrorWorkload("ODE-Net, error of gradients, adjoint to 1e-2", digits, quick, LooseAdjoint),
        ], UsesOwnScript: true);
    }

    /// <summary>Looser on the way back than the solve, whose own error is the larger part of the gradient's.</summary>
    private static GradientMethod LooseAdjoint => GradientMethod.Adjoint(relativeTolerance: 1e-2, absoluteTolerance: 1e-2);

    /// <summary>What stands in front of the block, as modules of torch.</summary>
    public static Module<Tensor, Tensor> Down(int channels) => Sequential(
        Conv2d(1, channels, 3), Norm(channels), ReLU(), Conv2d(channels, channels, 4, stride: 2, padding: 1), Norm(channels), ReLU(),
        Conv2d(channels, channels, 4, stride: 2, padding: 1));

    /// <summary>What stands behind it.</summary>
    public static Module<Tensor, Tensor> Head(int channels, int classes) =>
        Sequential(Norm(channels), ReLU(), AdaptiveAvgPool2d(1), Flatten(), Linear(channels, classes));

    private static ConvolutionalDynamics Equation(ScalarType? type) => new(Channels, convolutionType: type);

    private static Workload Workload(string name, Digits digits, bool quick, GradientMethod? gradient, ScalarType? type = null) =>
        new(name, "s", HigherIsBetter: false, () => Batches(digits, quick, gradient, type),
            line => new Outcome(
                line.GetProperty("seconds_per_20_batches").GetDouble(), line.GetProperty("nfe_forward").GetDouble(),
                line.GetProperty("nfe_backward").GetDouble(),
                line.GetProperty("loss").GetDouble()));

    private static Workload ErrorWorkload(string name, Digits digits, bool quick, GradientMethod gradient) =>
        new(name, "%", HigherIsBetter: false, () => MeasureError(digits, quick, gradient),
            line => new Outcome(
                line.GetProperty("percent").GetDouble(), line.GetProperty("nfe_forward").GetDouble(),
                line.GetProperty("nfe_backward").GetDouble()));

    /// <summary>Training steps, of another batch each.</summary>
    public static Measured Train(Digits digits, GradientMethod? gradient, ScalarType? type, Amount amount)
    {
        using DisposeScope outer = NewDisposeScope();
        var training = new Training(digits, amount.BatchSize, type, amount.Device);
        return amount.Measure(training.Rows, rows =>
        {
            StepCost cost = training.Differentiate(rows, Tolerance, gradient);
            training.Step();
            return cost;
        });
    }

    private static Outcome Batches(Digits digits, bool quick, GradientMethod? gradient, ScalarType? type)
    {
        Measured steps = Train(digits, gradient, type, new Amount(CPU, quick ? 4 : BatchSize, quick ? 0 : 2, quick ? 1 : 20));
        return steps.With(steps.MeanSeconds * 20);
    }

    /// <summary>
    /// How far gradients lie from those of solves to 1e-5, relative to their length, at every fifth of 20 batches of a training.
    /// </summary>
    private static Outcome MeasureError(Digits digits, bool quick, GradientMethod gradient)
    {
        using DisposeScope outer = NewDisposeScope();
        var training = new Training(digits, quick ? 4 : BatchSize, null, CPU);
        int batches = quick ? 1 : 21, every = 5, count = 0;
        double error = 0, forward = 0, backward = 0;
        for (int b = 0; b < batches; b++)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor rows = training.Rows(b);
            if (b % every == 0 && (b > 0 || quick))
            {
                training.Differentiate(rows, 1e-5, null);
                Tensor exact = training.Gradient();
                StepCost cost = training.Differentiate(rows, Tolerance, gradient);
                error += (training.Gradient() - exact).norm().ToDouble() / exact.norm().ToDouble();
                forward += cost.Forward;
                backward += cost.Backward;
                count++;
            }
            training.Differentiate(rows, Tolerance, null);
            training.Step();
        }
        return new Outcome(100 * error / count, forward / count, backward / count);
    }

    /// <summary>The network, its data and its optimizer; in the current scope.</summary>
    private sealed class Training
    {
        private readonly int _batchSize;
        private readonly Module<Tensor, Tensor> _down, _head;
        private readonly Module<Tensor, Tensor, Tensor> _dynamics;
        private readonly optim.Optimizer _optimizer;
        private readonly Tensor _images, _labels, _order;

        public Training(Digits digits, int batchSize, ScalarType? type, Device device)
        {
            random.manual_seed(0);
            _batchSize = batchSize;
            _down = Down(Channels);
            _dynamics = Equation(type);
            _head = Head(Channels, 10);
            foreach (Module part in new Module[] { _down, _dynamics, _head })
                part.to(device);
            _optimizer = optim.SGD([.. _down.parameters(), .. _dynamics.parameters(), .. _head.parameters()], 0.1, momentum: 0.9);
            (_images, _labels) = (digits.TrainImages.to(device), digits.TrainLabels.to(device));
            _order = randperm(_images.shape[0]).to(device);
        }

        /// <summary>Which images a batch has.</summary>
        public Tensor Rows(int batch) => _order.narrow(0, batch * _batchSize, _batchSize);

        /// <summary>Computes the gradients of a batch.</summary>
        public StepCost Differentiate(Tensor rows, double tolerance, GradientMethod? gradient)
        {
            _optimizer.zero_grad();
            var options = new OdeSolverOptions { RelativeTolerance = tolerance, AbsoluteTolerance = tolerance, Gradient = gradient };
            OdeSolution solution = Ode.Solve(
                _dynamics, _down.call(_images.index_select(0, rows).reshape(-1, 1, 28, 28)), 0, 1, options);
            Tensor loss = functional.cross_entropy(_head.call(solution.Final), _labels.index_select(0, rows));
            loss.backward();
            return StepCost.Of(solution.Statistics, loss);
        }

        public void Step() => _optimizer.step();

        /// <summary>The gradients that the equation carries or makes, as one vector; a copy.</summary>
        public Tensor Gradient() =>
            cat([.. _down.parameters().Concat(_dynamics.parameters()).Select(parameter => parameter.grad!.reshape(-1))]);
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
