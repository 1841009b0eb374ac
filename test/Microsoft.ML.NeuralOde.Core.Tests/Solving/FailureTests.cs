using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

public class FailureTests
{
    private static readonly Tensor Times = tensor(new[] { 0.0, 1.0 });

    [Fact]
    public void A_singularity_is_reported_with_time_rows_and_remedy()
    {
        using Tensor y0 = tensor(new[] { 0.5, 2.0 }, [2, 1]);
        Action act = () => Ode.Solve((t, y) => y * y, y0, Times);
        OdeSolverException exception = act.Should().Throw<OdeSolverException>().Which;
        exception.Failure.Should().BeOneOf(SolverFailure.StepSizeUnderflow, SolverFailure.NonFinite);
        exception.Time.Should().BeApproximately(0.5, 1e-3);
        exception.Rows[0].Should().Be(1);
        exception.Message.Should().Contain("tolerance");
    }

    [Fact]
    public void A_state_that_is_not_finite_names_its_rows()
    {
        using Tensor y0 = tensor(new[] { 0.5, double.NaN, 1 }, [3, 1]);
        foreach (OdeMethod method in new[] { OdeMethod.Dopri5, OdeMethod.Rk4 })
        {
            Action act = () => Ode.Solve(Problems.Decay, y0, Times, new OdeSolverOptions { Method = method });
            OdeSolverException exception = act.Should().Throw<OdeSolverException>().Which;
            exception.Failure.Should().Be(SolverFailure.NonFinite);
            exception.Rows.Should().Equal(1);
        }
    }

    [Fact]
    public void The_step_limit_counts_the_whole_solve_and_can_return_what_was_reached()
    {
        using Tensor y0 = tensor(new[] { 1.0 });
        using Tensor times = tensor(new[] { 0.0, 1.0, 2.0, 3.0 });
        var options = new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.5, MaximumSteps = 4 };
        Action act = () => Ode.Solve(Problems.Decay, y0, times, options);
        act.Should().Throw<OdeSolverException>().Which.Failure.Should().Be(SolverFailure.StepLimit);
        // Hopeless from the start: it fails before the first of 100,000 steps.
        int calls = 0;
        Action hopeless = () =>
            Ode.Solve((t, y) => calls++ < 10 ? -y : throw new InvalidOperationException("It steps."), y0, times,
                options with { StepSize = 1e-300, MaximumSteps = 100_000 });
        hopeless.Should().Throw<OdeSolverException>().Which.Failure.Should().Be(SolverFailure.StepLimit);
        using OdeSolution partial = Ode.Solve(Problems.Decay, y0, times, options with { OnStepLimit = StepLimitBehavior.ReturnPartial });
        partial.Status.Should().Equal(RowStatus.StepLimit);
        partial.States[2].ToDouble().Should().BeApproximately(Math.Exp(-2), 1e-3);
        double.IsNaN(partial.Final.ToDouble()).Should().BeTrue();

        Action adaptive = () => Ode.Solve(Problems.Decay, y0, times, new OdeSolverOptions { MaximumSteps = 2, FirstStep = 0.01 });
        adaptive.Should().Throw<OdeSolverException>().WithMessage("*MaximumSteps is 2*");
    }

    [Fact]
    public void Cancellation_and_progress_work()
    {
        using var source = new CancellationTokenSource();
        var seen = new List<SolverProgress>();
        using Tensor y0 = tensor(new[] { 1.0 });
        var options = new OdeSolverOptions
        {
            CancellationToken = source.Token,
            Progress = new Immediate(p =>
            { seen.Add(p); if (seen.Count == 3) source.Cancel(); })
        };
        Action act = () => Ode.Solve(Problems.Decay, y0, Times, options);
        act.Should().Throw<OperationCanceledException>();
        seen.Should().HaveCount(3);
        seen[2].Time.Should().BeGreaterThan(0);
    }

    [Theory]
    [InlineData(new[] { 0.0, 0.0 })]
    [InlineData(new[] { 0.0, 1.0, 0.5 })]
    [InlineData(new[] { 0.0, double.NaN })]
    [InlineData(new double[0])]
    public void Times_must_be_strictly_monotone(double[] times)
    {
        using Tensor y0 = tensor(new[] { 1.0 });
        Action act = () => Ode.Solve(Problems.Decay, y0, tensor(times));
        act.Should().Throw<ArgumentException>().WithMessage("*ime*");
    }

    [Fact]
    public void Options_name_what_is_wrong()
    {
        using Tensor y0 = tensor(new[] { 1.0 });
        foreach ((OdeSolverOptions options, string name) in new (OdeSolverOptions, string)[]
        {
            (new() { RelativeTolerance = -1 }, "RelativeTolerance"),
            (new() { AbsoluteTolerance = double.NaN }, "AbsoluteTolerance"),
            (new() { RelativeTolerance = 0, AbsoluteTolerance = 0 }, "AbsoluteTolerance"),
            (new() { StepSize = 0 }, "StepSize"),
            (new() { FirstStep = -1 }, "FirstStep"),
            (new() { MaximumStep = 0 }, "MaximumStep"),
            (new() { MaximumSteps = 0 }, "MaximumSteps"),
            (new() { Discontinuities = [double.NaN] }, "Discontinuities"),
        })
        {
            Action act = () => Ode.Solve(Problems.Decay, y0, Times, options);
            act.Should().Throw<ArgumentException>().WithMessage($"*{name}*");
        }
    }

    [Fact]
    public void A_right_hand_side_of_the_wrong_shape_or_an_integer_state_is_refused()
    {
        using Tensor y0 = ones(3, 2);
        Action shape = () => Ode.Solve((t, y) => y.sum(), y0, Times);
        shape.Should().Throw<InvalidOperationException>().WithMessage("*[3, 2]*");
        using Tensor integers = ones([2], ScalarType.Int32);
        Action type = () => Ode.Solve(Problems.Decay, integers, Times);
        type.Should().Throw<ArgumentException>().WithMessage("*Int32*");
    }

    [Fact]
    public void Unknown_names_are_answered_with_the_known_ones()
    {
        Action method = () => OdeMethod.Parse("dopri6");
        method.Should().Throw<ArgumentException>().WithMessage("*dopri6*dopri5*");
        Action gradient = () => GradientMethod.Parse("magic");
        gradient.Should().Throw<ArgumentException>().WithMessage("*magic*adjoint*");
    }

    [Fact]
    public void A_right_hand_side_may_return_a_constant_or_its_argument()
    {
        using Tensor one = ones(2, ScalarType.Float64);
        using Tensor y0 = ones(2, ScalarType.Float64);
        using OdeSolution constant = Ode.Solve((t, y) => one, y0, Times);
        Problems.MaximumDifference(constant.Final, full([2], 2, ScalarType.Float64)).Should().BeLessThan(1e-12);
        using OdeSolution growth = Ode.Solve((t, y) => y, y0, Times);
        growth.Final[0].ToDouble().Should().BeApproximately(Math.E, 1e-4);
        Problems.MaximumDifference(one, y0).Should().Be(0, "the function's own tensor is neither changed nor disposed of");
    }

    private sealed class Immediate(Action<SolverProgress> report) : IProgress<SolverProgress>
    {
        public void Report(SolverProgress value) => report(value);
    }
}
