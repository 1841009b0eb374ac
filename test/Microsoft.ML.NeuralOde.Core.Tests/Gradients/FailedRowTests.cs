namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

/// <summary>Gradients of batches of which some rows were not solved to the end.</summary>
public class FailedRowTests
{
    // y′ = a y²: row by row y = 1 / (1/y₀ − a t), which is infinite at t = 1/(a y₀).
    private static readonly double[] Start = [0.5, 4, 0.25, 0.8];

    public static TheoryData<string> Gradients => ["adjoint", "checkpointed", "direct"];

    [Theory]
    [MemberData(nameof(Gradients))]
    public void A_row_that_blows_up_spoils_no_other_gradient(string gradient)
    {
        foreach (bool masks in new[] { true, false })
            foreach (bool withArguments in new[] { false, true })
            {
                using DisposeScope scope = NewDisposeScope();
                Tensor y0 = tensor(Start, [4, 1]).requires_grad_(), a = tensor(1.0).requires_grad_(),
                    c = ones(4, 1, ScalarType.Float64).requires_grad_();
                Tensor times = tensor(new[] { 0.0, 0.1, 0.6, 1.0 });
                var options = new OdeSolverOptions
                {
                    PerRow = true,
                    RelativeTolerance = 1e-9,
                    AbsoluteTolerance = 1e-11,
                    Gradient = GradientMethod.Parse(gradient)
                };
                OdeSolution solution = withArguments
                    ? Ode.Solve((t, y, given) => a * given[0] * y * y, y0, times, [c], options, [a])
                    : Ode.Solve((t, y) => a * y * y, y0, times, options, [a]);
                solution.Status.Select(status => status == RowStatus.Completed).Should().Equal(true, false, true, true);
                Tensor rows = tensor(new long[] { 0, 2, 3 });
                // The failed row's output at 0.1 counts; those that it did not reach only where the loss does not mask them.
                Tensor loss = solution.States[1].sum() + (masks
                    ? solution.States[2].index_select(0, rows).sum() + solution.Final.index_select(0, rows).sum()
                    : solution.States[2].sum() + solution.Final.sum());
                loss.backward();
                solution.Statistics.BackwardFailure.Should().BeNull();

                double expected = 0;
                for (int row = 0; row < 4; row++)
                {
                    double byStart = 0;
                    foreach (double t in row == 1 ? new[] { 0.1 } : [0.1, 0.6, 1.0])
                    {
                        double y = 1 / (1 / Start[row] - t);
                        expected += y * y * t;
                        byStart += y * y / (Start[row] * Start[row]);
                    }
                    double found = y0.grad![row, 0].ToDouble();
                    if (row == 1 && !masks && gradient != "direct")
                        double.IsNaN(found).Should().BeTrue();
                    else if (row != 1 || gradient != "direct")
                        found.Should().BeApproximately(byStart, 1e-5 * byStart);
                }
                if (gradient == "direct")
                    continue;
                a.grad!.ToDouble().Should().BeApproximately(expected, 1e-5 * expected);
                solution.Statistics.RowsWithoutGradient.Should().Equal(masks ? [] : [1L]);
                if (withArguments)
                    c.grad!.sum().ToDouble().Should().BeApproximately(expected, 1e-5 * expected);
            }
    }

    [Theory]
    [InlineData("adjoint")]
    [InlineData("checkpointed")]
    public void A_solve_that_ends_at_the_step_limit_has_the_gradients_of_what_was_reached(string gradient)
    {
        foreach (bool perRow in new[] { false, true })
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor y0 = ones(2, 1, ScalarType.Float64).requires_grad_(), a = tensor(-0.7).requires_grad_();
            Tensor times = tensor(new[] { 0.0, 0.5, 100.0 });
            var options = new OdeSolverOptions
            {
                PerRow = perRow,
                RelativeTolerance = 1e-8,
                AbsoluteTolerance = 1e-10,
                MaximumSteps = 40,
                OnStepLimit = StepLimitBehavior.ReturnPartial,
                Gradient = GradientMethod.Parse(gradient),
            };
            OdeSolution solution = Ode.Solve((t, y) => a * y, y0, times, options, [a]);
            solution.Status.Should().OnlyContain(status => status == RowStatus.StepLimit);
            solution.States[1].sum().backward(retain_graph: true);
            a.grad!.ToDouble().Should().BeApproximately(2 * 0.5 * Math.Exp(-0.35), 1e-6);
            y0.grad![0, 0].ToDouble().Should().BeApproximately(Math.Exp(-0.35), 1e-6);
            solution.Statistics.RowsWithoutGradient.Should().BeEmpty();

            // The last output was not reached: who asks for its derivatives is told that there are none.
            y0.grad!.zero_();
            solution.Final.sum().backward();
            y0.grad.isnan().all().ToBoolean().Should().BeTrue();
            solution.Statistics.RowsWithoutGradient.Should().Equal(perRow ? [0L, 1L] : [0L]);
        }
    }

    [Fact]
    public void Tolerances_of_rows_go_with_their_rows()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor y0 = tensor(Start, [4, 1]).requires_grad_(), a = tensor(1.0).requires_grad_();
        Tensor each = tensor(new[] { 1e-8, 1e-9, 1e-9, 1e-8 }, [4, 1]);
        var options = new OdeSolverOptions { RelativeTolerances = each, AbsoluteTolerances = each[0], Gradient = GradientMethod.Adjoint() };
        // Rows have no tolerances of their own under PerRow: the adjoint alone is given some rows.
        OdeSolution solution = Ode.Solve((t, y) => a * y, y0, tensor(new[] { 0.0, 1.0 }), options, [a]);
        solution.Final.sum().backward();
        a.grad!.ToDouble().Should().BeApproximately(Math.E * Start.Sum(), 1e-6);
    }
}
