using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests;

public class OdeBlockTests
{
    [Theory]
    [InlineData(TimeDependence.None, 6)]
    [InlineData(TimeDependence.Add, 7)]
    [InlineData(TimeDependence.Concatenate, 9)]
    public void Dense_dynamics_are_the_network_they_say(TimeDependence time, int parameters)
    {
        using var dynamics = new DenseDynamics(3, [5, 4], Activation.Softplus, time);
        dynamics.parameters().Should().HaveCount(parameters);
        using Tensor y = randn(2, 3);
        using Tensor t = tensor(0.4f);
        using Tensor rows = tensor(new[] { 0.4f, 0.4f }, [2, 1]);
        Dictionary<string, Tensor> p = dynamics.named_parameters().ToDictionary(pair => pair.name, pair => (Tensor)pair.parameter);
        Tensor Layer(Tensor x, int i)
        {
            Tensor result = x.matmul(p[$"weight{i}"].t()) + p[$"bias{i}"];
            return time == TimeDependence.Concatenate ? result + 0.4f * p[$"time_weight{i}"] : result;
        }
        Tensor expected = Layer(Layer(Layer(y, 0).exp().add(1).log(), 1).exp().add(1).log(), 2);
        if (time == TimeDependence.Add)
            expected = expected + 0.4f * p["time_weight"];
        Problems.MaximumDifference(dynamics.call(t, y), expected).Should().BeLessThan(1e-5);
        Problems.MaximumDifference(dynamics.call(rows, y), expected).Should().BeLessThan(1e-5);
    }

    [Fact]
    public void A_block_maps_its_input_along_the_flow()
    {
        using var dynamics = new DenseDynamics(2, [], time: TimeDependence.None);
        using var block = new OdeBlock(dynamics, endTime: 0.5);
        using Tensor x = randn(4, 2);
        Tensor weight = dynamics.named_parameters().First(pair => pair.name == "weight0").parameter;
        Tensor bias = dynamics.named_parameters().First(pair => pair.name == "bias0").parameter;
        // y′ = W y + b: y(T) = e^(WT) (y₀ + W⁻¹ b) − W⁻¹ b.
        using (no_grad())
        {
            Tensor shift = linalg.solve(weight, bias);
            Tensor expected = (x + shift).matmul(linalg.matrix_exp(weight * 0.5).t()) - shift;
            Problems.MaximumDifference(block.call(x), expected).Should().BeLessThan(1e-3);
        }
    }

    [Fact]
    public void A_block_trains_saves_and_survives_the_scope_it_was_made_in()
    {
        OdeBlock block;
        using (NewDisposeScope())
            block = new OdeBlock(new DenseDynamics(2));
        using Tensor x = randn(8, 2);
        using Tensor target = x * 0.5;
        using var optimizer = new AdamOptimizer(block.parameters(), 0.02);
        double first = double.NaN, last = double.NaN;
        for (int i = 0; i < 60; i++)
        {
            using DisposeScope scope = NewDisposeScope();
            optimizer.ZeroGradients();
            Tensor loss = nn.functional.mse_loss(block.call(x), target);
            loss.backward();
            optimizer.Step();
            last = loss.ToDouble();
            if (i == 0)
                first = last;
        }
        last.Should().BeLessThan(0.2 * first);
        block.state_dict().Keys.Should()
            .BeEquivalentTo("dynamics.weight0", "dynamics.bias0", "dynamics.weight1", "dynamics.bias1", "dynamics.time_weight");
        block.Dispose();
    }

    [Fact]
    public void Two_threads_may_use_one_block_at_once()
    {
        using var block = new OdeBlock(new DenseDynamics(4));
        using Tensor x = randn(16, 4);
        using (no_grad())
        {
            using Tensor expected = block.call(x);
            Parallel.For(0, 16, new ParallelOptions { MaxDegreeOfParallelism = 4 }, _ =>
            {
                using IDisposable noGrad = no_grad();
                using Tensor found = block.call(x);
                Problems.MaximumDifference(found, expected).Should().Be(0);
            });
        }
    }

    [Fact]
    public void Options_are_looked_at_when_a_block_is_made_and_a_learned_lift_is_one_of_its_modules()
    {
        using var dynamics = new DenseDynamics(4);
        FluentActions.Invoking(() => new OdeBlock(dynamics, 1, new OdeSolverOptions { RelativeTolerance = -1 }))
            .Should().Throw<ArgumentException>().WithMessage("*RelativeTolerance*");
        using var augmentation = StateAugmentation.Linear(3, 1);
        using var block = new OdeBlock(dynamics, 1, null, augmentation);
        block.named_parameters().Select(parameter => parameter.name).Should()
            .BeEquivalentTo(dynamics.named_parameters().Select(parameter => "dynamics." + parameter.name)
                .Concat(augmentation.named_parameters().Select(parameter => "augmentation." + parameter.name)));
        augmentation.parameters().Should().NotBeEmpty();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(double.NaN)]
    public void The_end_time_must_make_sense(double endTime)
    {
        using var dynamics = new DenseDynamics(2);
        Action act = () => _ = new OdeBlock(dynamics, endTime);
        act.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*end time*");
        Action size = () => _ = new DenseDynamics(0);
        size.Should().Throw<ArgumentOutOfRangeException>();
    }
}
