using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Fitting;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Core.Tests;

public class AdamOptimizerTests
{
    private const double Rate = 0.02;

    [Theory]
    [InlineData(ScalarType.Float32, 0.0, 1e-5)]
    [InlineData(ScalarType.Float32, 0.3, 1e-5)]
    [InlineData(ScalarType.Float64, 0.3, 1e-13)]
    public void Parameters_move_as_under_torchs_own_optimizer(ScalarType type, double decay, double tolerance)
    {
        using DisposeScope scope = NewDisposeScope();
        // Rows of 37: what does not fill registers is there too.
        Linear ours = nn.Linear(37, 3, dtype: type), theirs = nn.Linear(37, 3, dtype: type);
        theirs.load_state_dict(ours.state_dict());
        using var optimizer = new AdamOptimizer(ours.parameters(), Rate, decay);
        using var expected = optim.AdamW(theirs.parameters(), Rate, beta2: 0.999, weight_decay: decay);
        for (int step = 0; step < 8; step++)
        {
            Tensor x = randn([7, 37], type);
            optimizer.ZeroGradients();
            expected.zero_grad();
            ours.call(x).square().sum().backward();
            theirs.call(x).square().sum().backward();
            optimizer.Step();
            expected.step();
        }
        foreach ((Parameter found, Parameter wanted) in ours.parameters().Zip(theirs.parameters()))
            Problems.MaximumDifference(found, wanted).Should().BeLessThan(tolerance);
    }

    [Theory]
    [InlineData(ScalarType.Float32, 1)]
    [InlineData(ScalarType.Float32, 100_003)]
    [InlineData(ScalarType.Float64, 35)]
    public void The_kernel_makes_the_steps_of_the_tensors(ScalarType type, long count)
    {
        using DisposeScope scope = NewDisposeScope();
        var fused = new Parameter(randn(count, type));
        var plain = new Parameter(fused.detach().clone());
        using var quick = new AdamMoments(fused, 0.8, 0.95, 1e-4);
        using var slow = new AdamMoments(plain, 0.8, 0.95, 1e-4) { AllowsKernel = false };
        for (int step = 0; step < 5; step++)
        {
            Tensor gradient = randn(count, type);
            AdamMoments.Follow([(quick, gradient), (slow, gradient)], Rate, 0.1);
        }
        double tolerance = type == ScalarType.Float32 ? 1e-6 : 1e-14;
        Problems.MaximumDifference(fused, plain).Should().BeLessThan(tolerance);
        Problems.MaximumDifference(quick.Mean, slow.Mean).Should().BeLessThan(tolerance);
        Problems.MaximumDifference(quick.Square, slow.Square).Should().BeLessThan(tolerance);
        (quick.Steps, slow.Steps).Should().Be((5, 5));
    }

    /// <summary>By the tensors' operations parameters go together, but each by the steps that it has made itself.</summary>
    [Fact]
    public void A_parameter_without_a_gradient_now_and_then_moves_as_alone()
    {
        using DisposeScope scope = NewDisposeScope();
        Parameter[] together = [.. Enumerable.Range(1, 4).Select(width => new Parameter(randn([width, 3], ScalarType.Float64)))];
        Parameter[] alone = Array.ConvertAll(together, parameter => new Parameter(parameter.detach().clone()));
        AdamMoments[] all = Array.ConvertAll(together, parameter => new AdamMoments(parameter, 0.8, 0.95, 1e-4) { AllowsKernel = false });
        AdamMoments[] each = Array.ConvertAll(alone, parameter => new AdamMoments(parameter, 0.8, 0.95, 1e-4));
        for (int step = 0; step < 6; step++)
        {
            (int Place, Tensor Gradient)[] gradients =
                [.. Enumerable.Range(0, 4).Where(i => i != step % 3).Select(i => (i, randn(together[i].shape, ScalarType.Float64)))];
            AdamMoments.Follow([.. gradients.Select(one => (all[one.Place], one.Gradient))], Rate, 0.1);
            foreach ((int place, Tensor gradient) in gradients)
                AdamMoments.Follow([(each[place], gradient)], Rate, 0.1);
        }
        for (int i = 0; i < 4; i++)
        {
            Problems.MaximumDifference(together[i], alone[i]).Should().BeLessThan(1e-14);
            all[i].Steps.Should().Be(i == 3 ? 6 : 4);
            all[i].Dispose();
            each[i].Dispose();
        }
    }

