using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>
/// The reference model: 784 → 128 → ReLU → 64 → ODE block on [0, 1] → 10, with f(t, h) = Linear(64, 64) → tanh → Linear(64, 64), and a
/// learned vector times t.
/// </summary>
internal sealed class SeedNetwork : Module<Tensor, Tensor>
{
    private const int Width = 64;

    private readonly Module<Tensor, Tensor> _encoder;
    private readonly OdeBlock _block;
    private readonly Module<Tensor, Tensor> _head;

    public SeedNetwork(bool builtIn, GradientMethod? gradient)
        : base(nameof(SeedNetwork))
    {
        _encoder = Sequential(Linear(784, 128), ReLU(), Linear(128, Width));
        var options = new OdeSolverOptions { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4, Gradient = gradient };
        _block = new OdeBlock(builtIn ? new DenseDynamics(Width) : new UserDynamics(Width), endTime: 1, options);
        _head = Linear(Width, 10);
        RegisterComponents();
    }

    /// <summary>What the last forward pass cost; grows with the backward pass.</summary>
    public SolverStatistics? Statistics { get; private set; }

    public override Tensor forward(Tensor input)
    {
        using DisposeScope scope = NewDisposeScope();
        OdeSolution solution = _block.Solve(_encoder.call(input));
        Statistics = solution.Statistics;
        return _head.call(solution.Final).MoveToOuterDisposeScope();
    }

    /// <summary>The dynamics as a user would write them, after torchdiffeq's examples.</summary>
    private sealed class UserDynamics : Module<Tensor, Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> _first;
        private readonly Module<Tensor, Tensor> _second;
        private readonly Module<Tensor, Tensor> _time;

        public UserDynamics(int width)
            : base(nameof(UserDynamics))
        {
            _first = Linear(width, width);
            _second = Linear(width, width);
            _time = Linear(1, width);
            RegisterComponents();
        }

        public override Tensor forward(Tensor t, Tensor h) => _second.call(_first.call(h).tanh()) + _time.call(t.reshape(1, 1));
    }
}
