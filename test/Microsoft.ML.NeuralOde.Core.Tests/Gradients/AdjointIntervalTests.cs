using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

/// <summary>
/// Where outputs lie close together the adjoint takes methods of lower order from one to the next: fewer evaluations, and gradients as
/// exact as its tolerance.
/// </summary>
public class AdjointIntervalTests
{
    public static TheoryData<string, double, double[]> Cases => new()
    {
        { "tsit5", 1e-5, Evenly(31) },
        { "dopri5", 1e-6, Evenly(61) },
        { "dopri8", 1e-7, Evenly(41) },
        // Long and short intervals by turns, and times that go down.
        { "tsit5", 1e-5, [0, 0.3, 0.301, 0.302, 0.303, 0.304, 0.6, 0.61, 0.62, 0.63, 0.64, 0.65, 0.66, 0.67, 0.68, 0.69, 0.7, 1] },
        { "dopri5", 1e-5, [.. Evenly(31).Reverse()] },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Fewer_evaluations_give_gradients_within_the_tolerance(string method, double tolerance, double[] times)
    {
        OdeMethod forward = OdeMethod.Parse(method);
        var options = new OdeSolverOptions { Method = forward, RelativeTolerance = tolerance, AbsoluteTolerance = tolerance };
        (Tensor[] exact, _) = Gradients(
            options with { RelativeTolerance = 1e-11, AbsoluteTolerance = 1e-11, Gradient = GradientMethod.Direct() }, times);
        (Tensor[] found, long few) = Gradients(options with { Gradient = GradientMethod.Adjoint() }, times);
        (Tensor[] alone, long many) = Gradients(options with { Gradient = GradientMethod.Adjoint(forward) }, times);
        few.Should().BeLessThan(many * 3 / 4);
        double scale = exact.Max(gradient => gradient.abs().max().ToDouble());
        for (int i = 0; i < exact.Length; i++)
        {
            Problems.MaximumDifference(found[i], exact[i]).Should().BeLessThan(times.Length * tolerance * scale);
            Problems.MaximumDifference(alone[i], exact[i]).Should().BeLessThan(times.Length * tolerance * scale);
        }
    }

    [Fact]
    public void A_method_that_is_given_is_taken_for_every_interval()
    {
        var options = new OdeSolverOptions { Gradient = GradientMethod.Adjoint(OdeMethod.Dopri5) };
        // One evaluation where an interval begins and six for its one step.
        Gradients(options, Evenly(31)).Evaluations.Should().Be(30 * 7);
    }

    [Fact]
    public void Where_intervals_are_long_the_way_back_is_that_of_the_method_alone()
    {
        var options = new OdeSolverOptions { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-9 };
        double[] times = [0, 1, 2, 3];
        (Tensor[] own, long evaluations) = Gradients(options with { Gradient = GradientMethod.Adjoint() }, times);
        (Tensor[] given, long expected) = Gradients(options with { Gradient = GradientMethod.Adjoint(options.Method) }, times);
        evaluations.Should().Be(expected);
        for (int i = 0; i < own.Length; i++)
            Problems.MaximumDifference(own[i], given[i]).Should().Be(0);
    }

    [Fact]
    public void The_pairs_for_single_steps_meet_the_conditions_of_their_orders()
    {
        foreach (ButcherTableau pair in new[] { SingleStepPairs.ThirdOrder, SingleStepPairs.FourthOrder })
        {
            var conditions = new OrderConditions(pair.A, pair.Order + 1);
            conditions.FindMissed(pair.B, pair.Order).Should().BeNull();
            conditions.FindMissed(pair.B, pair.Order + 1).Should().NotBeNull();
            double[] embedded = [.. pair.B.Zip(pair.Error!, (b, e) => b - e)];
            conditions.FindMissed(embedded, pair.ErrorOrder).Should().BeNull();
            conditions.FindMissed(embedded, pair.ErrorOrder + 1).Should().NotBeNull();
        }
    }

    private static double[] Evenly(int count) => [.. Enumerable.Range(0, count).Select(i => i / (count - 1.0))];

    private static (Tensor[] Gradients, long Evaluations) Gradients(OdeSolverOptions options, double[] times)
    {
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0").requires_grad_();
        using OdeSolution solution = Ode.Solve(network, y0, tensor(times), options);
        solution.States.sin().sum().backward();
        solution.ThrowIfBackwardFailed();
        return ([y0.grad!.clone(), .. network.Weights.Select(weight => weight.grad!.clone())], solution.Statistics.BackwardEvaluations);
    }
}
