using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

/// <summary>What goes wrong inside the autograd engine reaches who called it.</summary>
public class BackwardFailureTests
{
    private static readonly double[] Interval = [0, 1];

    public static TheoryData<string> Gradients => ["adjoint", "checkpointed", "made again", "reversible"];

    public static TheoryData<string, Exception> Failures
    {
        get
        {
            var data = new TheoryData<string, Exception>();
            foreach (string gradient in new[] { "adjoint", "made again", "reversible" })
                foreach (Exception exception in new Exception[] { new InvalidOperationException(
                    "no more"), new OperationCanceledException("enough"), new DivideByZeroException() })
                    data.Add(gradient, exception);
            return data;
        }
    }

    private static OdeSolverOptions With(string gradient) => new()
    {
        Gradient = gradient == "made again" ? GradientMethod.Checkpointed(evaluationBytes: 0) : GradientMethod.Parse(gradient),
        Method = gradient == "reversible" ? OdeMethod.ReversibleCoupling(OdeMethod.Dopri5) : OdeMethod.Dopri5,
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public void An_exception_of_the_dynamics_reaches_the_caller(string gradient, Exception exception)
    {
        var dynamics = new Failing(exception);
        using Tensor y0 = ones(2, 1, ScalarType.Float64).requires_grad_();
        using Tensor times = tensor(Interval);
        using OdeSolution solution = Ode.Solve(dynamics.Evaluate, y0, times, With(gradient), [dynamics.Weight]);
        ((Action)solution.ThrowIfBackwardFailed).Should().NotThrow();
        dynamics.Fails = true;
        Action[] passes =
        [
            () => solution.Final.sum().backward(retain_graph: true),
            () => autograd.grad([solution.Final.sum()], [y0], retain_graph: true),
            () => autograd.backward([solution.States.sum()], retain_graph: true, inputs: [dynamics.Weight]),
        ];
        foreach (Action pass in passes)
        {
            pass.Should().Throw<ExternalException>().WithMessage($"*{exception.GetType().Name}*{exception.Message}*");
            ((Action)solution.ThrowIfBackwardFailed).Should().Throw<Exception>().Which.Should().BeSameAs(exception);
            ((Action)solution.Statistics.ThrowIfBackwardFailed).Should().Throw<Exception>().Which.Should().BeSameAs(exception);
        }
        dynamics.Weight.grad!.isnan().all().item<bool>().Should().BeTrue();
        // The message was thrown; nothing of it is left for others.
        ((Action)CheckForErrors).Should().NotThrow();
        using OdeSolution other = Ode.Solve((t, y) => -y, y0, times, With(gradient), []);
        ((Action)other.Final.sum().backward).Should().NotThrow();
    }

    [Theory]
    [MemberData(nameof(Gradients))]
    public void A_cancellation_on_the_way_back_stays_one(string gradient)
    {
        using var source = new CancellationTokenSource();
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0").requires_grad_();
        using OdeSolution solution = Ode.Solve(network, y0, 0, 1, With(gradient) with { CancellationToken = source.Token });
        source.Cancel();
        Exception? thrown = Record.Exception(solution.Final.sum().backward);
        if (thrown is null)
        {
            // Steps that need no evaluation are not worth a cancellation.
            ((Action)solution.ThrowIfBackwardFailed).Should().NotThrow();
            y0.grad!.isfinite().all().item<bool>().Should().BeTrue();
            return;
        }
        thrown.Should().BeOfType<ExternalException>();
        ((Action)solution.ThrowIfBackwardFailed).Should().Throw<OperationCanceledException>();
    }

    [Theory]
    [MemberData(nameof(Gradients))]
    public void Solves_behind_one_another_all_tell_of_the_last_ones_failure(string gradient)
    {
        if (gradient == "checkpointed")
            gradient = "made again";
        var last = new Failing(new InvalidOperationException("no more"));
        using Tensor y0 = ones(2, 1, ScalarType.Float64).requires_grad_();
        using Tensor times = tensor(Interval);
        using OdeSolution first = Ode.Solve((t, y) => -y, y0, times, With(gradient), []);
        using Tensor middle = first.Final;
        using OdeSolution second = Ode.Solve(last.Evaluate, middle, times, With(gradient), [last.Weight]);
        last.Fails = true;
        ((Action)second.Final.sum().backward).Should().Throw<ExternalException>().WithMessage("*no more*");
        foreach (OdeSolution solution in new[] { first, second })
            ((Action)solution.ThrowIfBackwardFailed).Should().Throw<InvalidOperationException>().WithMessage("no more");
        y0.grad!.isnan().all().item<bool>().Should().BeTrue();
    }

    [Theory]
    [MemberData(nameof(Gradients))]
    public void A_failure_of_a_solve_inside_the_dynamics_is_the_failure_of_the_solve_around_it(string gradient)
    {
        if (gradient == "checkpointed")
            gradient = "made again";
        var inner = new Failing(new InvalidOperationException("no more"));
        using Tensor y0 = ones(2, 1, ScalarType.Float64).requires_grad_();
        using Tensor times = tensor(Interval);
        using OdeSolution outer = Ode.Solve(
            (t, y) =>
            {
                // On the way back the solve inside succeeds, and its own backward pass fails.
                inner.Fails = false;
                Tensor result = Ode.Solve(inner.Evaluate, y, times, With("made again"), [inner.Weight]).Final;
                inner.Fails = true;
                return result;
            }, y0, times, With(gradient) with { StepSize = 0.5 }, [inner.Weight]);
        ((Action)outer.Final.sum().backward).Should().Throw<ExternalException>().WithMessage("*no more*");
        ((Action)outer.ThrowIfBackwardFailed).Should().Throw<InvalidOperationException>().WithMessage("no more");
    }

    [Fact]
    public void Every_overload_tells()
    {
        using Tensor times = tensor(Interval);
        using Tensor y0 = ones(2, 1, ScalarType.Float64).requires_grad_();
        using Tensor argument = ones(2, 1, ScalarType.Float64);
        var failing = new Failing(new InvalidOperationException("no more"));
        using OdeTupleSolution tuple = Ode.Solve(
            (Tensor t, IReadOnlyList<Tensor> y) => [failing.Evaluate(t, y[0]), -y[1]], [y0, y0], times, With("adjoint"), [failing.Weight]);
        using OdeSolution rows =
            Ode.Solve((t, y, arguments) => failing.Evaluate(t, y) * arguments[0], y0, times, [argument], With("adjoint"), [failing.Weight]);
        using OdeSolution perRow = Ode.Solve(failing.Evaluate, y0, times, With("made again") with { PerRow = true }, [failing.Weight]);
        using OdeSolution events = Ode.Solve(
            failing.Evaluate, y0, times, With("made again") with { Events = [new OdeEvent((t, y) => t - 0.5, reset: (t, y) => y * 2)] },
            [failing.Weight]);
        failing.Fails = true;
        foreach ((Tensor end, Action check) in new (Tensor, Action)[]
            { (tuple.States[0], tuple.ThrowIfBackwardFailed), (rows.Final, rows.ThrowIfBackwardFailed),
                (perRow.Final, perRow.ThrowIfBackwardFailed), (events.Final, events.ThrowIfBackwardFailed) })
        {
            ((Action)end.sum().backward).Should().Throw<ExternalException>().WithMessage("*no more*");
            check.Should().Throw<InvalidOperationException>().WithMessage("no more");
        }
    }

    [Fact]
    public void A_block_whose_backward_pass_fails_lets_its_caller_know()
    {
        var dynamics = new FailingModule();
        using var block = new OdeBlock(dynamics, options: With("made again"));
        using Tensor x = ones(2, 1).requires_grad_();
        using Tensor output = block.call(x);
        dynamics.Fails = true;
        ((Action)output.sum().backward).Should().Throw<ExternalException>().WithMessage("*no more*");
        dynamics.Fails = false;
        ((Action)(() => block.call(x).sum().backward())).Should().NotThrow();
    }

    [Fact]
    public void Parameters_that_were_disposed_of_since_the_solve_end_in_an_exception()
    {
        foreach (string gradient in new[] { "adjoint", "checkpointed", "made again", "reversible" })
        {
            var network = new ReferenceNetwork();
            using Tensor y0 = References.Network("y0").requires_grad_();
            using OdeSolution solution = Ode.Solve(network, y0, 0, 1, With(gradient));
            network.Dispose();
            ((Action)solution.Final.sum().backward).Should().Throw<ExternalException>();
            ((Action)solution.ThrowIfBackwardFailed).Should().Throw<Exception>();
        }
    }

    [Fact]
    public void Weights_of_a_flow_changed_before_its_backward_pass_are_told_of()
    {
        foreach (GradientMethod gradient in new[] { GradientMethod.Direct(), GradientMethod.Checkpointed() })
        {
            using var flow =
                new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [8], Solver = new OdeSolverOptions { Gradient = gradient } });
            using Tensor data = randn(4, 2);
            using Tensor density = flow.LogDensity(data).sum();
            using (no_grad())
                foreach (Tensor weight in flow.parameters())
                    weight.mul_(2).Dispose();
            ((Action)density.backward).Should().Throw<ExternalException>();
        }
    }

    [Fact]
    public void A_failure_that_could_not_be_told_is_thrown_by_the_next_use_of_the_parameters()
    {
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0");
        using OdeSolution solution = Ode.Solve(network, y0, 0, 1);
        solution.Statistics.Fail(new OperationCanceledException("enough"), isTold: false, network.Weights);
        ((Action)(() => Ode.Solve(network, y0, 0, 1).Dispose())).Should().Throw<OperationCanceledException>().WithMessage("enough");
        ((Action)(() => Ode.Solve(network, y0, 0, 1).Dispose())).Should().NotThrow();

        solution.Statistics.Fail(new OperationCanceledException("enough"), isTold: false, network.Weights);
        ((Action)(() => solution.Final.Dispose())).Should().Throw<OperationCanceledException>().WithMessage("enough");
        ((Action)(() => solution.Final.Dispose())).Should().NotThrow();
        ((Action)(() => Ode.Solve(network, y0, 0, 1).Dispose())).Should().NotThrow();
    }

    [Theory]
    [MemberData(nameof(Gradients))]
    public void Second_derivatives_are_refused_by_name(string gradient)
    {
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0").requires_grad_();
        using OdeSolution solution = Ode.Solve(network, y0, 0, 1, With(gradient));
        using Tensor loss = solution.Final.square().sum();
        Action[] passes = [() => autograd.grad([loss], [y0], retain_graph: true, create_graph: true),
            () => loss.backward(retain_graph: true, create_graph: true)];
        foreach (Action pass in passes)
        {
            pass.Should().Throw<ExternalException>().WithMessage("*second derivatives*GradientMethod.Direct()*");
            ((Action)solution.ThrowIfBackwardFailed).Should()
                .Throw<NotSupportedException>().WithMessage($"*'{With(gradient).Gradient!.Name}'*GradientMethod.Direct()*");
        }
        using Tensor first = autograd.grad([loss], [y0])[0];
        first.isfinite().all().item<bool>().Should().BeTrue();
    }

    private sealed class Failing(Exception exception)
    {
        public Tensor Weight { get; } = ones(1, ScalarType.Float64).requires_grad_();

        public bool Fails { get; set; }

        public Tensor Evaluate(Tensor t, Tensor y) => Fails ? throw exception : -Weight * y;
    }

    private sealed class FailingModule() : nn.Module<Tensor, Tensor, Tensor>(nameof(FailingModule))
    {
        public bool Fails { get; set; }

        public override Tensor forward(Tensor t, Tensor y) => Fails ? throw new InvalidOperationException("no more") : -y;
    }
}
