using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>How much each number in the options does, on problems whose steps can be counted by hand.</summary>
public class OptionAmountTests
{
    /// <summary>Each step may be twice the one before.</summary>
    private static readonly StepController Doubling = StepController.Integral(maximumFactor: 2);

    /// <summary>
    /// Options, an end time, and the sizes of the steps from 0 to it where y′ = 0: no error limits them, and they grow as fast as they may.
    /// </summary>
    public static TheoryData<string, OdeSolverOptions, double, double[]> Steps => new()
    {
        { "a tenfold growth", new() { FirstStep = 0.01 }, 1.11, [0.01, 0.1, 1] },
        { "a given first step and growth", new() { FirstStep = 1.0 / 16, Controller = Doubling }, 31.0 / 16,
            [1.0 / 16, 1.0 / 8, 1.0 / 4, 1.0 / 2, 1] },
        { "the end", new() { FirstStep = 5 }, 2, [2] },
        { "the largest step", new() { FirstStep = 1.0 / 16, Controller = Doubling, MaximumStep = 0.25 }, 15.0 / 16,
            [1.0 / 16, 1.0 / 8, 0.25, 0.25, 0.25] },
        { "a first step beyond the largest", new() { FirstStep = 4, MaximumStep = 0.5 }, 2, [0.5, 0.5, 0.5, 0.5] },
        { "a step that is cut at a discontinuity", new() { FirstStep = 0.5, Controller = Doubling, Discontinuities = [0.75] }, 4,
            [0.5, 0.25, 1, 2, 0.25] },
        { "the largest step behind a discontinuity",
            new() { FirstStep = 0.5, Controller = Doubling, Discontinuities = [0.75], MaximumStep = 1 }, 3, [0.5, 0.25, 1, 1, 0.25] },
        { "fixed steps", new() { Method = OdeMethod.Rk4, StepSize = 0.25 }, 1, [0.25, 0.25, 0.25, 0.25] },
        { "fixed steps that do not fit", new() { Method = OdeMethod.Rk4, StepSize = 0.4 }, 1, [1.0 / 3, 1.0 / 3, 1.0 / 3] },
        { "fixed steps of an adaptive method", new() { StepSize = 0.5 }, 1, [0.5, 0.5] },
        { "fixed steps and a largest one", new() { Method = OdeMethod.Rk4, StepSize = 0.5, MaximumStep = 0.25 }, 1,
            [0.25, 0.25, 0.25, 0.25] },
        { "a largest step alone", new() { Method = OdeMethod.Rk4, MaximumStep = 0.5 }, 1, [0.5, 0.5] },
        { "neither", new() { Method = OdeMethod.Rk4 }, 3, [3] },
        { "an implicit method", new() { Method = OdeMethod.Radau5, FirstStep = 0.125, Controller = Doubling, MaximumStep = 0.25 }, 0.875,
            [0.125, 0.25, 0.25, 0.25] },
        { "a reversible method", new() { Method = OdeMethod.ReversibleHeun, FirstStep = 0.125, Controller = Doubling, MaximumStep = 0.25 },
            0.875, [0.125, 0.25, 0.25, 0.25] },
        { "a method that chooses", new() { Method = OdeMethod.Auto, FirstStep = 0.125, Controller = Doubling, MaximumStep = 0.25 }, 0.875,
            [0.125, 0.25, 0.25, 0.25] },
    };

    /// <summary>
    /// Options and the error of one step of 0.5 by Heun's method with Euler's as its estimate, e = h (k₂ − k₁) / 2, on y′ = (2t, 4t) from
    /// (1, −3):
    /// e is (0.25, 0.5), and the larger states of both ends are (1.25, 3).
    /// </summary>
    public static TheoryData<string, OdeSolverOptions, double> Errors => new()
    {
        { "rms", new() { RelativeTolerance = 0.1, AbsoluteTolerance = 0.02 }, Rms(0.25 / (0.02 + 0.125), 0.5 / (0.02 + 0.3)) },
        { "maximum", new() { RelativeTolerance = 0.1, AbsoluteTolerance = 0.02, Norm = ErrorNorm.Maximum }, 0.25 / 0.145 },
        { "atol alone", new() { RelativeTolerance = 0, AbsoluteTolerance = 0.2, Norm = ErrorNorm.Maximum }, 2.5 },
        { "rtol alone", new() { RelativeTolerance = 0.1, AbsoluteTolerance = 0, Norm = ErrorNorm.Maximum }, 2 },
        { "a norm of one's own",
            new() { RelativeTolerance = 0.1, AbsoluteTolerance = 0, Norm = ErrorNorm.Custom("sum", e => e.abs().sum(1)) }, 2 + 0.5 / 0.3 },
        { "rtol per component",
            new() { RelativeTolerances = tensor(new[] { 0.2, 0.1 }), AbsoluteTolerance = 0.1, Norm = ErrorNorm.Maximum }, 0.5 / 0.4 },
        { "atol per component", new() { AbsoluteTolerances = tensor(new[] { 0.1, 0.4 }), RelativeTolerance = 0, Norm = ErrorNorm.Maximum },
            2.5 },
        { "both per component", new() { AbsoluteTolerances = tensor(new[] { 0.1, 0.1 }), RelativeTolerances = tensor(new[] { 0.08, 0 }) },
            Rms(0.25 / 0.2, 5) },
    };

