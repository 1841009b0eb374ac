using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Benchmarks.Small;

/// <summary>
/// The spiral of SciML's own benchmark: 2–50–2 with tanh behind a cube, one trajectory, 30 saved times on [0, 1.5]; a gradient. The module
/// names its layers, and so runs on the kernels but where a workload forbids it.
/// </summary>
internal static class SpiralWorkloads
{
    private static readonly Lazy<Cubed> Dynamics = new(() => new Cubed());

    public static SmallWorkload[] All { get; } =
    [
        Workload("default gradient", 1e-5, GradientMethod.Checkpointed()),
        Workload("adjoint", 1e-5, GradientMethod.Adjoint()),
        Workload("adjoint by tsit5 alone", 1e-5, GradientMethod.Adjoint(OdeMethod.Tsit5)),
        Workload("default gradient, by its forward", 1e-5, GradientMethod.Checkpointed(), lowered: false),
        Workload("adjoint, by its forward", 1e-5, GradientMethod.Adjoint(), lowered: false),
        Workload("default gradient", 1e-7, GradientMethod.Checkpointed()),
        Workload("adjoint", 1e-7, GradientMethod.Adjoint()),
        Workload("adjoint by tsit5 alone", 1e-7, GradientMethod.Adjoint(OdeMethod.Tsit5)),
    ];

    private static SmallWorkload Workload(string name, double tolerance, GradientMethod gradient, bool lowered = true) =>
        new(FormattableString.Invariant($"spiral, 30 outputs, rtol {tolerance:0e0}, {name}"), () => Run(tolerance, gradient, lowered));

    private static SolverStatistics Run(double tolerance, GradientMethod gradient, bool lowered)
    {
        using DisposeScope scope = NewDisposeScope();
        Cubed dynamics = Dynamics.Value;
        dynamics.zero_grad();
        Tensor start = tensor(new[,] { { 2f, 0 } }).requires_grad_();
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Tsit5,
            RelativeTolerance = tolerance,
            AbsoluteTolerance = tolerance / 10,
            Gradient = gradient,
            LowerLayers = lowered,
        };
        OdeSolution solution = Ode.Solve(dynamics, start, linspace(0, 1.5, 30, ScalarType.Float64), options);
        solution.States.square().mean().backward();
        return solution.Statistics;
    }

    private sealed class Cubed : nn.Module<Tensor, Tensor, Tensor>, ILayeredDynamics
    {
        private readonly Sequential _net;

        public Cubed()
            : base(nameof(Cubed))
        {
            random.manual_seed(1);
            _net = nn.Sequential(new Power(3), nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2));
            RegisterComponents();
        }

        public IReadOnlyList<nn.Module<Tensor, Tensor>> Layers => [_net];

        public override Tensor forward(Tensor t, Tensor y) => _net.call(y);
    }
}
