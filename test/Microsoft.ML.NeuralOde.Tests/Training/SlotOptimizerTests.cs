using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>Steps that wait for their slot against the same steps made at once.</summary>
public class SlotOptimizerTests
{
    private const int Slots = 30, Outputs = 11;

    [Theory]
    [InlineData(NeuralOdeOptimizer.AdamW, 0.0, 0.0)]
    [InlineData(NeuralOdeOptimizer.AdamW, 0.0, 0.1)]
    [InlineData(NeuralOdeOptimizer.Adam, 0.0, 0.0)]
    [InlineData(NeuralOdeOptimizer.Sgd, 0.0, 0.0)]
    [InlineData(NeuralOdeOptimizer.Sgd, 0.9, 0.0)]
    public void Slots_move_as_the_whole_weight_does_whenever_they_are_looked_at(NeuralOdeOptimizer kind, double momentum, double decay)
    {
        TrainingPlan plan =
            new NeuralOdeRegressionTrainer.Options { Optimizer = kind, Momentum = momentum, WeightDecay = decay }.Plan(1, null);
        float[] expected = Run(plan, atOnce: true, settleEvery: 0), waiting = Run(plan, atOnce: false, settleEvery: 0);

        for (int i = 0; i < expected.Length; i++)
            waiting[i].Should().BeApproximately(expected[i], 2e-6f + 2e-5f * Math.Abs(expected[i]));
        Run(plan, atOnce: false, settleEvery: 1).Should().Equal(waiting, "when a step is made up for changes no bit");
        Run(plan, atOnce: false, settleEvery: 37).Should().Equal(waiting);
        Run(plan, atOnce: false, settleEvery: 0, resumeAfter: 300).Should().Equal(waiting, "what is kept is enough to go on");
    }

    /// <summary>The first step of Adam is the gradient over its size and 1e-8, at the learning rate.</summary>
    [Theory]
    [InlineData(2e-8f, 2 / 3.0)]
    [InlineData(-1e-8f, -0.5)]
    [InlineData(5f, 1.0)]
    public void A_step_of_a_tiny_gradient_is_a_small_one(float gradient, double share)
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (bool atOnce in new[] { true, false })
        {
            var module = nn.Linear(2, 1, hasBias: false);
            using (no_grad())
                module.weight = new Parameter(zeros(2, 1).t());
            TrainingPlan plan = new NeuralOdeRegressionTrainer.Options { Optimizer = NeuralOdeOptimizer.Adam }.Plan(1, null);
            using var optimizer = new WeightOptimizer(plan, module, atOnce ? null : module.weight);
            if (atOnce)
            {
                module.weight!.grad = tensor(new[] { 0, gradient }, [1, 2]);
                optimizer.Step(0.25);
            }
            else
                optimizer.Step(0.25, [new WeightGradient("weight", tensor(new[] { gradient }, [1, 1]), [1])]);
            optimizer.Settle();
            module.weight!.detach().contiguous().data<float>().ToArray().Should()
                .Equal([0, -0.25 * share], (a, b) => Math.Abs(a - b) < 1e-4);
        }
    }

    [Fact]
    public void Gradients_whose_norm_is_too_large_are_scaled_down_together_slots_and_all()
    {
        using DisposeScope scope = NewDisposeScope();
        // The norm of 3, 4 and 12 is 13.
        WeightGradient[] gradients = [new("a", tensor(new[] { 3f, 4f })), new("b", tensor(new[] { 12f }, [1, 1]), [7])];
        WeightGradient.Clip(gradients, 26);
        gradients[0].Values.data<float>().ToArray().Should().Equal(3, 4);
        WeightGradient.Clip(gradients, 6.5);
        gradients[0].Values.data<float>().ToArray().Should()
            .BeEquivalentTo([1.5f, 2f],
                o => o.WithStrictOrdering()
                .Using<float>(c => c.Subject.Should().BeApproximately(c.Expectation, 1e-5f)).WhenTypeIs<float>());
        gradients[1].Values.data<float>().ToArray()[0].Should().BeApproximately(6, 1e-5f);
    }

    /// <summary>400 steps; some slots come often, some seldom, some never.</summary>
    private static float[] Run(TrainingPlan plan, bool atOnce, int settleEvery, int? resumeAfter = null)
    {
        using DisposeScope scope = NewDisposeScope();
        var random = new Random(5);
        var module = nn.Linear(Slots, Outputs, hasBias: false);
        using (no_grad())
        {
            Tensor start = tensor(Enumerable.Range(0, Slots * Outputs).Select(_ => random.NextSingle() - 0.5f).ToArray(), [Slots, Outputs]);
            module.weight = new Parameter(start.t());
        }
        Parameter weight = module.weight!;
        var optimizer = new WeightOptimizer(plan, module, atOnce ? null : weight);
        for (int step = 1; step <= 400; step++)
        {
            long[] slots =
                [.. Enumerable.Range(0, Slots - 3).Where(slot => random.NextDouble() < 1.0 / (1 + slot * slot)).Select(slot => (long)slot)];
            float[] gradient = [.. Enumerable.Range(0, slots.Length * Outputs).Select(_ => random.NextSingle() - 0.3f)];
            double rate = 0.02 * (1 + Math.Sin(step));
            if (atOnce)
            {
                var all = new float[Outputs * Slots];
                for (int i = 0; i < gradient.Length; i++)
                    all[i % Outputs * Slots + slots[i / Outputs]] = gradient[i];
                weight.grad = tensor(all, [Outputs, Slots]);
                optimizer.Step(rate);
                continue;
            }
            optimizer.BringUpToDate(slots);
            using Tensor values = tensor(gradient, [slots.Length, Outputs]);
            optimizer.Step(rate, [new WeightGradient("weight", values, slots)]);
            if (settleEvery > 0 && step % settleEvery == 0)
                optimizer.Settle();
            if (step == resumeAfter)
            {
                Dictionary<string, NamedArray> arrays = optimizer.ToArrays().ToDictionary(array => array.Name);
                long[] steps = optimizer.Steps;
                arrays.Count.Should().Be(optimizer.ArrayCount);
                optimizer.Dispose();
                optimizer = new WeightOptimizer(plan, module, weight);
                optimizer.Restore(arrays, steps);
            }
        }
        optimizer.Settle();
        optimizer.Dispose();
        return weight.detach().contiguous().data<float>().ToArray();
    }
}
