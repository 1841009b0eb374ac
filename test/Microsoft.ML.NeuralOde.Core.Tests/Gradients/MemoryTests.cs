using Microsoft.ML.NeuralOde.TestData;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

/// <summary>What the C library's heap holds in long solves.</summary>
public class MemoryTests
{
    private const int Few = 12, Many = 150;
    private const int Rows = 512, Features = 64;
    private const long StateBytes = Rows * Features * sizeof(float);

    private static readonly Lazy<long> GrowthOfDirect = new(() => Growth(GradientMethod.Direct(), "rk4"));

    /// <summary>A coupling keeps a state every few steps, the others none or as many as they were told.</summary>
    [NativeHeapTheory]
    [InlineData("adjoint", "rk4")]
    [InlineData("reversible", "reversible_bosh3")]
    [InlineData("checkpointed", "rk4")]
    [Trait("Category", "Slow")]
    public void Memory_hardly_grows_with_the_number_of_steps_where_the_graph_does(string gradient, string method)
    {
        // The measure sees what Direct keeps: of each of four stages what the two layers need.
        GrowthOfDirect.Value.Should().BeGreaterThan((Many - Few) * 6 * StateBytes);
        GradientMethod by = gradient == "checkpointed" ? GradientMethod.Checkpointed(4) : GradientMethod.Parse(gradient);
        Growth(by, method).Should().BeLessThan(GrowthOfDirect.Value / 10);
    }

    [NativeHeapFact]
    public void Pages_of_holes_are_given_back()
    {
        const int Large = 64 << 10, Count = 2000;
        // Holes that other tests left would take the tensors without a new page.
        NativeHeap.Trim();
        using Tensor state = zeros(2 << 20, ScalarType.Byte);
        var guard = new HeapGuard(state);
        LookAgain();
        using DisposeScope between = NewDisposeScope();
        using (DisposeScope scope = NewDisposeScope())
            for (int i = 0; i < Count; i++)
            {
                ones(Large, ScalarType.Byte);
                // A small one that stays behind each large one, so that the heap cannot shrink from its end.
                between.Attach(ones(64, ScalarType.Byte));
            }
        long holes = Environment.WorkingSet;
        LookAgain();
        (holes - Environment.WorkingSet).Should().BeGreaterThan(Count * (long)Large / 2);

        void LookAgain()
        {
            for (int i = 0; i < 4; i++)
                guard.AfterStep();
        }
    }

    private static long Growth(GradientMethod gradient, string method)
    {
        using var first = nn.Linear(Features, Features);
        using var second = nn.Linear(Features, Features);
        Tensor[] parameters = [first.weight!, first.bias!, second.weight!, second.bias!];
        using Tensor y0 = randn(Rows, Features).requires_grad_();
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        long few = Peak(Few);
        return Peak(Many) - few;

        long Peak(int steps)
        {
            long before = NativeHeap.BytesInUse(), peak = 0;
            var options = new OdeSolverOptions { Method = OdeMethod.Parse(method), StepSize = 1.0 / steps, Gradient = gradient };
            int calls = 0;
            using OdeSolution solution = Ode.Solve(F, y0, times, options, parameters);
            using Tensor loss = solution.Final.square().mean();
            loss.backward();
            solution.Statistics.BackwardFailure.Should().BeNull();
            return peak - before;

            Tensor F(Tensor t, Tensor y)
            {
                if (++calls % 4 == 0)
                    peak = Math.Max(peak, NativeHeap.BytesInUse());
                return second.call(first.call(y).tanh()) + t;
            }
        }
    }
}
