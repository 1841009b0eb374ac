using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Methods;

/// <summary>The two states of a reversible method stay together, or the solve fails and says so.</summary>
public class ReversibleCouplingTests
{
    private static readonly OdeMethod[] Adaptive =
        [OdeMethod.AdaptiveHeun, OdeMethod.Bosh3, OdeMethod.Tsit5, OdeMethod.Dopri5, OdeMethod.Dopri8];

    private static readonly OdeMethod[] Explicit =
        [OdeMethod.Euler, OdeMethod.Midpoint, OdeMethod.Heun3, OdeMethod.Rk4, OdeMethod.Bosh3, OdeMethod.Tsit5, OdeMethod.Dopri5,
            OdeMethod.Dopri8];

    public static TheoryData<string, double> Couplings => Pairs(Adaptive, [0.3, 0.5, 0.8, 0.9, 0.99, 0.999]);

    public static TheoryData<string, double> FixedCouplings => Pairs(Explicit, [0.5, 0.9, 0.99, 0.999]);

    [Theory]
    [MemberData(nameof(Couplings))]
    public void A_decaying_solution_is_right_or_the_failure_names_the_coupling(string method, double coupling)
    {
        double tolerance = OdeMethod.Parse(method).Order < 3 ? 1e-4 : 1e-6;
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.ReversibleCoupling(OdeMethod.Parse(method), coupling),
            RelativeTolerance = tolerance,
            AbsoluteTolerance = tolerance / 10,
            MaximumSteps = 3000,
        };
        try
        {
            Error(options, 20).Should().BeLessThan(20 * tolerance);
        }
        catch (OdeSolverException exception)
        {
            coupling.Should().BeGreaterThan(0.95, "smaller couplings need no more than a few hundred steps");
            exception.Message.Should().Contain("coupling").And.Contain(method).And.Contain("Checkpointed");
        }
    }

    [Theory]
    [MemberData(nameof(FixedCouplings))]
    public void Fixed_steps_fail_where_the_states_have_moved_apart(string method, double coupling)
    {
        var options = new OdeSolverOptions { Method = OdeMethod.ReversibleCoupling(OdeMethod.Parse(method), coupling), StepSize = 0.1 };
        double own = Error(options with { Method = OdeMethod.Parse(method) }, 20);
        try
        {
            Error(options, 20).Should().BeLessThan(1e-4 + 10 * own);
        }
        catch (OdeSolverException exception)
        {
            exception.Failure.Should().Be(SolverFailure.Drift);
            exception.Message.Should().Contain("coupling").And.Contain(method).And.Contain("Checkpointed");
        }
    }

    [Fact]
    public void Fixed_steps_of_reversible_Heun_fail_too_where_a_solution_decays()
    {
        Action act = () => Error(new OdeSolverOptions { Method = OdeMethod.ReversibleHeun, StepSize = 0.1 }, 40);
        act.Should().Throw<OdeSolverException>().WithMessage("*reversible_heun*decay*").Which.Failure.Should().Be(SolverFailure.Drift);
    }

    [Fact]
    public void The_failure_names_the_rows()
    {
        // Only the second row decays.
        using Tensor y0 = tensor(new[] { 1.0, 0.0, 1.0, 0.0 }, [2, 2]);
        using Tensor decays = tensor(new[] { 0.0, 1.0 }, [2, 1]);
        Action act = () => Ode.Solve(
            (t, y) => -decays * y + (1 - decays) * cat([y.narrow(1, 1, 1), -y.narrow(1, 0, 1)], 1), y0, 0, 30,
            OdeMethod.ReversibleCoupling(OdeMethod.Dopri5, 0.999), 0.1);
        act.Should().Throw<OdeSolverException>().Which.Rows.Should().Equal(1);
    }

    [Theory]
    [InlineData("bosh3", 3)]
    [InlineData("tsit5", 4)]
    [InlineData("dopri5", 4)]
    [InlineData("dopri8", 6)]
    public void The_default_costs_a_few_times_the_method_itself(string name, double factor)
    {
        OdeMethod method = OdeMethod.Parse(name);
        foreach ((Func<Tensor, Tensor, Tensor> f, double[] start, double end) in new (Func<Tensor, Tensor, Tensor>, double[], double)[]
        {
            (Problems.Decay, [1], 20), ((t, y) => stack([y[1], -y[0]]), [1, 0], 20), ((t, y) => y / 2, [1], 8),
            ((t, y) => Problems.VanDerPol(y, 1), [2, 0], 10),
        })
        {
            using DisposeScope scope = NewDisposeScope();
            using IDisposable noGrad = no_grad();
            var options = new OdeSolverOptions { RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-7 };
            OdeSolution own = Ode.Solve(f, tensor(start), tensor(new[] { 0.0, end }), options with { Method = method });
            OdeSolution coupled =
                Ode.Solve(f, tensor(start), tensor(new[] { 0.0, end }), options with { Method = OdeMethod.ReversibleCoupling(method) });
            OdeSolution exact = Ode.Solve(f, tensor(start), tensor(new[] { 0.0, end }),
                options with { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-11, AbsoluteTolerance = 1e-12 });
            coupled.Statistics.FunctionEvaluations.Should().BeLessThan((long)(factor * own.Statistics.FunctionEvaluations));
            double scale = Math.Max(1, exact.Final.abs().max().ToDouble());
            Problems.MaximumDifference(coupled.Final, exact.Final)
                .Should().BeLessThan(Math.Max(3e-5 * scale, 3 * Problems.MaximumDifference(own.Final, exact.Final)));
        }
    }

    [Theory]
    [InlineData(0.3, false)]
    [InlineData(0.5, false)]
    [InlineData(0.5, true)]
    [InlineData(0.9, false)]
    public void Gradients_over_many_steps_are_the_direct_ones(double coupling, bool perRow)
    {
        // Undoing 100 steps at 0.5 would amplify rounding by 1e30.
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.ReversibleCoupling(OdeMethod.Bosh3, coupling),
            PerRow = perRow,
            MaximumStep = 0.01,
            RelativeTolerance = 1e-3,
            AbsoluteTolerance = 1e-3,
        };
        NetworkGradients direct = NetworkGradients.Of(options with { Gradient = GradientMethod.Direct() });
        NetworkGradients.Of(options with { Gradient = GradientMethod.Reversible() }).Should().Agree(direct, 1e-9);
        NetworkGradients.Of(options with { Gradient = GradientMethod.Checkpointed() }).Should().Agree(direct, 1e-9);
    }

    [Fact]
    public void Steps_that_cannot_be_undone_are_noticed()
    {
        // Backward, rounding grows by e^60 against the solution.
        using Tensor y0 = tensor(new[] { 1.0 }).requires_grad_();
        using Tensor times = tensor(new[] { 0.0, 30.0 });
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.ReversibleCoupling(
            OdeMethod.Dopri5, 0.99),
            Gradient = GradientMethod.Reversible(),
            RelativeTolerance = 1e-6
        };
        using OdeSolution solution = Ode.Solve((t, y) => y + 0.1 * y.sin(), y0, times, options, []);
        FluentActions.Invoking(() => solution.Final.sum().backward())
            .Should().Throw<System.Runtime.InteropServices.ExternalException>().WithMessage("*could not be undone*");
        solution.Statistics.BackwardFailure.Should().NotBeNull();
        solution.Statistics.BackwardFailure!.Message.Should().Contain("could not be undone").And.Contain("Checkpointed");
    }

    private static TheoryData<string, double> Pairs(OdeMethod[] methods, double[] couplings)
    {
        var data = new TheoryData<string, double>();
        foreach (OdeMethod method in methods)
            foreach (double coupling in couplings)
                data.Add(method.Name, coupling);
        return data;
    }

    private static double Error(OdeSolverOptions options, double end)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        OdeSolution solution = Ode.Solve(Problems.Decay, tensor(new[] { 1.0 }), tensor(new[] { 0.0, end }), options);
        return Math.Abs(solution.Final.ToDouble() - Math.Exp(-end));
    }
}
