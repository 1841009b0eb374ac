using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

public class GradientTests
{
    public static TheoryData<string> Methods => ["direct", "adjoint", "checkpointed", "reversible"];

    private static readonly OdeSolverOptions Tight = new() { RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-12 };

    private static OdeSolverOptions With(string gradient) => Tight with
    {
        Gradient = GradientMethod.Parse(gradient),
        Method = gradient == "reversible" ? OdeMethod.ReversibleCoupling(OdeMethod.Dopri5) : OdeMethod.Dopri5,
    };

    [Theory]
    [MemberData(nameof(Methods))]
    public void Gradients_agree_with_independent_references(string gradient)
    {
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0").requires_grad_();
        using Tensor times = References.Network("times").requires_grad_();
        using OdeSolution solution = Ode.Solve(network, y0, times, With(gradient));
        solution.Final.square().sum().backward();
        solution.Statistics.BackwardFailure.Should().BeNull();
        Problems.MaximumDifference(y0.grad!, References.Network("grad_y0")).Should().BeLessThan(1e-7);
        Problems.MaximumDifference(times.grad!, References.Network("grad_times")).Should().BeLessThan(1e-6);
        for (int i = 0; i < network.Weights.Length; i++)
            Problems.MaximumDifference(network.Weights[i].grad!, References.Network(ReferenceNetwork.Names[i], "grad_weights"))
            .Should().BeLessThan(1e-6);
        if (gradient is "adjoint" or "reversible")
            solution.Statistics.BackwardEvaluations.Should().BePositive();
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void Gradients_of_every_output_time_agree_with_finite_differences(string gradient)
    {
        OdeSolverOptions options = With(gradient);
        double[] values = [0.2, 0.9, 1.7];
        using Tensor y0 = tensor(new[] { 0.8 });
        using Tensor times = tensor(values).requires_grad_();
        using OdeSolution solution = Ode.Solve(Problems.Quadratic, y0, times, options, []);
        Loss(solution).backward();
        solution.Statistics.BackwardFailure.Should().BeNull();
        for (int i = 0; i < values.Length; i++)
        {
            double difference = (Exact(i, 1e-5) - Exact(i, -1e-5)) / 2e-5;
            // The exact derivatives of the discrete solution see the interpolant's slope, which is one order less accurate than its values.
            times.grad![i].ToDouble().Should().BeApproximately(difference, gradient == "adjoint" ? 1e-8 : 5e-4);
        }

        static Tensor Loss(OdeSolution solution) => (solution.States * solution.States).sum();
        double Exact(int index, double change)
        {
            var moved = (double[])values.Clone();
            moved[index] += change;
            // Closed form: y = 1 / (1/y₀ + sin t − sin t₀).
            return moved.Sum(t => Math.Pow(1 / (1 / 0.8 + Math.Sin(t) - Math.Sin(moved[0])), 2));
        }
    }

    [Fact]
    public void The_way_back_costs_no_more_for_more_output_times()
    {
        using var network = new ReferenceNetwork();
        // The interpolant uses the seventh stage, which the step itself does not: one evaluation more a step, for however many outputs.
        Evaluations(257).Should().Be(Evaluations(2) / 6 * 7);
        Evaluations(1025).Should().Be(Evaluations(257));

        long Evaluations(int outputs)
        {
            using Tensor y0 = References.Network("y0");
            using Tensor times = linspace(0, 1, outputs, ScalarType.Float64);
            using OdeSolution solution = Ode.Solve(
                network, y0, times, Tight with { Method = OdeMethod.Dopri5, Gradient = GradientMethod.Checkpointed(evaluationBytes: 0) });
            solution.States.square().sum().backward();
            return solution.Statistics.BackwardEvaluations;
        }
    }

    [Fact]
    public void The_adjoint_goes_on_with_the_step_size_that_it_has()
    {
        const int Intervals = 8;
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0");
        using Tensor times = linspace(0, 1, Intervals + 1, ScalarType.Float64);
        using OdeSolution solution =
            Ode.Solve(network, y0, times, Tight with { Method = OdeMethod.Dopri5, Gradient = GradientMethod.Adjoint() });
        solution.States.square().sum().backward();
        // One evaluation where an interval begins, since λ jumps there, and six a step: none to look for a first step.
        long inSteps = solution.Statistics.BackwardEvaluations - Intervals;
        (inSteps % 6).Should().Be(0);
        inSteps.Should().BeGreaterThanOrEqualTo(6 * Intervals);
    }

    [Theory]
    [InlineData("adjoint")]
    [InlineData("checkpointed")]
    public void Tolerances_per_component_hold_on_the_way_back_too(string gradient)
    {
        using Tensor rate = tensor(new[] { 0.7, 1.3 }).requires_grad_();
        using Tensor y0 = ones(3, 2, ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        using Tensor each = tensor(new[] { 1e-9, 1e-8 });
        var options =
            new OdeSolverOptions { RelativeTolerances = each, AbsoluteTolerances = each, Gradient = GradientMethod.Parse(gradient) };
        using OdeSolution solution = Ode.Solve((t, y) => -rate * y, y0, times, options, [rate]);
        solution.Final.sum().backward();
        rate.grad![0].ToDouble().Should().BeApproximately(-3 * Math.Exp(-0.7), 1e-6);
        rate.grad![1].ToDouble().Should().BeApproximately(-3 * Math.Exp(-1.3), 1e-6);
    }

    [Theory]
    [InlineData("radau5", "radau5", 1e-8)]
    [InlineData("dopri5", "kvaerno5", 1e-8)]
    [InlineData("auto", null, 1e-8)]
    [InlineData("gl4", null, 0.02)]
    [InlineData("adams", "tsit5", 1e-8)]
    public void The_adjoint_may_be_solved_by_a_method_of_its_own(string forward, string? backward, double accuracy)
    {
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0").requires_grad_();
        using Tensor times = References.Network("times");
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Parse(forward),
            StepSize = accuracy >= 0.01 ? accuracy : null,
            RelativeTolerance = accuracy,
            AbsoluteTolerance = accuracy / 100,
            Gradient = GradientMethod.Adjoint(backward is null ? null : OdeMethod.Parse(backward)),
        };
        using OdeSolution solution = Ode.Solve(network, y0, times, options);
        solution.Final.square().sum().backward();
        solution.Statistics.BackwardFailure.Should().BeNull();
        Problems.MaximumDifference(y0.grad!, References.Network("grad_y0")).Should().BeLessThan(1e-6);
        for (int i = 0; i < network.Weights.Length; i++)
            Problems.MaximumDifference(network.Weights[i].grad!, References.Network(ReferenceNetwork.Names[i], "grad_weights"))
            .Should().BeLessThan(1e-5);
    }

    [Fact]
    public void An_implicit_backward_solve_takes_a_jacobian_and_tolerances_of_components()
    {
        // y′ = −a y by rows of two components: y(1) = y₀ e^(−a), d(Σ y(1))/da = −e^(−a) Σ y₀.
        using Tensor a = tensor(0.7, ScalarType.Float64).requires_grad_();
        using Tensor y0 = tensor(new[] { 1.0, 2.0, 3.0, 4.0, 5.0, 6.0 }, [3, 2]);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        using Tensor tolerances = tensor(new[] { 1e-9, 1e-10 });
        int jacobians = 0;
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Radau5,
            RelativeTolerances = tolerances,
            AbsoluteTolerances = tolerances,
            Gradient = GradientMethod.Adjoint(),
            Jacobian = (t, y) =>
            {
                jacobians++;
                return (-a * eye(2, dtype: ScalarType.Float64)).expand(3, 2, 2);
            },
        };
        using OdeSolution solution = Ode.Solve((t, y) => -a * y, y0, times, options, [a]);
        int forward = jacobians;
        solution.Final.sum().backward();
        solution.Statistics.BackwardFailure.Should().BeNull();
        a.grad!.ToDouble().Should().BeApproximately(-21 * Math.Exp(-0.7), 1e-7);
        jacobians.Should().BeGreaterThan(forward);
    }

