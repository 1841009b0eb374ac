using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Gradients;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

/// <summary>Evaluations that the checkpointed gradient keeps from the solve, against those that it makes again.</summary>
public class KeptEvaluationTests
{
    private const long Plenty = 1L << 30;

    private static readonly OdeSolverOptions Loose = new() { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-4 };

    public static TheoryData<string, bool> Dynamics =>
        new() { { "dense", true }, { "dense", false }, { "convolution", true }, { "convolution", false } };

    [Theory]
    [MemberData(nameof(Dynamics))]
    public void Gradients_are_those_of_evaluations_that_are_made_again(string kind, bool hasEvaluator)
    {
        random.manual_seed(3);
        using nn.Module<Tensor, Tensor, Tensor> inner = kind == "dense" ? new DenseDynamics(5, [7, 6]) : new ConvolutionalDynamics(4);
        using nn.Module<Tensor, Tensor, Tensor> dynamics = hasEvaluator ? inner : new WithoutEvaluator(inner);
        using Tensor y0 = randn(kind == "dense" ? [9, 5] : [3, 4, 6, 5]).requires_grad_();
        foreach (OdeSolverOptions options in new[] { Loose, Loose with { Method = OdeMethod.Rk4, StepSize = 0.11 },
            Loose with { FirstStep = 3, Discontinuities = [0.4] } })
            foreach (double[] times in new double[][] { [0, 1], [0, 0.3, 0.31, 1], [1, 0.2] })
            {
                (Tensor[] kept, SolverStatistics few) = Gradients(Plenty);
                (Tensor[] again, SolverStatistics many) = Gradients(0);
                for (int i = 0; i < kept.Length; i++)
                    Problems.MaximumDifference(kept[i], again[i]).Should().BeLessThanOrEqualTo(1e-6 * again[i].abs().max().ToDouble());
                few.FunctionEvaluations.Should().Be(many.FunctionEvaluations);
                few.BackwardEvaluations.Should().BeLessThan(many.BackwardEvaluations / 3);

                (Tensor[], SolverStatistics) Gradients(long bytes)
                {
                    dynamics.zero_grad();
                    y0.grad?.zero_();
                    using Tensor at = tensor(times).requires_grad_();
                    using OdeSolution solution =
                        Ode.Solve(dynamics, y0, at, options with { Gradient = GradientMethod.Checkpointed(evaluationBytes: bytes) });
                    solution.States.sin().sum().backward();
                    solution.Statistics.BackwardFailure.Should().BeNull();
                    return ([y0.grad!.clone(), at.grad!.clone(), .. dynamics.parameters().Select(parameter => parameter.grad!.clone())],
                        solution.Statistics);
                }
            }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void As_many_are_kept_as_fit(bool hasEvaluator)
    {
        using var inner = new DenseDynamics(16, [32]);
        using nn.Module<Tensor, Tensor, Tensor> dynamics = hasEvaluator ? inner : new WithoutEvaluator(inner);
        using Tensor y0 = randn(64, 16).requires_grad_();
        // Input, hidden layer and slopes, float32; torch's graph has a little more.
        const long Evaluation = 64 * (16 + 2 * 32) * 4;
        Again(0).Should().Be(40);
        Again(40 * Evaluation / 2).Should().BeInRange(16, 32).And.Match(evaluations => evaluations % 4 == 0);
        Again(400 * Evaluation).Should().Be(0);

        long Again(long bytes)
        {
            var options = new OdeSolverOptions
            {
                Method = OdeMethod.Rk4,
                StepSize = 0.1,
                Gradient = GradientMethod.Checkpointed(
                evaluationBytes: bytes)
            };
            using OdeSolution solution = Ode.Solve(dynamics, y0, 0, 1, options);
            solution.Final.sum().backward();
            solution.Statistics.BackwardFailure.Should().BeNull();
            return solution.Statistics.BackwardEvaluations;
        }
    }

    /// <summary>The garbage collector is told what a solution holds: ten states, and what evaluations keep outside of it.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_is_kept_is_counted_in_bytes(bool hasEvaluator)
    {
        using var inner = new DenseDynamics(16, [32]);
        using nn.Module<Tensor, Tensor, Tensor> dynamics = hasEvaluator ? inner : new WithoutEvaluator(inner);
        using Tensor y0 = randn(64, 16).requires_grad_();
        const long States = 10 * 64 * 16 * 4;
        Bytes(0).Should().Be(States);
        // A graph of torch holds 40 evaluations at least: the input, the hidden layer and what tanh gives.
        if (hasEvaluator)
            Bytes(Plenty).Should().Be(States, "buffers of an evaluator go back to it");
        else
            Bytes(Plenty).Should().BeInRange(States + 40 * 64 * 32 * 4, States + 40 * 64 * (2 * 16 + 4 * 32) * 4);

        long Bytes(long kept)
        {
            var options = new OdeSolverOptions
            {
                Method = OdeMethod.Rk4,
                StepSize = 0.1,
                Gradient = GradientMethod.Checkpointed(evaluationBytes: kept),
            };
            using OdeSolution solution = Ode.Solve(dynamics, y0, 0, 1, options);
            return solution.Statistics.GraphBytes;
        }
    }

    [Theory]
    [InlineData(null, 0)]
    [InlineData(30, 40)]
    public void Who_counts_states_keeps_no_evaluations(int? checkpoints, long again)
    {
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0").requires_grad_();
        var options = new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.1, Gradient = GradientMethod.Checkpointed(checkpoints) };
        using OdeSolution solution = Ode.Solve(network, y0, 0, 1, options);
        solution.Final.sum().backward();
        solution.Statistics.BackwardEvaluations.Should().Be(again);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_second_backward_pass_makes_them_again(bool hasEvaluator)
    {
        using var inner = new DenseDynamics(5);
        using nn.Module<Tensor, Tensor, Tensor> dynamics = hasEvaluator ? inner : new WithoutEvaluator(inner);
        using Tensor y0 = randn(4, 5).requires_grad_();
        using OdeSolution solution = Ode.Solve(dynamics, y0, 0, 1, Loose with { Gradient = GradientMethod.Checkpointed() });
        using Tensor loss = solution.Final.square().sum();
        using Tensor first = autograd.grad([loss], [y0], retain_graph: true)[0];
        solution.Statistics.BackwardEvaluations.Should().Be(0);
        using Tensor second = autograd.grad([loss], [y0])[0];
        solution.Statistics.BackwardEvaluations.Should().BePositive();
        Problems.MaximumDifference(first, second).Should().BeLessThan(1e-6);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Parameters_that_changed_since_the_solve_are_told_of(bool hasEvaluator)
    {
        using var inner = new DenseDynamics(5);
        using nn.Module<Tensor, Tensor, Tensor> dynamics = hasEvaluator ? inner : new WithoutEvaluator(inner);
        using Tensor y0 = randn(4, 5).requires_grad_();
        using OdeSolution solution = Ode.Solve(dynamics, y0, 0, 1, Loose with { Gradient = GradientMethod.Checkpointed() });
        using (no_grad())
            dynamics.parameters().First().mul_(2);
        ((Action)solution.Final.sum().backward).Should()
            .Throw<ExternalException>().WithMessage("*changed between the solve and its backward pass*");
        solution.Statistics.BackwardFailure.Should()
            .BeOfType<InvalidOperationException>().Which.Message.Should().Contain("changed between the solve and its backward pass");
        y0.grad!.isnan().all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void Parameters_frozen_since_the_solve_get_no_gradient()
    {
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0").requires_grad_();
        using OdeSolution solution = Ode.Solve(network, y0, 0, 1, Loose with { Gradient = GradientMethod.Checkpointed() });
        network.Weights[0].requires_grad = false;
        solution.Final.sum().backward();
        solution.Statistics.BackwardFailure.Should().BeNull();
        solution.Statistics.BackwardEvaluations.Should().BePositive();
        network.Weights[1].grad!.abs().sum().ToDouble().Should().BePositive();
    }

    [Fact]
    public void They_do_not_outlive_a_solution_whose_gradient_nobody_asks_for()
    {
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0").requires_grad_();
        Solve();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        long before = Tensor.TotalCount;
        for (int i = 0; i < 3; i++)
            Solve();
        Tensor.TotalCount.Should().BeLessThanOrEqualTo(before);

        void Solve()
        {
            using DisposeScope scope = NewDisposeScope();
            Ode.Solve(network, y0, 0, 1, Loose with { Gradient = GradientMethod.Checkpointed() }).Final.sum();
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_memory_of_a_graph_is_estimated_from_the_tensors_that_were_made(bool disposes)
    {
        using DisposeScope outer = NewDisposeScope();
        Tensor x = ones(1000);
        var memory = new GraphMemory();
        using DisposeScope scope = NewDisposeScope();
        Tensor a = x.exp(), b = a.sin(), c = b.tanh();
        if (disposes)
            b.Dispose();
        memory.Estimate(scope, x).Should().Be(4 * 4000);
    }

    [Fact]
    public void Memory_that_is_negative_is_refused() =>
        ((Action)(() => GradientMethod.Checkpointed(evaluationBytes: -1))).Should()
        .Throw<ArgumentOutOfRangeException>().WithMessage("*negative*");
}
