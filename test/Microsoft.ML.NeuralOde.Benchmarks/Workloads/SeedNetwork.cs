using TorchSharp.Modules;
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

    /// <param name="dynamics">“user-written”, “layered” (the same, naming its layers) or “built-in”.</param>
    /// <param name="gradient">How derivatives are computed; null for the default.</param>
    public SeedNetwork(string dynamics, GradientMethod? gradient)
        : base(nameof(SeedNetwork))
    {
        _encoder = Sequential(Linear(784, 128), ReLU(), Linear(128, Width));
        var options = new OdeSolverOptions { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4, Gradient = gradient };
        _block = new OdeBlock(Create(dynamics), endTime: 1, options);
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

    private static Module<Tensor, Tensor, Tensor> Create(string dynamics) => dynamics switch
    {
        "user-written" => new UserDynamics(Width),
        "layered" => new LayeredDynamics(Width),
        "built-in" => new DenseDynamics(Width),
        _ => throw new ArgumentOutOfRangeException(nameof(dynamics), dynamics, "There are no such dynamics."),
    };

    /// <summary>The dynamics as a user would write them, after torchdiffeq's examples.</summary>
    private class UserDynamics : Module<Tensor, Tensor, Tensor>
    {
        protected readonly Linear First;
        protected readonly Linear Second;
        protected readonly Linear Time;

        public UserDynamics(int width)
            : base(nameof(UserDynamics))
        {
            First = Linear(width, width);
            Second = Linear(width, width);
            Time = Linear(1, width);
            RegisterComponents();
        }

        public override Tensor forward(Tensor t, Tensor h) => Second.call(First.call(h).tanh()) + Time.call(t.reshape(1, 1));
    }

    /// <summary>The same, which names its layers.</summary>
    private sealed class LayeredDynamics(int width) : UserDynamics(width), ILayeredDynamics
    {
        private readonly Module<Tensor, Tensor> _tanh = Tanh();

        public IReadOnlyList<Module<Tensor, Tensor>> Layers => [First, _tanh, Second];

        public Linear AddedTime => Time;
    }
}