    [Theory]
    [MemberData(nameof(Steps))]
    public void Steps_have_the_sizes_that_the_options_allow(string what, OdeSolverOptions options, double end, double[] expected)
    {
        foreach ((double from, double to) in new[] { (0, end), (0, -end), (1, 1 + end) })
        {
            double[] found = Sizes((t, y) => zeros_like(y),
                options with { Discontinuities = [.. options.Discontinuities.Select(d => from + d * Math.Sign(to - from))] }, from, to);
            found.Should().Equal(expected.Select(size => size * Math.Sign(to - from)), (a, b) => Math.Abs(a - b) < 1e-12, what);
        }
    }

    [Fact]
    public void Without_a_first_step_the_largest_still_holds_for_every_row()
    {
        using Tensor y0 = tensor(new[] { 1.0, 100, 0 }, [3, 1]);
        foreach (OdeMethod method in OdeMethod.All.Where(method => method.IsAdaptive && !method.IsForSecondOrderSystems))
        {
            OdeSolverOptions options = new() { Method = method, MaximumStep = 0.25, PerRow = method.SupportsPerRow };
            using OdeSolution solution = Ode.Solve((t, y) => zeros_like(y), y0, 0, 4, options);
            solution.Statistics.LargestStep.Should().BeApproximately(0.25, 1e-14, method.Name);
        }
    }

    [Theory]
    [InlineData("dopri5", 1, 1)]
    [InlineData("dopri5", -1, 3)]
    [InlineData("adaptive_heun", 1, 1)]
    [InlineData("adaptive_heun", -1, 3)]
    [InlineData("bosh3", -1, 3)]
    public void The_first_step_is_that_of_the_book_in_both_directions(string name, int direction, double slope)
    {
        // |y₀| = 1 and |f| = 1/2 make an Euler step of 0.02, over which f changes by 0.02 forward and by 0.06 backward.
        OdeMethod method = OdeMethod.Parse(name);
        double expected = Math.Pow(0.01 / slope, 1.0 / (method.StartOrder + 1));
        double[] found = Sizes((t, y) => 0.5 + (t.ToDouble() > 0 ? t : 3 * t) + 0 * y,
            new() { Method = method, RelativeTolerance = 0, AbsoluteTolerance = 1 }, 0, 10 * direction);
        found[0].Should().BeApproximately(direction * expected, 1e-12);
    }

    [Theory]
    [MemberData(nameof(Errors))]
    public void The_error_of_a_step_is_measured_by_the_tolerances(string what, OdeSolverOptions options, double expected)
    {
        // A step that is rejected cannot be repeated with a smaller one: the failure tells its error.
        OdeSolverException failure = Failure(options, 0.5, 1);
        failure.ErrorNorm.Should().BeApproximately(expected, 1e-12, what);
        failure.Failure.Should().Be(SolverFailure.StepSizeUnderflow);
        (failure.Time, failure.StepSize).Should().Be((0, 0.5));
    }

    [Fact]
    public void An_error_of_exactly_the_tolerance_is_accepted()
    {
        using Tensor y0 = zeros(1, ScalarType.Float64);
        OdeSolverOptions options =
            new() { Method = OdeMethod.AdaptiveHeun, RelativeTolerance = 0, AbsoluteTolerance = 0.25, FirstStep = 0.5, MinimumStep = 0.5 };
        using OdeSolution solution = Ode.Solve((t, y) => 2 * t + 0 * y, y0, 0, 0.5, options);
        (solution.Statistics.AcceptedSteps, solution.Statistics.RejectedSteps).Should().Be((1L, 0L));
        solution.Final.ToDouble().Should().Be(0.25);
        Action tighter = () => Ode.Solve((t, y) => 2 * t + 0 * y, y0, 0, 0.5, options with { AbsoluteTolerance = Math.BitDecrement(0.25) });
        tighter.Should().Throw<OdeSolverException>().Which.Failure.Should().Be(SolverFailure.StepSizeUnderflow);
    }

