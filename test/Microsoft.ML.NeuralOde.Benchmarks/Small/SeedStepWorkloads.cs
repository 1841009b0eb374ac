using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Small;

/// <summary>Where a training step of the reference model goes, batch 128, built-in dynamics: as a whole, and part by part.</summary>
internal static class SeedStepWorkloads
{
    private const int BatchSize = 128, Width = 64;

    private static readonly Lazy<Parts> Network = new(() => new Parts());

    public static SmallWorkload[] All { get; } =
    [
        new("seed step, whole", () => Network.Value.Step(withBlock: true, withUpdate: true)),
        new("seed step, without update of weights", () => Network.Value.Step(withBlock: true, withUpdate: false)),
        new("seed step, without ODE block", () => Network.Value.Step(withBlock: false, withUpdate: true)),
        new("seed step, ODE block alone", () => Network.Value.Block()),
        new("seed step, update of weights alone", () => Network.Value.Update()),
        new("seed step, update of weights by torch.optim.Adam", () => Network.Value.UpdateByTorch()),
    ];

    private sealed class Parts : IDisposable
    {
        private readonly Module<Tensor, Tensor> _encoder, _head;
        private readonly OdeBlock _block;
        private readonly AdamOptimizer _optimizer;
        private readonly optim.Optimizer _torchs;
        private readonly Tensor _images = rand(BatchSize, 784), _labels = randint(10, BatchSize), _hidden = randn(BatchSize, Width);

        public Parts()
        {
            random.manual_seed(1);
            _encoder = Sequential(Linear(784, 128), ReLU(), Linear(128, Width));
            _head = Linear(Width, 10);
            _block = new OdeBlock(
                new DenseDynamics(Width), endTime: 1, new OdeSolverOptions { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4 });
            // So small that the steps of a long measurement leave the weights about as they are.
            const double Rate = 1e-9;
            Parameter[] weights = [.. _encoder.parameters(), .. _block.parameters(), .. _head.parameters()];
            _optimizer = new AdamOptimizer(weights, Rate);
            _torchs = optim.Adam(weights, Rate);
            // An update alone has gradients to follow then.
            Step(withBlock: true, withUpdate: false);
        }

        public void Dispose()
        {
            _optimizer.Dispose();
            _torchs.Dispose();
            foreach (IDisposable part in new IDisposable[] { _encoder, _block, _head, _images, _labels, _hidden })
                part.Dispose();
        }

        public SolverStatistics Step(bool withBlock, bool withUpdate)
        {
            using DisposeScope scope = NewDisposeScope();
            _optimizer.ZeroGradients();
            Tensor hidden = _encoder.call(_images);
            SolverStatistics cost = new();
            if (withBlock)
            {
                OdeSolution solution = _block.Solve(hidden);
                (hidden, cost) = (solution.Final, solution.Statistics);
            }
            functional.cross_entropy(_head.call(hidden), _labels).backward();
            if (withUpdate)
                _optimizer.Step();
            return cost;
        }

        public SolverStatistics Block()
        {
            using DisposeScope scope = NewDisposeScope();
            _optimizer.ZeroGradients();
            OdeSolution solution = _block.Solve(_hidden.alias().requires_grad_());
            solution.Final.sum().backward();
            return solution.Statistics;
        }

        public SolverStatistics Update()
        {
            using DisposeScope scope = NewDisposeScope();
            _optimizer.Step();
            return new SolverStatistics();
        }

        public SolverStatistics UpdateByTorch()
        {
            using DisposeScope scope = NewDisposeScope();
            _torchs.step();
            return new SolverStatistics();
        }
    }
}
