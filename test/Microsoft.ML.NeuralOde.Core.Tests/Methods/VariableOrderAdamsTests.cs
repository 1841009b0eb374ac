using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Core.Tests.Methods;

public class VariableOrderAdamsTests
{
    [Theory]
    // The classical weights for equal steps (E. Hairer, S. P. Nørsett, G. Wanner, Solving Ordinary Differential Equations I, III.1).
    [InlineData(0, new[] { 55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24 })]
    [InlineData(1, new[] { 251.0 / 720, 646.0 / 720, -264.0 / 720, 106.0 / 720, -19.0 / 720 })]
    public void On_a_uniform_grid_the_weights_are_the_classical_ones(int ahead, double[] expected)
    {
        using Tensor y = zeros(1, ScalarType.Float64);
        using var span = new StepSpan([2], [2.5], new Clock(TimeGrid.Of(0, 1), y, perRow: false));
        double[] times = [.. Enumerable.Range(0, expected.Length).Select(j => 2 + 0.5 * (ahead - j))];
        AdamsCoefficients.Weights(span, times).Should().Equal(expected, (a, b) => Math.Abs(a - b) < 1e-13);
    }

    [Theory]
    [InlineData(new[] { 0.0 })]
    [InlineData(new[] { 1.0, 0.6, 0.5, -0.2, -0.9 })]
    [InlineData(new[] { 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0, -0.1, -0.2 })]
    public void The_weights_integrate_polynomials_through_any_times_exactly(double[] times)
    {
        using Tensor y = zeros(1, ScalarType.Float64);
        using var span = new StepSpan([1], [1.3], new Clock(TimeGrid.Of(0, 1), y, perRow: false));
        double[] weights = AdamsCoefficients.Weights(span, times);
        for (int power = 0; power < times.Length; power++)
        {
            double exact = (Math.Pow(1.3, power + 1) - 1) / (power + 1);
            (0.3 * weights.Zip(times, (w, t) => w * Math.Pow(t, power)).Sum()).Should()
                .BeApproximately(exact, 1e-10 * weights.Max(Math.Abs));
        }
    }

    [Theory]
    [InlineData(1e-6)]
    [InlineData(1e-9)]
    [InlineData(1e-11)]
    public void Long_smooth_problems_take_fewer_evaluations_than_any_Runge_Kutta_method(double tolerance)
    {
        // A pendulum in a field that turns: smooth, non-autonomous, a hundred units of time.
        Tensor Pendulum(Tensor t, Tensor y) => cat([y.narrow(-1, 1, 1), -y.narrow(-1, 0, 1).sin() + 0.1 * (0.3 * t).cos()], -1);
        using Tensor y0 = tensor(new[] { 1.0, 0.0 });
        using Tensor times = tensor(new[] { 0.0, 100.0 });
        using IDisposable noGrad = no_grad();
        using OdeSolution exact = Ode.Solve(
            Pendulum, y0, times, new OdeSolverOptions { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-13, AbsoluteTolerance = 1e-14 });
        (long evaluations, double error) adams = Solve(OdeMethod.Adams);
        adams.error.Should().BeLessThan(2000 * tolerance);
        foreach (OdeMethod other in new[] { OdeMethod.Tsit5, OdeMethod.Dopri5, OdeMethod.Dopri8 })
            adams.evaluations.Should().BeLessThan(Solve(other).Evaluations, "{0} needs as many", other);

        (long Evaluations, double Error) Solve(OdeMethod method)
        {
            using OdeSolution solution = Ode.Solve(Pendulum,
                y0, times, new OdeSolverOptions { Method = method, RelativeTolerance = tolerance, AbsoluteTolerance = tolerance });
            return (solution.Statistics.FunctionEvaluations, Problems.MaximumDifference(solution.Final, exact.Final));
        }
    }

    [Fact]
    public void Between_steps_the_solution_is_as_accurate_as_at_their_ends()
    {
        using Tensor y0 = tensor(new[] { 0.2 });
        using Tensor times = linspace(0, 3, 301, ScalarType.Float64);
        using IDisposable noGrad = no_grad();
        using OdeSolution solution = Ode.Solve(Problems.Tangent, y0, times,
            new OdeSolverOptions { Method = OdeMethod.Adams, RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-9 });
        solution.Statistics.AcceptedSteps.Should().BeLessThan(100, "most of the 301 times lie between steps");
        using Tensor exact = tensor(times.data<double>().ToArray().Select(t => Problems.TangentSolution(t, 0.2)).ToArray());
        Problems.MaximumDifference(solution.States.squeeze(1), exact).Should().BeLessThan(1e-7);
    }

    [Fact]
    public void A_jump_of_the_right_hand_side_restarts_the_method()
    {
        // y' = ±1: exact at every order, but not across the jump.
        using Tensor y0 = tensor(new[] { 0.0 });
        using Tensor times = tensor(new[] { 0.0, 2.0 });
        using IDisposable noGrad = no_grad();
        var options = new OdeSolverOptions { Method = OdeMethod.Adams, Discontinuities = [0.7] };
        using OdeSolution solution = Ode.Solve((t, y) => (t < 0.7).to(y.dtype) * 2 - ones_like(y), y0, times, options);
        solution.Final.ToDouble().Should().BeApproximately(0.7 - 1.3, 1e-12);
        solution.Statistics.RejectedSteps.Should().Be(0);
    }

    [Fact]
    public void Direct_gradients_of_state_and_parameters_are_those_of_the_solution()
    {
        using Tensor a = tensor(0.7, ScalarType.Float64).requires_grad_();
        using Tensor y0 = tensor(new[] { 1.0 }).requires_grad_();
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Adams,
            RelativeTolerance = 1e-9,
            AbsoluteTolerance = 1e-9,
            Gradient = GradientMethod.Direct()
        };
        using OdeSolution solution = Ode.Solve((t, y) => -a * y, y0, times, options, [a]);
        solution.Final.sum().backward();
        a.grad!.ToDouble().Should().BeApproximately(-Math.Exp(-0.7), 1e-7);
        y0.grad!.ToDouble().Should().BeApproximately(Math.Exp(-0.7), 1e-7);
    }

    [Theory]
    [InlineData("adams")]
    [InlineData("auto")]
    public void Steps_of_single_rows_are_refused(string name)
    {
        using Tensor y0 = ones(2, 1);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        Action act = () => Ode.Solve(Problems.Decay, y0, times, new OdeSolverOptions { Method = OdeMethod.Parse(name), PerRow = true });
        act.Should().Throw<ArgumentException>().WithMessage($"*PerRow*'{name}'*whole batch*");
    }
}
