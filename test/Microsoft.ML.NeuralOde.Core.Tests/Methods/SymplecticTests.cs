using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Methods;

public class SymplecticTests
{
    /// <summary>A pendulum: q″ = −sin q.</summary>
    private static Tensor Pendulum(Tensor t, Tensor y) => cat([y.narrow(-1, 1, 1), -y.narrow(-1, 0, 1).sin()], -1);

    [Theory]
    [InlineData("leapfrog", 2)]
    [InlineData("semi_implicit_euler", 1)]
    public void The_order_is_that_of_the_method(string name, int order)
    {
        OdeMethod method = OdeMethod.Parse(name);
        method.Order.Should().Be(order);
        using Tensor y0 = tensor(new[] { 1.0, 0.3, -0.5, 0.2 }, [2, 2]);
        using Tensor times = tensor(new[] { 0.0, 2.0 });
        using OdeSolution reference = Ode.Solve(
            Pendulum, y0, times, new OdeSolverOptions { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-12, AbsoluteTolerance = 1e-13 });
        double Error(double step)
        {
            using OdeSolution solution = Ode.Solve(Pendulum, y0, 0, 2, method, step);
            return Problems.MaximumDifference(solution.Final, reference.Final);
        }
        Math.Log2(Error(0.02) / Error(0.01)).Should().BeApproximately(order, 0.1);
    }

    [Theory]
    [InlineData("leapfrog", 2e-3)]
    [InlineData("semi_implicit_euler", 6e-2)]
    public void Energy_stays_near_its_value_for_ever(string name, double tolerance)
    {
        using Tensor y0 = tensor(new[] { 1.0, 0.0 });
        using Tensor times = linspace(0, 500, 51, ScalarType.Float64);
        using IDisposable noGrad = no_grad();
        using OdeSolution solution =
            Ode.Solve(Pendulum, y0, times, new OdeSolverOptions { Method = OdeMethod.Parse(name), StepSize = 0.1 });
        Tensor energy = solution.States.select(1, 1).square() / 2 - solution.States.select(1, 0).cos();
        (energy - energy[0]).abs().max().ToDouble().Should().BeLessThan(tolerance);
    }

    [Theory]
    [InlineData("leapfrog")]
    [InlineData("reversible_heun")]
    public void Gradients_agree_with_finite_differences(string name)
    {
        double[] start = [1.0, 0.3];
        using Tensor y0 = tensor(start).requires_grad_();
        using Tensor times = tensor(new[] { 0.0, 1.0, 1.5 });
        var options = new OdeSolverOptions { Method = OdeMethod.Parse(name), StepSize = 0.11, Gradient = GradientMethod.Checkpointed() };
        Ode.Solve(Pendulum, y0, times, options, []).States.square().sum().backward();
        for (int i = 0; i < 2; i++)
        {
            double Value(double change)
            {
                using Tensor moved = tensor([.. start.Select((v, j) => j == i ? v + change : v)]);
                using IDisposable noGrad = no_grad();
                using OdeSolution solution = Ode.Solve(Pendulum, moved, times, options);
                return solution.States.square().sum().ToDouble();
            }
            y0.grad![i].ToDouble().Should().BeApproximately((Value(1e-6) - Value(-1e-6)) / 2e-6, 1e-7);
        }
    }

    [Fact]
    public void States_without_halves_are_refused()
    {
        using Tensor y0 = ones([3], ScalarType.Float64);
        Action act = () => Ode.Solve(Problems.Decay, y0, 0, 1, OdeMethod.Leapfrog, 0.1);
        act.Should().Throw<ArgumentException>().WithMessage("*[3]*positions*");
    }
}