    /// <summary>
    /// Behind the start nothing is finite: each step is a quarter of the one before, 1, 1/4, 1/16, until it would be below the smallest.
    /// </summary>
    [Theory]
    [InlineData(0.3, 1.0)]
    [InlineData(0.25, 0.25)]
    [InlineData(0.0625, 0.0625)]
    [InlineData(0.0626, 0.25)]
    public void Steps_become_as_small_as_the_smallest_and_no_smaller(double smallest, double last)
    {
        using Tensor y0 = ones(1, ScalarType.Float64);
        var options = new OdeSolverOptions
        {
            FirstStep = 1,
            MinimumStep = smallest,
            Controller = StepController.Integral(minimumFactor: 0.25)
        };
        Action solve = () => Ode.Solve((t, y) => t.ToDouble() == 0 ? -y : y * double.NaN, y0, 0, 8, options);
        OdeSolverException failure = solve.Should().Throw<OdeSolverException>().Which;
        (failure.Failure, failure.Time, failure.StepSize).Should().Be((SolverFailure.NonFinite, 0, last));
        // The equations of an implicit method have no solution there.
        Action implicitly = () => Ode.Solve(
            (t, y) => t.ToDouble() == 0 ? -y : y * double.NaN, y0, 0, 8,
            options with { Method = OdeMethod.Radau5, Jacobian = (t, y) => -eye(1, dtype: ScalarType.Float64) });
        implicitly.Should().Throw<OdeSolverException>().Which.Failure.Should().Be(SolverFailure.Newton);
    }

    [Theory]
    [InlineData("adaptive", 5)]
    [InlineData("fixed", 8)]
    public void As_many_steps_as_allowed_are_made_and_not_one_more(string kind, int needed)
    {
        using Tensor y0 = ones(2, 1, ScalarType.Float64);
        OdeSolverOptions options = kind == "adaptive" ? new() { FirstStep = 1.0 / 16, Controller = Doubling }
            : new() { Method = OdeMethod.Rk4, StepSize = 31.0 / 128 };
        using OdeSolution enough = Solve(options with { MaximumSteps = needed });
        enough.Status.Should().OnlyContain(status => status == RowStatus.Completed);
        enough.Statistics.AcceptedSteps.Should().Be(needed);

        OdeSolverOptions few = options with { MaximumSteps = needed - 1 };
        OdeSolverException failure = FluentActions.Invoking(() => Solve(few)).Should().Throw<OdeSolverException>()
            .WithMessage($"*MaximumSteps is {needed - 1}.*").Which;
        failure.Failure.Should().Be(SolverFailure.StepLimit);
        // Many fixed steps are known beforehand.
        failure.Time.Should().Be(kind == "adaptive" ? 15.0 / 16 : 0);
        failure.StepSize.Should().BeApproximately(kind == "adaptive" ? 1 : 31.0 / 128, 1e-15);
        foreach (bool perRow in new[] { false, true })
        {
            using OdeSolution partial = Solve(few with { OnStepLimit = StepLimitBehavior.ReturnPartial, PerRow = perRow });
            partial.Status.Should().Equal(Enumerable.Repeat(RowStatus.StepLimit, perRow ? 2 : 1));
            // Rows with steps of their own count theirs.
            partial.Statistics.AcceptedSteps.Should().Be((needed - 1) * (perRow && kind == "adaptive" ? 2 : 1));
            partial.Final.isnan().all().item<bool>().Should().BeTrue();
        }

        OdeSolution Solve(OdeSolverOptions by) => Ode.Solve((t, y) => zeros_like(y), y0, 0, 31.0 / 16, by);
    }

    [Fact]
    public void Rejected_steps_count_as_well()
    {
        using Tensor y0 = ones(1, ScalarType.Float64);
        var options = new OdeSolverOptions { FirstStep = 5, RelativeTolerance = 1e-8, AbsoluteTolerance = 1e-10 };
        using OdeSolution solution = Ode.Solve((t, y) => -50 * y, y0, 0, 5, options);
        solution.Statistics.RejectedSteps.Should().BePositive();
        long all = solution.Statistics.AcceptedSteps + solution.Statistics.RejectedSteps;
        using OdeSolution same = Ode.Solve((t, y) => -50 * y, y0, 0, 5, options with { MaximumSteps = all });
        Action fewer = () => Ode.Solve((t, y) => -50 * y, y0, 0, 5, options with { MaximumSteps = all - 1 });
        fewer.Should().Throw<OdeSolverException>().Which.Failure.Should().Be(SolverFailure.StepLimit);
    }

