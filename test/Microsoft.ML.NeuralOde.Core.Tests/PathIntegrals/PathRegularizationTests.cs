using Microsoft.ML.NeuralOde.Core.Tests.Support;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Core.Tests.PathIntegrals;

public class PathRegularizationTests
{
    [Theory]
    [InlineData(1.0)]
    [InlineData(-1.0)]
    public void The_penalties_of_linear_dynamics_are_those_of_the_closed_form(double end)
    {
        using DisposeScope scope = NewDisposeScope();
        // y′ = a y: ∫‖f‖² = |y₀|² a (e^{2aT} − 1)/2 along the path, ‖∂f/∂y‖² = n a².
        Tensor y = tensor(new[] { 1.0, 2, -1, 0.5, 0, 3 }, [2, 3]);
        var dynamics = new Growth(0.7);
        var options = new OdeSolverOptions { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-10 };
        RegularizedSolution solution = new PathRegularization
        {
            KineticEnergy = 0.5,
            JacobianNorm = 2,
            Estimator = TraceEstimator.Exact
        }.Solve(dynamics, y, 0, end, options);
        double energy = y.square().sum(dim: 1L).mean().ToDouble() * 0.7 * Math.Abs(Math.Exp(1.4 * end) - 1) / 2;
        double norm = 3 * 0.49;
        Problems.MaximumDifference(solution.Final, y * Math.Exp(0.7 * end)).Should().BeLessThan(1e-7);
        solution.Penalty.ToDouble().Should().BeApproximately(0.5 * energy + 2 * norm, 1e-6);
    }

    [Fact]
    public void States_of_any_shape_keep_it_and_the_penalty_reaches_the_parameters()
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new Convolution();
        Tensor y = randn(2, 3, 4, 4);
        var regularization = new PathRegularization { KineticEnergy = 0.1, JacobianNorm = 0.1 };
        RegularizedSolution solution = regularization.Solve(dynamics, y, 0, 1);
        solution.Final.shape.Should().Equal(2, 3, 4, 4);
        solution.Penalty.backward();
        dynamics.parameters().Should().OnlyContain(p => p.grad!.abs().max().ToDouble() > 0);
        using OdeSolution plain = Ode.Solve(dynamics, y, 0, 1);
        Problems.MaximumDifference(plain.Final, solution.Final).Should().BeLessThan(1e-4);
    }

    [Fact]
    public void Without_weights_there_is_no_penalty()
    {
        using DisposeScope scope = NewDisposeScope();
        PathRegularization.None.IsActive.Should().BeFalse();
        using var dynamics = new DenseDynamics(2);
        PathRegularization.None.Solve(dynamics, randn(3, 2), 0, 1).Penalty.ToDouble().Should().Be(0);
        Action act = () => new PathRegularization { JacobianNorm = double.NaN }.Solve(dynamics, randn(3, 2), 0, 1);
        act.Should().Throw<ArgumentException>().WithMessage("*JacobianNorm*");
    }

    private sealed class Growth(double rate) : Module<Tensor, Tensor, Tensor>(nameof(Growth))
    {
        public override Tensor forward(Tensor t, Tensor y) => y * rate;
    }

    private sealed class Convolution : Module<Tensor, Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.Conv2d _layer = Conv2d(3, 3, 3, padding: 1, bias: false);

        public Convolution()
            : base(nameof(Convolution)) => RegisterComponents();

        public override Tensor forward(Tensor t, Tensor y) => _layer.call(y).tanh();
    }
}
