using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Small;

/// <summary>A solve and its gradient of modules that name their layers: on the kernels, and by their own forward.</summary>
internal static class LayeredWorkloads
{
    private const int BatchSize = 128, Width = 64;

    public static SmallWorkload[] All { get; } =
    [
        .. Pair("GELU", () => [Linear(Width, Width), GELU(), Linear(Width, Width)]),
        .. Pair("LayerNorm, GELU by tanh", () =>
            [LayerNorm(Width), Linear(Width, Width), GELU(TorchSharp.Modules.GELU.Approximate.tanh), Linear(Width, Width)]),
        .. Pair("Sigmoid, time concatenated", () => [Linear(Width + 1, Width), Sigmoid(), Linear(Width, Width)]),
    ];

    private static IEnumerable<SmallWorkload> Pair(string name, Func<Module<Tensor, Tensor>[]> create)
    {
        var module = new Lazy<Named>(() => new Named(create()));
        yield return new SmallWorkload($"layers with {name}, on the kernels", () => Run(module.Value, lower: true));
        yield return new SmallWorkload($"layers with {name}, by their forward", () => Run(module.Value, lower: false));
    }

    private static SolverStatistics Run(Named module, bool lower)
    {
        using DisposeScope scope = NewDisposeScope();
        module.zero_grad();
        Tensor start = ones(BatchSize, Width).requires_grad_();
        var options = new OdeSolverOptions { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4, LowerLayers = lower };
        OdeSolution solution = Ode.Solve(module, start, 0, 1, options);
        solution.Final.square().mean().backward();
        return solution.Statistics.IsLowered == lower ? solution.Statistics
            : throw new InvalidOperationException($"The layers are not where they should be: {solution.Statistics.WhyNotLowered}");
    }

    private sealed class Named : Module<Tensor, Tensor, Tensor>, ILayeredDynamics
    {
        private readonly TorchSharp.Modules.Sequential _layers;
        private readonly bool _takesTime;

        public Named(Module<Tensor, Tensor>[] layers)
            : base(nameof(Named))
        {
            random.manual_seed(1);
            _layers = Sequential(layers);
            _takesTime = layers[0] is TorchSharp.Modules.Linear first && first.weight!.shape[1] > Width;
            RegisterComponents();
        }

        public IReadOnlyList<Module<Tensor, Tensor>> Layers => [_layers];

        public TimeInput ConcatenatedTime => _takesTime ? TimeInput.Last : TimeInput.None;

        public override Tensor forward(Tensor t, Tensor y) =>
            _layers.call(_takesTime ? cat([y, t.reshape(1, 1).expand(y.shape[0], 1)], 1) : y);
    }
}
