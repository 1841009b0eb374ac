using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

/// <summary>Mistakes of functions whose derivatives are asked for end in exceptions, never in the end of the process.</summary>
public class GuardedAutogradTests
{
    private static readonly Func<Tensor, Tensor, Tensor> ChangesInPlace = (t, y) =>
    {
        Tensor h = y.sigmoid();
        h.mul_(2);
        return h;
    };

    public static TheoryData<string> Gradients => ["adjoint", "checkpointed", "reversible"];

    public static TheoryData<string> ImplicitMethods =>
        [.. OdeMethod.All.Where(method => method is ImplicitRungeKutta).Select(method => method.Name)];

    [Fact]
    public void Derivatives_are_those_of_the_closed_form()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor x = tensor(new[] { 0.5, -2.0 }).requires_grad_();
        Tensor unused = tensor(1.0).requires_grad_();
        Tensor constant = ones(2, ScalarType.Float64);
        for (int i = 0; i < 4; i++)
        {
            Tensor?[] found =
                Autograd.Pull("f", [x.pow(4), constant], [x, unused], [constant, constant], createGraph: true, retainGraph: true);
            found[1].Should().BeNull();
            Problems.MaximumDifference(found[0]!, 4 * x.pow(3)).Should().BeLessThan(1e-14);
            Tensor second = Autograd.PullSum("f", found[0]!, [x], createGraph: true, retainGraph: true)[0]!;
            Problems.MaximumDifference(second, 12 * x.pow(2)).Should().BeLessThan(1e-14);
            Problems.MaximumDifference(Autograd.PullSum("f", second, [x])[0]!, 24 * x).Should().BeLessThan(1e-14);
        }
        Autograd.PullSum("f", constant, [x])[0].Should().BeNull();
        Array.TrueForAll(Autograd.Pull("f", [constant], [x, unused], [constant]), derivative => derivative is null).Should().BeTrue();
        x.grad.Should().BeNull();
    }

    [Fact]
    public void Several_threads_may_differentiate_at_once_with_common_parameters()
    {
        using Tensor weight = tensor(3.0).requires_grad_();
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 4 }, n =>
        {
            using DisposeScope scope = NewDisposeScope();
            for (int i = 0; i < 50; i++)
            {
                Tensor y = tensor((double)n).requires_grad_();
                Tensor?[] found = Autograd.PullSum("f", weight.square() * y, [y, weight]);
                found[0]!.ToDouble().Should().Be(9);
                found[1]!.ToDouble().Should().Be(6 * n);
            }
        });
        weight.grad.Should().BeNull();
    }

    [Theory]
    [MemberData(nameof(Gradients))]
    public void A_tensor_changed_in_place_is_named(string gradient)
    {
        foreach (bool keeps in new[] { true, false })
        {
            using Tensor y0 = ones(2, 3).requires_grad_();
            var options = new OdeSolverOptions
            {
                Gradient = gradient == "checkpointed" && !keeps
                ? GradientMethod.Checkpointed(evaluationBytes: 0) : GradientMethod.Parse(gradient),
                Method = gradient == "reversible" ? OdeMethod.ReversibleHeun : OdeMethod.Dopri5,
            };
            using Tensor times = tensor(new[] { 0.0, 1.0 });
            using OdeSolution solution = Ode.Solve(ChangesInPlace, y0, times, options, []);
            ((Action)solution.Final.sum().backward).Should().Throw<ExternalException>().WithMessage("*in place*mul_*");
            ((Action)solution.ThrowIfBackwardFailed).Should()
                .Throw<InvalidOperationException>().WithMessage("*right-hand side*in place*mul_*");
        }
    }

    [Theory]
    [MemberData(nameof(ImplicitMethods))]
    public void Jacobians_of_functions_that_change_a_tensor_in_place_are_refused(string method)
    {
        using Tensor y0 = ones(2, 3, ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        var options = new OdeSolverOptions { Method = OdeMethod.Parse(method), StepSize = 0.1 };
        ((Action)(() => Ode.Solve(ChangesInPlace, y0, times, options).Dispose())).Should()
            .Throw<InvalidOperationException>().WithMessage("*right-hand side*in place*");
    }

    [Fact]
    public void Traces_of_dynamics_that_change_a_tensor_in_place_are_refused()
    {
        using var flow = new ContinuousFlow(2, [new InPlace()]);
        using Tensor data = randn(4, 2);
        ((Action)(() => flow.LogDensity(data).sum().backward())).Should().Throw<Exception>().WithMessage("*in place*");
    }

    [Theory]
    [InlineData("direct")]
    [InlineData("adjoint")]
    [InlineData("checkpointed")]
    public void An_event_function_without_graph_is_found_but_not_differentiated(string gradient)
    {
        // y = y₀ + t crosses 1/2 at t = 0.3.
        Func<Tensor, Tensor, Tensor>[] functions =
        [
            (t, y) => (y > 0.5).to(ScalarType.Float64).sum() - 0.5,
            (t, y) => y.detach().sum() - 0.5,
            (t, y) => (y - 0.5).sign().sum(),
        ];
        foreach (Func<Tensor, Tensor, Tensor> function in functions)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor y0 = tensor(new[] { 0.2 }).requires_grad_();
            Tensor times = tensor(new[] { 0.0, 0.2, 1.0 });
            var options =
                new OdeSolverOptions { Gradient = GradientMethod.Parse(gradient), Events = [new OdeEvent(function, isTerminal: true)] };
            OdeSolution solution = Ode.Solve((t, y) => ones_like(y), y0, times, options, []);
            solution.Events.Should().ContainSingle();
            solution.Events[0].Time.ToDouble().Should().BeApproximately(0.3, 1e-9);
            solution.Final.ToDouble().Should().BeApproximately(0.5, 1e-9);
            solution.States[1].sum().backward(retain_graph: true);
            y0.grad!.ToDouble().Should().BeApproximately(1, 1e-12);
            ((Action)(() => solution.Events[0].Time.backward())).Should()
                .Throw<ExternalException>().WithMessage("*time of an event has no derivatives*");
            ((Action)(() => solution.Final.sum().backward())).Should()
                .Throw<ExternalException>().WithMessage("*time of an event has no derivatives*");
        }
    }

    [Fact]
    public void An_event_function_without_graph_does_not_disturb_who_asks_for_no_gradient()
    {
        using Tensor y0 = tensor(new[] { 0.2 });
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        var options = new OdeSolverOptions
        {
            Events =
            [new OdeEvent((t, y) => (y > 0.5).to(ScalarType.Float64).sum() - 0.5, reset: (t, y) => y - 1)]
        };
        using OdeSolution solution = Ode.Solve((t, y) => ones_like(y), y0, times, options);
        // Set back by 1 at t = 0.3, and not back at 1/2 by t = 1.
        solution.Final.ToDouble().Should().BeApproximately(0.2, 1e-9);
    }

    private sealed class InPlace() : nn.Module<Tensor, Tensor, Tensor>(nameof(InPlace))
    {
        public override Tensor forward(Tensor t, Tensor y) => ChangesInPlace(t, y);
    }
}
