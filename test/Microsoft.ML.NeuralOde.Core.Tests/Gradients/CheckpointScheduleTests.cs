using Microsoft.ML.NeuralOde.Gradients;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

public class CheckpointScheduleTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    [InlineData(16, 1)]
    [InlineData(16, 4)]
    [InlineData(64, 8)]
    [InlineData(100, 100)]
    [InlineData(1000, 10)]
    [InlineData(1024, 33)]
    public void Known_numbers_of_steps_are_reversed_with_the_fewest_that_are_possible(int steps, int states)
    {
        // The optimum of Griewank and Walther, (2000), Theorem 1: r l − (c + r over c + 1), of which the last state of each needs no step
        // of its own.
        int repetitions = 0;
        while (Binomial(states + repetitions, repetitions) < steps)
            repetitions++;
        long optimum = (repetitions * (long)steps) - Binomial(states + repetitions, states + 1);
        Reverse([0], steps, states).Should().Be(optimum);
    }

    [Theory]
    [InlineData(16, 4)]
    [InlineData(64, 8)]
    [InlineData(300, 16)]
    [InlineData(1024, 10)]
    [InlineData(1024, 64)]
    public void Numbers_of_steps_that_were_not_known_cost_little_more(int steps, int states)
    {
        // The forward pass itself is the first repetition of the known schedule.
        Reverse(KeptBySolve(steps, states), steps, states)
            .Should().BeLessThanOrEqualTo((long)(1.6 * (Reverse([0], steps, states) - steps)) + 2);
    }

    /// <summary>A step that is made again, and one that is differentiated, takes four evaluations.</summary>
    [Theory]
    [InlineData(40, 2)]
    [InlineData(40, 3)]
    [InlineData(100, 5)]
    [InlineData(30, 30)]
    public void A_way_back_makes_the_steps_again_that_the_schedule_names(int steps, int states)
    {
        using Tensor y0 = tensor(new[] { 1.0, -0.5 }).requires_grad_(), times = tensor(new[] { 0.0, 1.0 });
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Rk4,
            StepSize = 1.0 / steps,
            Gradient = GradientMethod.Checkpointed(states),
        };
        using OdeSolution solution = Ode.Solve((t, y) => -y.sin(), y0, times, options);
        solution.Final.sum().backward();
        solution.Statistics.FunctionEvaluations.Should().Be(4 * steps);
        solution.Statistics.BackwardEvaluations.Should().Be(4 * (steps + Reverse(KeptBySolve(steps, states), steps, states)));
    }

    /// <summary>Which states a solve has kept in the end that did not know its number of steps.</summary>
    private static List<int> KeptBySolve(int steps, int states)
    {
        List<int> kept = [];
        List<int> levels = [];
        for (int step = 0; step < steps; step++)
        {
            int place = CheckpointSchedule.Replace(levels, states, out int level);
            if (place < kept.Count)
            {
                place.Should().BePositive("the initial state is needed");
                kept.RemoveAt(place);
                levels.RemoveAt(place);
            }
            kept.Add(step);
            levels.Add(level);
            kept.Count.Should().BeLessThanOrEqualTo(states);
        }
        return kept;
    }

    /// <summary>Walks back over all steps and counts those that were made again.</summary>
    private static long Reverse(List<int> kept, int steps, int states)
    {
        var stack = new Stack<int>(kept);
        long made = 0;
        for (int step = steps - 1; step >= 0; step--)
        {
            while (stack.Peek() > step)
                stack.Pop();
            int from = stack.Peek();
            made += step - from;
            int next = from;
            while ((next += CheckpointSchedule.Next(step - next + 1, states - stack.Count)) < step)
                stack.Push(next);
            stack.Count.Should().BeLessThanOrEqualTo(states);
        }
        return made;
    }

    private static long Binomial(int n, int k)
    {
        long result = 1;
        for (int i = 1; i <= k; i++)
            result = result * (n - k + i) / i;
        return result;
    }
}