    /// <summary>A transposed parameter's memory is not read as if it were in order.</summary>
    [Fact]
    public void Parameters_that_are_not_contiguous_move_too()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor values = arange(6, ScalarType.Float32).reshape(2, 3);
        var turned = new Parameter(values.t());
        using var optimizer = new AdamOptimizer([turned], Rate);
        (turned * values.t().Minus(2.5)).sum().backward();
        optimizer.Step();
        // The first step is the rate against the gradient's sign.
        Problems.MaximumDifference(turned, arange(6, ScalarType.Float32).reshape(2, 3).t() - Rate * values.t().Minus(2.5).sign())
            .Should().BeLessThan(1e-5);
    }

    [Fact]
    public void The_learning_rate_counts_from_the_next_step_on()
    {
        using DisposeScope scope = NewDisposeScope();
        var parameter = new Parameter(zeros(1));
        using var optimizer = new AdamOptimizer([parameter], 0.1) { LearningRate = 0.25 };
        parameter.sum().backward();
        optimizer.Step();
        parameter.ToSingle().Should().BeApproximately(-0.25f, 1e-6f);
    }

    [Fact]
    public void Frozen_parameters_and_those_without_a_gradient_stay()
    {
        using DisposeScope scope = NewDisposeScope();
        Parameter used = new(ones(2)), unused = new(ones(2)), frozen = new(ones(2), requires_grad: false);
        using var optimizer = new AdamOptimizer([used, unused, frozen], 0.5, weightDecay: 0.1);
        used.sum().backward();
        optimizer.Step();
        unused.data<float>().Should().Equal(1, 1);
        frozen.data<float>().Should().Equal(1, 1);
        used.data<float>().Should().OnlyContain(value => Math.Abs(value - (1 - 0.05f - 0.5f)) < 1e-6f);
    }

    [Fact]
    public void A_step_without_any_gradient_is_told()
    {
        using DisposeScope scope = NewDisposeScope();
        using var optimizer = new AdamOptimizer(nn.Linear(2, 2).parameters());
        optimizer.Invoking(one => one.Step()).Should().Throw<InvalidOperationException>().WithMessage("*backward()*device*");
    }

    [Theory]
    [InlineData(nameof(AdamOptimizer.LearningRate), 0, true)]
    [InlineData(nameof(AdamOptimizer.LearningRate), -1e-300, false)]
    [InlineData("weightDecay", 0, true)]
    [InlineData("weightDecay", -1e-300, false)]
    [InlineData("beta1", 0, true)]
    [InlineData("beta1", 0.99999, true)]
    [InlineData("beta1", 1, false)]
    [InlineData("beta1", -1e-300, false)]
    [InlineData("beta2", 0, true)]
    [InlineData("beta2", 0.99999, true)]
    [InlineData("beta2", 1, false)]
    [InlineData("beta2", -1e-300, false)]
    [InlineData("epsilon", 1e-300, true)]
    [InlineData("epsilon", 0, false)]
    public void Numbers_are_taken_up_to_their_bounds(string name, double value, bool isTaken)
    {
        using var weight = new Parameter(ones(2));
        double Of(string other, double otherwise) => name == other ? value : otherwise;
        Action create = () => new AdamOptimizer(
            [weight], Of(nameof(AdamOptimizer.LearningRate), 1e-3), Of("weightDecay", 0), Of("beta1", 0.9), Of("beta2", 0.999),
            Of("epsilon", 1e-8)).Dispose();
        if (isTaken)
            create.Should().NotThrow();
        else
            create.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*{name} is {value}*");
        FluentActions.Invoking(() => new AdamOptimizer(null!)).Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void What_makes_no_sense_is_refused()
    {
        using DisposeScope scope = NewDisposeScope();
        Linear layer = nn.Linear(2, 2);
        Parameter weight = layer.weight!;
        foreach (Action create in new Action[]
        {
            () => _ = new AdamOptimizer([weight], -1e-3), () => _ = new AdamOptimizer([weight], double.NaN),
            () => _ = new AdamOptimizer([weight], weightDecay: -1), () => _ = new AdamOptimizer([weight], beta1: 1),
            () => _ = new AdamOptimizer([weight], beta2: -0.1), () => _ = new AdamOptimizer([weight], epsilon: 0),
            () => _ = new AdamOptimizer([weight]) { LearningRate = double.PositiveInfinity },
        })
            create.Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new AdamOptimizer([weight, weight])).Should().Throw<ArgumentException>().WithMessage("*twice*");
        FluentActions.Invoking(() => new AdamOptimizer([])).Should().Throw<ArgumentException>().WithMessage("*no parameter*");
        var gone = new AdamOptimizer([weight]);
        gone.Dispose();
        gone.Dispose();
        gone.Invoking(one => one.Step()).Should().Throw<ObjectDisposedException>();
        gone.Invoking(one => one.ZeroGradients()).Should().Throw<ObjectDisposedException>();
    }
}
