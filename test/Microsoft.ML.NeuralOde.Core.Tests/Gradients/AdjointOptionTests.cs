using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

/// <summary>What the numbers given to the adjoint do to its backward solve, on y′ = −y, where λ′ = λ whatever y is.</summary>
public class AdjointOptionTests
{
    /// <summary>
    /// A forward solve and an adjoint of it, and how exact the adjoint then is: the tolerance that is loose forward is tight backward.
    /// </summary>
    public static TheoryData<string, OdeSolverOptions, GradientMethod> Tight => new()
    {
        { "rtol", new() { RelativeTolerance = 1e-2, AbsoluteTolerance = 1e-13 }, GradientMethod.Adjoint(relativeTolerance: 1e-11) },
        { "atol", new() { RelativeTolerance = 1e-13, AbsoluteTolerance = 1e-2 }, GradientMethod.Adjoint(absoluteTolerance: 1e-11) },
        { "both", new() { RelativeTolerance = 1e-2, AbsoluteTolerance = 1e-2 },
            GradientMethod.Adjoint(relativeTolerance: 1e-11, absoluteTolerance: 1e-11) },
        { "rtol, after an implicit method", new() { Method = OdeMethod.Radau5, RelativeTolerance = 1e-2, AbsoluteTolerance = 1e-13 },
            GradientMethod.Adjoint(relativeTolerance: 1e-11) },
    };

    /// <summary>Methods of fixed steps, and what one of them of size h makes of λ′ = −λ.</summary>
    public static TheoryData<OdeMethod, Func<double, double>> Growths => new()
    {
        { OdeMethod.Euler, h => 1 - h },
        { OdeMethod.Midpoint, h => 1 - h + h * h / 2 },
        { OdeMethod.Rk4, h => 1 - h + h * h / 2 - h * h * h / 6 + h * h * h * h / 24 },
        { OdeMethod.ImplicitEuler, h => 1 / (1 + h) },
    };

    [Theory]
    [MemberData(nameof(Tight))]
    public void Tolerances_of_the_backward_solve_are_its_own(string which, OdeSolverOptions options, GradientMethod adjoint)
    {
        (double tight, long many) = Derivative(options with { Gradient = adjoint });
        (double loose, long few) = Derivative(options with { Gradient = GradientMethod.Adjoint() });

        tight.Should().BeApproximately(Math.Exp(-3), 1e-9, which);
        Math.Abs(loose - Math.Exp(-3)).Should().BeGreaterThan(1e-7, "else this test could not fail");
        few.Should().BeLessThan(many);
    }

    /// <summary>One step in each of three intervals, of which the solve forward needs two at most.</summary>
    [Theory]
    [InlineData("dopri5")]
    [InlineData("radau5")]
    public void Steps_of_all_intervals_together_are_limited(string method)
    {
        using Tensor y0 = ones(1, 1, ScalarType.Float64), times = tensor(new[] { 0, 0.1, 0.2, 0.3 });
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Parse(method),
            RelativeTolerance = 1e-2,
            AbsoluteTolerance = 1e-2,
            FirstStep = 0.3,
        };
        using AdjointSolution all = Solve(options);
        SolverStatistics back = all.Backward;
        (back.AcceptedSteps + back.RejectedSteps).Should().Be(3);
        (all.Forward.AcceptedSteps + all.Forward.RejectedSteps).Should().BeLessThan(3);
        Solve(options with { MaximumSteps = 3 }).Dispose();
        Action few = () => Solve(options with { MaximumSteps = 2 }).Dispose();
        OdeSolverException failure = few.Should().Throw<OdeSolverException>().WithMessage("*MaximumSteps is 2.*").Which;
        (failure.Failure, failure.Time).Should().Be((SolverFailure.StepLimit, 0.1));

        AdjointSolution Solve(OdeSolverOptions with) => Ode.SolveAdjoint((t, y) => -y, y0, times, y => y.sum(), with);
    }

    [Theory]
    [MemberData(nameof(Growths))]
    public void The_backward_method_is_the_one_that_is_given(OdeMethod method, Func<double, double> growth)
    {
        foreach (OdeMethod forward in new[] { OdeMethod.Rk4, OdeMethod.Dopri5, OdeMethod.Radau5 })
        {
            (double derivative, _) = Derivative(new() { Method = forward, StepSize = 0.25, Gradient = GradientMethod.Adjoint(method) });
            derivative.Should().BeApproximately(Math.Pow(growth(0.25), 12), 1e-12);
        }
    }

    [Fact]
    public void Without_a_method_the_backward_one_is_that_of_the_forward_solve()
    {
        foreach ((OdeMethod method, Func<double, double> growth) in new (OdeMethod, Func<double, double>)[]
        {
            (OdeMethod.Euler, h => 1 - h), (OdeMethod.ImplicitEuler, h => 1 / (1 + h)),
        })
        {
            (double derivative, _) = Derivative(new() { Method = method, StepSize = 0.25, Gradient = GradientMethod.Adjoint() });
            derivative.Should().BeApproximately(Math.Pow(growth(0.25), 12), 1e-12);
        }
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void A_tolerance_that_makes_no_sense_is_named(double value)
    {
        FluentActions.Invoking(() => GradientMethod.Adjoint(relativeTolerance: value)).Should().Throw<ArgumentOutOfRangeException>()
            .WithParameterName("relativeTolerance");
        FluentActions.Invoking(() => GradientMethod.Adjoint(absoluteTolerance: value)).Should().Throw<ArgumentOutOfRangeException>()
            .WithParameterName("absoluteTolerance");
        GradientMethod.Adjoint(relativeTolerance: 0).ToString().Should().Be("adjoint (rtol 0)");
    }

    [Fact]
    public void Checkpoints_are_at_least_one_and_bytes_are_not_negative()
    {
        FluentActions.Invoking(() => GradientMethod.Checkpointed(0)).Should().Throw<ArgumentOutOfRangeException>()
            .WithParameterName("checkpoints");
        FluentActions.Invoking(() => GradientMethod.Checkpointed(evaluationBytes: -1)).Should().Throw<ArgumentOutOfRangeException>()
            .WithParameterName("evaluationBytes");
        GradientMethod.Checkpointed(1, 0).ToString().Should().Be("checkpointed (1 checkpoint, 0 bytes for evaluations)");
        GradientMethod.Checkpointed(2).ToString().Should().Be("checkpointed (2 checkpoints)");
    }

    /// <summary>∂y(3)/∂y(0) and what it cost.</summary>
    private static (double Derivative, long Evaluations) Derivative(OdeSolverOptions options)
    {
        using Tensor y0 = ones(1, 1, ScalarType.Float64).requires_grad_();
        using OdeSolution solution = Ode.Solve((t, y) => -y, y0, 0, 3, options);
        solution.Final.sum().backward();
        solution.ThrowIfBackwardFailed();
        return (y0.grad!.ToDouble(), solution.Statistics.BackwardEvaluations);
    }
}