    [Fact]
    public void Progress_tells_each_step_where_it_starts()
    {
        var seen = new List<SolverProgress>();
        Sizes((t, y) => zeros_like(y), new() { FirstStep = 0.25, MaximumStep = 0.25, Progress = new Immediate(seen.Add) }, 1, 2);
        seen.Select(progress => (progress.Time, progress.EndTime, progress.AcceptedSteps)).Should()
            .Equal((1, 2, 0), (1.25, 2, 1), (1.5, 2, 2), (1.75, 2, 3));
        // One evaluation at the start, and the six further stages of a step whose last is the next one's first.
        seen.Select(progress => progress.FunctionEvaluations).Should().Equal(0, 7, 13, 19);
    }

    [Fact]
    public void Statistics_count_steps_and_keep_their_extremes()
    {
        var statistics = new SolverStatistics();
        Sizes((t, y) => zeros_like(y), new() { FirstStep = 1.0 / 16, Controller = Doubling }, 1, 1 - 31.0 / 16, statistics);
        (statistics.AcceptedSteps, statistics.RejectedSteps).Should().Be((5L, 0L));
        (statistics.SmallestStep, statistics.LargestStep, statistics.StepSum, statistics.NextStep).Should().Be((1.0 / 16, 1, 31.0 / 16, 2));
        statistics.FunctionEvaluations.Should().Be(31);
        statistics.ToString().Should().Be("31 evaluations forward, 0 backward; 5 steps accepted, 0 rejected, sizes 0.0625 to 1");
    }

    [Fact]
    public void A_failure_names_ten_rows_at_most_with_time_step_and_error()
    {
        // Of 25 rows all but the first, third, fifth … are not finite from the start.
        using Tensor y0 = tensor([.. Enumerable.Range(0, 25).Select(i => i % 2 == 0 ? 1 : double.NaN)], [25, 1]);
        OdeSolverException failure =
            FluentActions.Invoking(() => Ode.Solve((t, y) => -y, y0, 2, 3, new OdeSolverOptions { FirstStep = 0.5 })).Should()
            .Throw<OdeSolverException>().Which;
        failure.Failure.Should().Be(SolverFailure.NonFinite);
        failure.Rows.Should().Equal(1, 3, 5, 7, 9, 11, 13, 15, 17, 19);
        failure.Message.Should().StartWith(
            "The solution became NaN or infinite at t = 2 with step 0.5, batch rows 1, 3, 5, 7, 9, 11, 13, 15, 17, 19. "
            + "The initial state itself holds such numbers.");

        Failure(new() { RelativeTolerance = 0, AbsoluteTolerance = 0.2, Norm = ErrorNorm.Maximum }, 0.5, 1).Message.Should().StartWith(
            "The step size became too small at t = 0 with step 0.5, error 2.5 times the tolerance, batch rows 1, 0. Loosen the tolerances");
    }

    private static double Rms(double a, double b) => Math.Sqrt((a * a + b * b) / 2);

    private static OdeSolverException Failure(OdeSolverOptions options, double step, double end)
    {
        using Tensor y0 = tensor(new[] { 1.0, -3.0 });
        using Tensor slope = tensor(new[] { 2.0, 4.0 });
        OdeSolverOptions single = options with { Method = OdeMethod.AdaptiveHeun, FirstStep = step, MinimumStep = step };
        return FluentActions.Invoking(() => Ode.Solve((t, y) => slope * t, y0, 0, end, single)).Should().Throw<OdeSolverException>().Which;
    }

    private static double[] Sizes(Func<Tensor, Tensor, Tensor> f, OdeSolverOptions options, double from, double to,
        SolverStatistics? statistics = null)
    {
        using Tensor y0 = ones(1, ScalarType.Float64);
        var recorder = new Recorder();
        var task = new IntegrationTask(
            new FunctionField(f), y0, TimeGrid.Of(from, to), options, statistics ?? new(), IsDifferentiable: false, recorder);
        OdeProblem.Integrate(task).Dispose();
        return [.. recorder.Steps];
    }

    private sealed class Recorder : IStepRecorder
    {
        public List<double> Steps { get; } = [];

        public void Accept(AcceptedStep step) => Steps.Add(step.Attempt.Span.Size[0]);

        public void Output(int output, int[] lanes, double[] times, bool isAtEnd)
        {
        }
    }

    private sealed class Immediate(Action<SolverProgress> report) : IProgress<SolverProgress>
    {
        public void Report(SolverProgress value) => report(value);
    }
}
