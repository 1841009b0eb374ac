using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Benchmarks.Small;

/// <summary>
/// The spiral of SciML's own benchmark: 2–50–2 with tanh behind a cube, one trajectory, 30 saved times on [0, 1.5]; a gradient.
/// </summary>
internal static class SpiralWorkloads
{
    private static readonly Lazy<Cubed> Dynamics = new(() => new Cubed());

    public static SmallWorkload[] All { get; } =
    [
        Workload("default gradient", 1e-5, GradientMethod.Checkpointed()),
        Workload("adjoint", 1e-5, GradientMethod.Adjoint()),
        Workload("adjoint by tsit5 alone", 1e-5, GradientMethod.Adjoint(OdeMethod.Tsit5)),
        Workload("default gradient", 1e-7, GradientMethod.Checkpointed()),
        Workload("adjoint", 1e-7, GradientMethod.Adjoint()),
        Workload("adjoint by tsit5 alone", 1e-7, GradientMethod.Adjoint(OdeMethod.Tsit5)),
    ];

    private static SmallWorkload Workload(string name, double tolerance, GradientMethod gradient) =>
        new(FormattableString.Invariant($"spiral, 30 outputs, rtol {tolerance:0e0}, {name}"), () => Run(tolerance, gradient));

    private static SolverStatistics Run(double tolerance, GradientMethod gradient)
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
        };
        OdeSolution solution = Ode.Solve(dynamics, start, linspace(0, 1.5, 30, ScalarType.Float64), options);
        solution.States.square().mean().backward();
        return solution.Statistics;
    }

    private sealed class Cubed : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly Sequential _net;

        public Cubed()
            : base(nameof(Cubed))
        {
            random.manual_seed(1);
            _net = nn.Sequential(nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2));
            RegisterComponents();
        }

        public override Tensor forward(Tensor t, Tensor y) => _net.call(y.pow(3));
    }
}
