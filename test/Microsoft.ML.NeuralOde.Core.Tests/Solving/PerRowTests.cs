using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

public class PerRowTests
{
    private static readonly OdeSolverOptions PerRow = new() { PerRow = true, RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-8 };

    [Fact]
    public void A_row_in_a_batch_is_solved_as_it_is_alone()
    {
        using Tensor y0 = tensor(new[] { 2.0, 0.0, 0.1, 0.1, -1.0, 3.0, 0.0, 0.0 }, [4, 2]);
        using Tensor times = tensor(new[] { 0.0, 0.7, 3.0, 8.0 });
        using OdeSolution batch = Ode.Solve(Problems.VanDerPol5, y0, times, PerRow);
        long evaluations = 0;
        for (int row = 0; row < 4; row++)
        {
            using OdeSolution alone = Ode.Solve(Problems.VanDerPol5, y0.narrow(0, row, 1), times, PerRow);
            Problems.MaximumDifference(batch.States.narrow(1, row, 1), alone.States)
                .Should().BeLessThan(1e-12, "rounding is all that differs");
            evaluations += alone.Statistics.RowEvaluations;
        }
        batch.Statistics.RowEvaluations.Should().Be(evaluations, "rows that have finished cost nothing");
        batch.Status.Should().OnlyContain(status => status == RowStatus.Completed);
    }

    [Theory]
    [InlineData("direct", "dopri5", 1e-7)]
    [InlineData("checkpointed", "dopri5", 1e-7)]
    [InlineData("checkpointed", "radau5", 1e-7)]
    [InlineData("adjoint", "dopri5", 1e-7)]
    [InlineData("reversible", "reversible_heun", 1e-4)]
    public void Arguments_of_rows_stay_with_their_rows_and_get_gradients(string gradient, string method, double tolerance)
    {
        // y' = −k y with a rate for each row, from nearly nothing to two: rows finish one by one.
        double[] rates = [2, 0.001, 0.5, 1];
        using Tensor k = tensor(rates, [4, 1]).requires_grad_();
        using Tensor y0 = ones(4, 1, ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, 0.3, 1.0 });
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Parse(method),
            PerRow = true,
            RelativeTolerance = tolerance,
            AbsoluteTolerance = tolerance / 100,
            Gradient = GradientMethod.Parse(gradient),
        };
        using OdeSolution solution = Ode.Solve((t, y, arguments) => -arguments[0] * y, y0, times, [k], options);
        solution.Final.sum().backward();
        for (int row = 0; row < rates.Length; row++)
        {
            solution.Final[row].ToDouble().Should().BeApproximately(Math.Exp(-rates[row]), 100 * tolerance);
            k.grad![row].ToDouble().Should().BeApproximately(-Math.Exp(-rates[row]), 1000 * tolerance);
        }
        Action act = () => Ode.Solve((t, y, arguments) => y, y0, times, [ones(3, 1)], options);
        act.Should().Throw<ArgumentException>().WithMessage("*Argument 0*[3, 1]*[4, 1]*");
    }

    [Fact]
    public void A_row_that_fails_does_not_spoil_the_others()
    {
        // y′ = y² with y(0) = 2 is infinite at t = 0.5.
        using Tensor y0 = tensor(new[] { 0.5, 2.0, -1.0 }, [3, 1]);
        using Tensor times = tensor(new[] { 0.0, 0.25, 1.0 });
        using OdeSolution solution = Ode.Solve((t, y) => y * y, y0, times, PerRow);
        solution.Status[0].Should().Be(RowStatus.Completed);
        solution.Status[1].Should().BeOneOf(RowStatus.StepSizeUnderflow, RowStatus.NonFinite);
        solution.Final[0, 0].ToDouble().Should().BeApproximately(1, 1e-5);
        solution.States[1, 1, 0].ToDouble().Should().BeApproximately(4, 1e-4);
        double.IsNaN(solution.Final[1, 0].ToDouble()).Should().BeTrue();
        solution.Final[2, 0].ToDouble().Should().BeApproximately(-0.5, 1e-5);
    }

    [Theory]
    [InlineData("direct")]
    [InlineData("checkpointed")]
    public void Gradients_of_rows_are_those_of_the_rows_alone(string gradient)
    {
        OdeSolverOptions options = PerRow with { Gradient = GradientMethod.Parse(gradient) };
        using var network = new ReferenceNetwork();
        using Tensor times = tensor(new[] { 0.0, 0.4, 1.0 });
        using Tensor start = References.Network("y0");
        using Tensor y0 = start.clone().requires_grad_();
        using OdeSolution batch = Ode.Solve(network, y0, times, options);
        batch.States.square().sum().backward();
        batch.Statistics.BackwardFailure.Should().BeNull();
        Tensor[] parameters = [.. network.Weights.Select(weight => weight.grad!.clone())];
        network.zero_grad();
        for (int row = 0; row < start.shape[0]; row++)
        {
            using Tensor one = start.narrow(0, row, 1).clone().requires_grad_();
            using OdeSolution alone = Ode.Solve(network, one, times, options);
            alone.States.square().sum().backward();
            Problems.MaximumDifference(one.grad!, y0.grad!.narrow(0, row, 1)).Should().BeLessThan(1e-12);
        }
        for (int i = 0; i < parameters.Length; i++)
            Problems.MaximumDifference(network.Weights[i].grad!, parameters[i]).Should().BeLessThan(1e-9);
    }
}