    [Fact]
    public void The_adjoint_refuses_methods_that_it_cannot_be_solved_by()
    {
        ((Action)(() => GradientMethod.Adjoint(OdeMethod.Adams))).Should().Throw<ArgumentException>().WithMessage("*'adams'*Runge–Kutta*");
        ((Action)(() => GradientMethod.Adjoint(relativeTolerance: double.NaN))).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void Second_derivatives_work_through_direct_gradients()
    {
        // y(1) = y₀ e^(−a): d²y/da² = y.
        using Tensor a = tensor(0.7, ScalarType.Float64).requires_grad_();
        using Tensor y0 = tensor(new[] { 1.0 });
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        using OdeSolution solution = Ode.Solve((t, y) => -a * y, y0, times, Tight with { Gradient = GradientMethod.Direct() });
        Tensor first = autograd.grad([solution.Final.sum()], [a], retain_graph: true, create_graph: true)[0];
        Tensor second = autograd.grad([first], [a])[0];
        first.ToDouble().Should().BeApproximately(-Math.Exp(-0.7), 1e-8);
        second.ToDouble().Should().BeApproximately(Math.Exp(-0.7), 1e-7);
    }

    [Theory]
    [InlineData("adjoint")]
    [InlineData("checkpointed")]
    [InlineData("reversible")]
    public void Live_tensors_do_not_grow_with_steps_or_repetitions(string gradient)
    {
        // What earlier tests left to the finalizers must not be counted.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        using var network = new ReferenceNetwork();
        long few = Peak(network, gradient, steps: 16);
        long many = Peak(network, gradient, steps: 128);
        if (gradient != "checkpointed")
            many.Should().BeLessThanOrEqualTo(few);
        long before = Tensor.TotalCount;
        for (int i = 0; i < 3; i++)
            Peak(network, gradient, steps: 16);
        Tensor.TotalCount.Should().BeLessThanOrEqualTo(before);
    }

    [Fact]
    public void A_failure_on_the_way_back_gives_nan_and_its_reason()
    {
        int calls = 0;
        using Tensor weight = ones(1, ScalarType.Float64).requires_grad_();
        using Tensor y0 = ones(1, ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        bool failing = false;
        Func<Tensor, Tensor, Tensor> f = (t, y) => failing && ++calls > 3 ? throw new InvalidOperationException("no more") : weight * y;
        using OdeSolution solution = Ode.Solve(f, y0, times, new OdeSolverOptions { Gradient = GradientMethod.Adjoint() }, [weight]);
        failing = true;
        ((Action)solution.Final.sum().backward).Should().Throw<ExternalException>().WithMessage("*no more*");
        double.IsNaN(weight.grad!.ToDouble()).Should().BeTrue();
        solution.Statistics.BackwardFailure.Should().BeOfType<InvalidOperationException>().Which.Message.Should().Be("no more");
    }

    [Fact]
    public void Parameters_that_are_not_used_or_frozen_get_no_gradient()
    {
        foreach (string gradient in new[] { "adjoint", "checkpointed", "reversible" })
        {
            using Tensor used = ones(1, ScalarType.Float64).requires_grad_();
            using Tensor unused = ones(1, ScalarType.Float64).requires_grad_();
            using Tensor frozen = ones(1, ScalarType.Float64);
            using Tensor y0 = ones(1, ScalarType.Float64);
            using Tensor times = tensor(new[] { 0.0, 1.0 });
            OdeSolverOptions options = With(gradient);
            using OdeSolution solution = Ode.Solve((t, y) => -used * frozen * y, y0, times, options, [unused, used, frozen]);
            solution.Final.sum().backward();
            used.grad!.ToDouble().Should().BeApproximately(-Math.Exp(-1), 1e-8);
            unused.grad!.ToDouble().Should().Be(0);
            frozen.grad.Should().BeNull();
        }
    }

    private static long Peak(ReferenceNetwork network, string gradient, int steps)
    {
        using DisposeScope scope = NewDisposeScope();
        network.zero_grad();
        Tensor y0 = References.Network("y0");
        Tensor times = References.Network("times");
        var options = With(gradient) with { StepSize = 1.0 / steps };
        long peak = 0;
        OdeSolution solution = Ode.Solve(
            (t, y) => { peak = Math.Max(peak, Tensor.TotalCount); return network.call(t, y); }, y0, times, options, network.Weights);
        solution.Final.sum().backward();
        return peak;
    }
}
