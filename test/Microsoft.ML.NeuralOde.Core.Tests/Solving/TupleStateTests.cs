using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

public class TupleStateTests
{
    private static readonly OdeSolverOptions Tight = new() { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-11 };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Position_and_velocity_of_an_oscillator_need_no_flattening(bool perRow)
    {
        using Tensor position = randn([3, 2, 2], ScalarType.Float64);
        using Tensor velocity = randn([3, 2, 2], ScalarType.Float64);
        using Tensor energy = zeros([3], ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, 0.7, 2.0 });
        using OdeTupleSolution solution = Ode.Solve(
            (t, y) => [y[1], -y[0], y[1].square().sum([1L, 2])], [position, velocity, energy], times, Tight with { PerRow = perRow });

        solution.States.Select(s => s.shape)
            .Should().BeEquivalentTo(new[] { new long[] { 3, 3, 2, 2 }, [3, 3, 2, 2], [3, 3] }, o => o.WithStrictOrdering());
        Problems.MaximumDifference(solution.States[0][2], position * Math.Cos(2) + velocity * Math.Sin(2)).Should().BeLessThan(1e-7);
        Problems.MaximumDifference(solution.States[1][1], velocity * Math.Cos(0.7) - position * Math.Sin(0.7)).Should().BeLessThan(1e-7);
        solution.Status.Should().OnlyContain(s => s == RowStatus.Completed).And.HaveCount(perRow ? 3 : 1);
    }

    [Theory]
    [InlineData("direct")]
    [InlineData("adjoint")]
    [InlineData("checkpointed")]
    public void Parts_of_different_shapes_get_their_gradients(string gradient)
    {
        // x′ = −a x (vector), l′ = −a (scalar): d(Σ x(1) + l(1))/da = −Σ x₀ e^(−a) − 1.
        using Tensor a = tensor(0.6, ScalarType.Float64).requires_grad_();
        using Tensor x = tensor(new[] { 1.0, 2.0, 3.0 }).requires_grad_();
        using Tensor l = tensor(0.0, ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        using OdeTupleSolution solution = Ode.Solve(
            (t, y) => [-a * y[0], -a * ones_like(y[1])], [x, l], times, Tight with { Gradient = GradientMethod.Parse(gradient) }, [a]);
        (solution.States[0][1].sum() + solution.States[1][1]).backward();
        a.grad!.ToDouble().Should().BeApproximately(-6 * Math.Exp(-0.6) - 1, 1e-7);
        Problems.MaximumDifference(x.grad!, full([3], Math.Exp(-0.6), ScalarType.Float64)).Should().BeLessThan(1e-7);
    }

    [Fact]
    public void Events_of_a_state_of_several_tensors_are_refused()
    {
        using Tensor a = ones(2), b = ones(3), times = tensor(new[] { 0.0, 1.0 });
        var options = new OdeSolverOptions { Events = [new OdeEvent((t, y) => y.sum())] };
        FluentActions.Invoking(() => Ode.Solve((t, parts) => [parts[0], parts[1]], [a, b], times, options))
            .Should().Throw<ArgumentException>().WithMessage("*several*");
    }

    [Fact]
    public void Parts_that_do_not_fit_are_named()
    {
        using Tensor x = ones(2);
        using Tensor y = ones([2], ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        Action type = () => Ode.Solve((t, s) => s, [x, y], times);
        type.Should().Throw<ArgumentException>().WithMessage("Part 1*Float64*part 0*Float32*");
        Action count = () => Ode.Solve((t, s) => [s[0]], [x, x], times);
        count.Should().Throw<InvalidOperationException>().WithMessage("*1 tensors*2*");
        Action shape = () => Ode.Solve((t, s) => [s[0], s[1].sum()], [x, x], times);
        shape.Should().Throw<InvalidOperationException>().WithMessage("*part 1*");
        Action none = () => Ode.Solve((t, s) => s, Array.Empty<Tensor>(), times);
        none.Should().Throw<ArgumentException>().WithMessage("*no parts*");
    }
}
