using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests;

public class StateAugmentationTests
{
    [Fact]
    public void Zeros_stand_behind_the_features_or_channels()
    {
        using DisposeScope scope = NewDisposeScope();
        StateAugmentation zeros = StateAugmentation.Zeros(2);
        zeros.parameters().Should().BeEmpty();
        foreach (long[] shape in new long[][] { [3, 4], [3, 4, 5, 5] })
        {
            Tensor x = randn(shape), wide = zeros.call(x);
            wide.shape.Should().Equal([3, 6, .. shape[2..]]);
            Problems.MaximumDifference(wide.narrow(1, 0, 4), x).Should().Be(0);
            wide.narrow(1, 4, 2).abs().max().ToDouble().Should().Be(0);
        }
    }

    [Fact]
    public void A_learned_lift_is_a_linear_layer_of_the_features_or_of_each_pixel()
    {
        using DisposeScope scope = NewDisposeScope();
        StateAugmentation lift = StateAugmentation.Linear(3, 2);
        Tensor weight = lift.get_parameter("weight")!, bias = lift.get_parameter("bias")!;
        Tensor rows = randn(4, 3), images = randn(4, 3, 5, 6);
        Problems.MaximumDifference(lift.call(rows), cat([rows, rows.matmul(weight.t()) + bias], 1)).Should().BeLessThan(1e-6);
        Tensor convolved = nn.functional.conv2d(images, weight.reshape(2, 3, 1, 1), bias);
        Problems.MaximumDifference(lift.call(images), cat([images, convolved], 1)).Should().BeLessThan(1e-5);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_block_solves_the_wider_equation_and_its_gradients_reach_the_lift(bool learns)
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new DenseDynamics(5);
        StateAugmentation augmentation = learns ? StateAugmentation.Linear(3, 2) : StateAugmentation.Zeros(2);
        var block = new OdeBlock(dynamics, 1, null, augmentation);
        Tensor x = randn(4, 3).requires_grad_();
        Tensor found = block.call(x);
        found.shape.Should().Equal(4, 5);
        Problems.MaximumDifference(found, Ode.Solve(dynamics, augmentation.call(x), 0, 1).Final).Should().Be(0);
        found.square().sum().backward();
        block.named_parameters().Should().OnlyContain(pair => pair.parameter.grad!.abs().max().ToDouble() > 0);
        x.grad!.abs().max().ToDouble().Should().BeGreaterThan(0);
        block.ToString().Should().EndWith(learns ? "2 dimensions by a linear layer)" : "2 dimensions at zero)");
    }

    [Fact]
    public void A_block_without_further_dimensions_starts_at_its_input()
    {
        using var block = new OdeBlock(new DenseDynamics(3));
        using Tensor x = randn(2, 3);
        block.Augment(x).Should().BeSameAs(x);
    }

    [Fact]
    public void The_velocities_at_the_start_of_second_order_equations_are_an_augmentation()
    {
        using DisposeScope scope = NewDisposeScope();
        var block = new OdeBlock(new SecondOrderDynamics(3), 1, null, StateAugmentation.Zeros(3));
        block.call(randn(2, 3)).shape.Should().Equal(2, 6);
    }

    [Fact]
    public void Images_of_three_channels_get_more()
    {
        using DisposeScope scope = NewDisposeScope();
        var block = new OdeBlock(new ConvolutionalDynamics(6), 0.5, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.25 },
            StateAugmentation.Zeros(3));
        Tensor x = rand(2, 3, 8, 8);
        block.call(x).shape.Should().Equal(2, 6, 8, 8);
    }

    [Fact]
    public void Wrong_input_is_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (Action create in new Action[] { () => StateAugmentation.Zeros(0), () =>
            StateAugmentation.Zeros(-1), () => StateAugmentation.Linear(0, 1), () => StateAugmentation.Linear(2, -1) })
            create.Should().Throw<ArgumentOutOfRangeException>();
        Action scalar = () => StateAugmentation.Zeros(1).call(ones(3));
        scalar.Should().Throw<ArgumentException>().WithMessage("*[3]*[batch, features, …]*");
        Action width = () => StateAugmentation.Linear(2, 1).call(ones(3, 4));
        width.Should().Throw<ArgumentException>().WithMessage("*[3, 4]*[batch, 2, …]*");
        Action type = () => StateAugmentation.Linear(2, 1).call(ones([3, 2], ScalarType.Float64));
        type.Should().Throw<ArgumentException>().WithMessage("*Float64*");
    }
}
