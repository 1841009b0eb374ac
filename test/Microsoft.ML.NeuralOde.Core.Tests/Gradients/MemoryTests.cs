namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

public class MemoryTests
{
    /// <summary>
    /// Memory as the process sees it: without care for the heap's holes the last run needs about 100 MB more than the first.
    /// </summary>
    [Theory]
    [InlineData("adjoint", "rk4")]
    [InlineData("reversible", "reversible_bosh3")]
    [InlineData("checkpointed", "rk4")]
    [Trait("Category", "Slow")]
    public void The_process_does_not_grow_with_the_number_of_steps(string gradient, string method)
    {
        using var first = nn.Linear(64, 64);
        using var second = nn.Linear(64, 64);
        Tensor[] parameters = [first.weight!, first.bias!, second.weight!, second.bias!];
        using Tensor y0 = randn(2048, 64).requires_grad_();
        GradientMethod by = gradient == "checkpointed" ? GradientMethod.Checkpointed(4) : GradientMethod.Parse(gradient);
        long few = Peak(12);
        long many = Peak(150);
        (many - few).Should().BeLessThan(40 << 20);

        long Peak(int steps)
        {
            long peak = 0;
            var options = new OdeSolverOptions { Method = OdeMethod.Parse(method), StepSize = 1.0 / steps, Gradient = by };
            using Tensor times = tensor(new[] { 0.0, 1.0 });
            int calls = 0;
            using OdeSolution solution = Ode.Solve(F, y0, times, options, parameters);
            using Tensor loss = solution.Final.square().mean();
            loss.backward();
            solution.Statistics.BackwardFailure.Should().BeNull();
            return peak;

            Tensor F(Tensor t, Tensor y)
            {
                if (++calls % 4 == 0)
                    peak = Math.Max(peak, Environment.WorkingSet);
                return second.call(first.call(y).tanh()) + t;
            }
        }
    }
}
