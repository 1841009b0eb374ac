using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Methods;

public class AdamsTests
{
    [Theory]
    [InlineData("adams_bashforth", 1)]
    [InlineData("adams_bashforth", 2)]
    [InlineData("adams_bashforth", 3)]
    [InlineData("adams_bashforth", 5)]
    [InlineData("adams_bashforth_moulton", 2)]
    [InlineData("adams_bashforth_moulton", 3)]
    [InlineData("adams_bashforth_moulton", 5)]
    public void The_order_holds_where_steps_change_their_length(string name, int order)
    {
        OdeMethod method = OdeMethod.Parse(name + order);
        method.Order.Should().Be(order);
        Math.Log2(Error(1) / Error(4)).Should().BeApproximately(2 * order, 0.6);

        // Output intervals of unequal length, each with steps of its own size.
        double Error(int refinement)
        {
            using Tensor y0 = tensor(new[] { -1.2, -0.5, 0.2 });
            using Tensor times = tensor(new[] { 0, 0.7, 1.05, 2.0 });
            using OdeSolution solution =
                Ode.Solve(Problems.Tangent, y0, times, new OdeSolverOptions { Method = method, StepSize = 0.05 / refinement });
            using Tensor exact = tensor(Array.ConvertAll(new[] { -1.2, -0.5, 0.2 }, y => Problems.TangentSolution(2, y)));
            return Problems.MaximumDifference(solution.Final, exact);
        }
    }

    [Theory]
    [InlineData(40)]
    [InlineData(80)]
    [InlineData(160)]
    public void The_highest_order_does_not_diverge(int steps)
    {
        using Tensor y0 = tensor(new[] { 0.0 });
        using OdeSolution solution = Ode.Solve(Problems.Forced, y0, 0, 5, OdeMethod.AdamsBashforthMoulton(8), 5.0 / steps);
        solution.Final.ToDouble().Should().BeApproximately(Problems.ForcedSolution(5), 1e-5);
    }

    [Fact]
    public void Evaluations_are_one_or_two_a_step()
    {
        using Tensor y0 = tensor(new[] { 1.0 });
        using IDisposable noGrad = no_grad();
        using OdeSolution one = Ode.Solve(Problems.Decay, y0, 0, 1, OdeMethod.AdamsBashforth(1), 0.01);
        one.Statistics.FunctionEvaluations.Should().Be(100);
        using OdeSolution two = Ode.Solve(Problems.Decay, y0, 0, 1, OdeMethod.AdamsBashforthMoulton(1), 0.01);
        two.Statistics.FunctionEvaluations.Should().Be(200);
    }

    [Fact]
    public void Gradients_of_parameters_and_state_are_exact_and_those_of_times_are_refused()
    {
        using Tensor a = tensor(0.7, ScalarType.Float64).requires_grad_();
        using Tensor y0 = tensor(new[] { 1.0 }).requires_grad_();
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        var options = new OdeSolverOptions { Method = OdeMethod.AdamsBashforth(4), StepSize = 0.01 };
        using OdeSolution solution = Ode.Solve((t, y) => -a * y, y0, times, options, [a]);
        solution.Final.sum().backward();
        a.grad!.ToDouble().Should().BeApproximately(-Math.Exp(-0.7), 1e-7);
        y0.grad!.ToDouble().Should().BeApproximately(Math.Exp(-0.7), 1e-7);

        using Tensor moving = times.clone().requires_grad_();
        Action act = () => Ode.Solve((t, y) => -a * y, y0, moving, options, [a]);
        act.Should().Throw<ArgumentException>().WithMessage("*output times*Adams*");
    }

    [Fact]
    public void Orders_beyond_eight_are_refused()
    {
        Action act = () => OdeMethod.AdamsBashforth(9);
        act.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*between 1 and 8*");
        Action parse = () => OdeMethod.Parse("adams_bashforth12");
        parse.Should().Throw<ArgumentException>();
    }
}
