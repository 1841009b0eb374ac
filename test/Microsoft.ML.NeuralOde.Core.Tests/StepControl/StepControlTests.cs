using Microsoft.ML.NeuralOde.StepControl;

namespace Microsoft.ML.NeuralOde.Core.Tests.StepControl;

/// <summary>Step sizes by their published formulas, with numbers that can be followed by hand.</summary>
public class StepControlTests
{
    /// <summary>
    /// A controller, and β₁, β₂, β₃ by G. Söderlind, Digital filters in adaptive time-stepping, 2003: p_I + p_P + p_D, −(p_P + 2 p_D), p_D.
    /// </summary>
    public static TheoryData<StepController, double, double, double> Filters => new()
    {
        { StepController.Integral(), 1, 0, 0 },
        { StepController.ProportionalIntegral(), 0.7, -0.4, 0 },
        { StepController.ProportionalIntegral(0.5, 0.25), 0.75, -0.25, 0 },
        { StepController.ProportionalIntegralDerivative(), 0.65, -0.4, 0.05 },
        { StepController.ProportionalIntegralDerivative(0.25, 0.5, 0.125), 0.875, -0.75, 0.125 },
    };

    /// <summary>A controller and a value of its safety, smallest and largest factor.</summary>
    public static TheoryData<StepController, double, double, double> Limits => new()
    {
        { StepController.Integral(), 0.9, 0.2, 10 },
        { StepController.Integral(0.5, 0.1, 3), 0.5, 0.1, 3 },
        { StepController.ProportionalIntegral(), 0.9, 0.2, 10 },
        { StepController.ProportionalIntegral(safety: 0.5, minimumFactor: 0.1, maximumFactor: 3), 0.5, 0.1, 3 },
        { StepController.ProportionalIntegralDerivative(), 0.9, 0.2, 10 },
        { StepController.ProportionalIntegralDerivative(safety: 0.5, minimumFactor: 0.1, maximumFactor: 3), 0.5, 0.1, 3 },
        { StepController.Predictive(), 0.9, 0.2, 10 },
        { StepController.Predictive(0.5, 0.1, 3), 0.5, 0.1, 3 },
    };

    [Theory]
    [MemberData(nameof(Filters))]
    public void The_factor_is_that_of_the_filter(StepController controller, double beta1, double beta2, double beta3)
    {
        // Tolerance over error was 2, then 4, then 16: powers of two, so that exponents can be added.
        foreach (int k in new[] { 1, 2, 5 })
        {
            controller.Factor(16, 4, 2, growth: 7, k).Should()
                .BeApproximately(0.9 * Math.Pow(2, (4 * beta1 + 2 * beta2 + beta3) / k), 1e-13);
            controller.Factor(0.25, 1, 8, growth: 7, k).Should().BeApproximately(0.9 * Math.Pow(2, (-2 * beta1 + 3 * beta3) / k), 1e-13);
        }
    }

    [Theory]
    [MemberData(nameof(Limits))]
    public void Factors_stay_between_their_limits_and_are_cut_by_the_safety(StepController controller, double safety, double smallest,
        double largest)
    {
        (controller.Safety, controller.MinimumFactor, controller.MaximumFactor).Should().Be((safety, smallest, largest));
        new ErrorHistory().Accepted(controller, 5, 1, error: 0).Should().Be(largest);
        new ErrorHistory().Accepted(controller, 5, 1, error: 1).Should().BeApproximately(safety, 1e-15);
        new ErrorHistory().Rejected(controller, 1, 1, error: 1e9).Should().Be(smallest);
        new ErrorHistory().Rejected(controller, 2, 1, error: 4).Should().BeApproximately(Math.Max(safety / 2, smallest), 1e-15);
        // An error that is no number says only that the step was too long.
        new ErrorHistory().Rejected(controller, 2, 1, double.NaN).Should().Be(smallest);
        new ErrorHistory().Rejected(controller, 2, 1, double.PositiveInfinity).Should().Be(smallest);
    }

    [Fact]
    public void An_error_of_almost_nothing_counts_as_a_ten_thousand_millionth()
    {
        var controller = StepController.Integral(safety: 1, maximumFactor: 1e12);
        new ErrorHistory().Accepted(controller, 1, 1, error: 1e-12).Should().BeApproximately(1e10, 1e-3);
        new ErrorHistory().Accepted(controller, 1, 1, error: 1e-9).Should().BeApproximately(1e9, 1e-3);
    }

    [Fact]
    public void A_step_behind_a_rejected_one_does_not_grow_and_the_one_after_may()
    {
        var controller = StepController.Integral();
        var history = new ErrorHistory();
        history.Rejected(controller, 2, 1, 4).Should().BeApproximately(0.45, 1e-15);
        history.Accepted(controller, 2, 1, 0.0001).Should().Be(1);
        history.Accepted(controller, 2, 1, 0.25).Should().BeApproximately(1.8, 1e-15);
    }

    [Fact]
    public void Errors_of_the_last_three_steps_count_and_none_behind_a_restart()
    {
        var controller = StepController.ProportionalIntegralDerivative(0.25, 0.5, 0.125, safety: 1, minimumFactor: 1e-9,
            maximumFactor: 1e9);
        var history = new ErrorHistory();
        // Tolerance over error: 2, 4, 16, 32. Before the first step all was well: 1.
        history.Accepted(controller, 1, 1, 1.0 / 2).Should().BeApproximately(Math.Pow(2, 0.875), 1e-13);
        history.Accepted(controller, 1, 1, 1.0 / 4).Should().BeApproximately(Math.Pow(2, 2 * 0.875 - 0.75), 1e-13);
        history.Accepted(controller, 1, 1, 1.0 / 16).Should().BeApproximately(Math.Pow(2, 4 * 0.875 - 2 * 0.75 + 0.125), 1e-13);
        history.Rejected(controller, 1, 1, 100);
        history.Accepted(StepController.Integral(), 1, 1, 1.0 / 16).Should().Be(1);
        history.Accepted(controller, 1, 1, 1.0 / 32).Should()
            .BeApproximately(Math.Pow(2, 5 * 0.875 - 4 * 0.75 + 4 * 0.125), 1e-12, "rejected steps are forgotten");
        history.Restart();
        history.Accepted(controller, 1, 1, 1.0 / 2).Should().BeApproximately(Math.Pow(2, 0.875), 1e-13);
    }

    [Fact]
    public void Predictive_control_expects_errors_to_go_on_growing()
    {
        var controller = StepController.Predictive(safety: 1);
        // Gustafsson: h_{n+1} = h_n (h_n / h_{n−1}) (1/err_n)^{1/k} (err_{n−1} / err_n)^{1/k}, where that is less than without what came
        // before.
        controller.Factor(16, 64, 1, growth: 1, k: 2).Should().BeApproximately(4 * 0.5, 1e-13);
        controller.Factor(16, 64, 1, growth: 1.5, k: 2).Should().BeApproximately(4 * 0.75, 1e-13);
        controller.Factor(16, 4, 1, growth: 1, k: 2).Should()
            .BeApproximately(4, 1e-13, "errors that become smaller are not expected to go on");
        controller.Factor(1.0 / 16, 1, 1, growth: 1, k: 2).Should().BeApproximately(0.25 * 0.25, 1e-13);
        // A step that could grow by less than a fifth stays, one that must shrink does not.
        controller.Factor(1.19, 1, 1, growth: 1, k: 1).Should().Be(1);
        controller.Factor(1.2, 1, 1, growth: 1, k: 1).Should().BeApproximately(1.2, 1e-13);
        controller.Factor(1.21, 1, 1, growth: 1, k: 1).Should().BeApproximately(1.21, 1e-13);
        controller.Factor(0.99, 0.99, 1, growth: 1, k: 1).Should().BeApproximately(0.99, 1e-13);

        var history = new ErrorHistory();
        history.Accepted(controller, 2, 0.5, 1.0 / 16).Should().BeApproximately(4, 1e-13, "before the first step nothing grew");
        history.Accepted(controller, 2, 1.5, 1.0 / 16).Should().BeApproximately(4, 1e-13);
        history.Accepted(controller, 2, 0.75, 1.0 / 16).Should().BeApproximately(4 * 0.5, 1e-13, "the step was half of that before");
        history.Restart();
        history.Accepted(controller, 2, 0.1, 1.0 / 16).Should().BeApproximately(4, 1e-13);
    }

    [Fact]
    public void A_factor_that_the_method_gives_is_taken_within_the_limits()
    {
        var controller = StepController.Integral();
        new ErrorHistory().Accepted(controller, 2, 1, 0.25, given: 3).Should().Be(3);
        new ErrorHistory().Accepted(controller, 2, 1, 0.25, given: 30).Should().Be(10);
        new ErrorHistory().Accepted(controller, 2, 1, 0.25, given: 0.03).Should().Be(0.2);
    }

    /// <summary>
    /// After 1 with an error of 16, a step of 1/4 with this error: the error goes with the size to this power, no more than to the third and
    /// no less than to the tenth part, and the next size follows from that: 0.9 err^{-1/power}, no less than a fifth.
    /// </summary>
    [Theory]
    [InlineData(4, 1, 0.9 / 4)]
    [InlineData(2, 1.5, 0.5669645)]
    [InlineData(1.5, 1.7075187, 0.7097665)]
    [InlineData(1.01, 1.9928224, 0.8955174)]
    [InlineData(15.9, 0.1, 0.2)]
    [InlineData(20, 0.1, 0.2)]
    public void Two_rejected_steps_tell_how_the_error_depends_on_the_size(double error, double power, double expected)
    {
        StepController controller = StepController.Integral();
        var history = new ErrorHistory();
        history.Rejected(controller, 3, 1, 16).Should().BeApproximately(0.9 * Math.Pow(16, -1 / 3.0), 1e-12);
        history.Rejected(controller, 3, 0.25, error).Should().BeApproximately(expected, 1e-6)
            .And.BeApproximately(Math.Clamp(0.9 * Math.Pow(error, -1 / power), 0.2, 1), 1e-6);
        // What was accepted, and what was not finite, tells nothing of that.
        history.Accepted(controller, 3, 0.1, 1);
        history.Rejected(controller, 3, 1, double.PositiveInfinity).Should().Be(0.2);
        history.Rejected(controller, 3, 0.2, 8).Should().BeApproximately(0.45, 1e-12);
    }

    [Theory]
    [InlineData(0, 0, nameof(StepController.Safety))]
    [InlineData(1.01, 0, nameof(StepController.Safety))]
    [InlineData(0, 1, nameof(StepController.MinimumFactor))]
    [InlineData(1, 1, nameof(StepController.MinimumFactor))]
    [InlineData(1, 2, nameof(StepController.MaximumFactor))]
    [InlineData(double.NaN, 2, nameof(StepController.MaximumFactor))]
    public void A_coefficient_that_makes_no_sense_is_named(double value, int place, string name)
    {
        double[] values = [0.9, 0.2, 10];
        values[place] = value;
        foreach (Func<StepController> create in new Func<StepController>[]
        {
            () => StepController.Integral(values[0], values[1], values[2]),
            () => StepController.ProportionalIntegral(0.3, 0.4, values[0], values[1], values[2]),
            () => StepController.ProportionalIntegralDerivative(0.3, 0.3, 0.05, values[0], values[1], values[2]),
            () => StepController.Predictive(values[0], values[1], values[2]),
        })
            create.Should().Throw<ArgumentOutOfRangeException>().Which.ParamName.Should().BeEquivalentTo(name);
    }

    [Fact]
    public void Coefficients_at_their_limits_are_taken_and_an_integral_part_is_needed()
    {
        StepController.Integral(safety: 1).Safety.Should().Be(1);
        foreach (double integral in new[] { 0, -1, double.NaN, double.PositiveInfinity })
            FluentActions.Invoking(() => StepController.ProportionalIntegral(integral)).Should().Throw<ArgumentOutOfRangeException>()
                .WithParameterName("integral");
        FluentActions.Invoking(() => StepController.ProportionalIntegralDerivative(derivative: double.NaN)).Should()
            .Throw<ArgumentOutOfRangeException>();
    }

    [Theory]
    [InlineData(1, 0.25, 4)]
    [InlineData(1, 0.1, 10)]
    [InlineData(1.01, 0.1, 11)]
    [InlineData(0.99, 0.1, 10)]
    [InlineData(0.001, 0.1, 1)]
    [InlineData(0.3, 0.1, 3)]
    [InlineData(5, double.PositiveInfinity, 1)]
    public void Equal_steps_are_as_few_as_possible(double length, double largest, long expected) =>
        new FixedSteps(0, length, largest).Count.Should().Be(expected);

    [Fact]
    public void Equal_steps_end_where_they_should_in_both_directions()
    {
        var forward = new FixedSteps(1, 2, 0.3);
        (forward.Count, forward.Size).Should().Be((4, 0.25));
        Enumerable.Range(1, 4).Select(i => forward.End(i)).Should().Equal(1.25, 1.5, 1.75, 2);
        var backward = new FixedSteps(0.1, -0.2, 0.1);
        (backward.Count, backward.End(3)).Should().Be((3, -0.2));
        backward.End(1).Should().BeApproximately(0, 1e-16);
    }

    /// <summary>A controller without safety and with factors from 1/4 to 4: a step's factor is error^(−1/(order + 1)).</summary>
    private static AdaptiveSteps Steps(double start, double[] stops, double minimum = 0, double maximum = double.PositiveInfinity) =>
        new(new StepLimits(start, stops, new OdeSolverOptions { MinimumStep = minimum, MaximumStep = maximum }));

    private static readonly StepController Plain = StepController.Integral(1, 0.25, 4);

    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public void A_step_is_cut_at_a_stop_and_the_size_of_before_comes_back(int direction)
    {
        AdaptiveSteps steps = Steps(0, [direction, 3 * direction]);
        steps.Room(0).Should().Be(1);
        steps.Begin(0, 0.75);
        steps.End(0).Should().Be(0.75 * direction);
        steps.IsCut.Should().BeFalse();
        steps.Accept(Plain, 1, 0.75, 1);
        steps.PassStop().Should().BeFalse();
        steps.End(0.75 * direction).Should().Be(direction);
        steps.IsCut.Should().BeTrue();
        // A quarter was made, which says nothing about three of them.
        steps.Accept(Plain, 1, 0.25, 1);
        steps.Size.Should().Be(0.75);
        steps.PassStop().Should().BeTrue("the method starts afresh behind a discontinuity");
        steps.IsOver.Should().BeFalse();
        steps.Room(direction).Should().Be(2);
        steps.Begin(direction, 2);
        // The end is all but reached: no step of a rounding error's size is left over.
        steps.End(direction * (1 + 1e-11)).Should().Be(3 * direction);
        steps.Accept(Plain, 1, 2, 1);
        steps.PassStop().Should().BeFalse("it was the end");
        steps.IsOver.Should().BeTrue();
        steps.Room(3 * direction).Should().Be(double.PositiveInfinity, "there is nothing more to meet");
    }

    /// <summary>A step is stretched to a stop that it leaves by no more than 1e-10 of its size.</summary>
    [Theory]
    [InlineData(1, 1e-10, true)]
    [InlineData(1, 1.01e-10, false)]
    [InlineData(4, 3.9e-10, true)]
    [InlineData(4, 4.1e-10, false)]
    [InlineData(0.25, 0.24e-10, true)]
    [InlineData(0.25, 0.26e-10, false)]
    public void A_stop_that_is_all_but_reached_is_the_steps_end(double size, double left, bool isReached)
    {
        foreach (int direction in new[] { 1, -1 })
        {
            AdaptiveSteps steps = Steps(-size * direction, [left * direction, 9 * direction]);
            steps.Begin(-size * direction, size);
            steps.End(-size * direction).Should().Be(isReached ? left * direction : 0);
            steps.IsCut.Should().Be(isReached);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public void Behind_a_stop_and_where_a_solve_goes_on_afresh_errors_are_forgotten(int direction)
    {
        // The factor is (1/err)^{(0.3 + 0.4)/2} (err before)^{0.4/2}.
        var controller = StepController.ProportionalIntegral(safety: 1, minimumFactor: 1e-3, maximumFactor: 1e3);
        double first = 0.5 * Math.Pow(16, 0.35), later = 0.5 * Math.Pow(16, 0.35 - 0.2);
        AdaptiveSteps steps = Steps(0, [direction, 2 * direction, 3 * direction]);
        steps.Accept(controller, 1, 0.5, 1.0 / 16);
        steps.Size.Should().BeApproximately(first, 1e-12);
        steps.Accept(controller, 1, 0.5, 1.0 / 16);
        steps.Size.Should().BeApproximately(later, 1e-12);
        steps.Begin(0.5 * direction, 1);
        steps.End(0.5 * direction).Should().Be(direction);
        steps.PassStop().Should().BeTrue();
        steps.Begin(direction, 1e-3);
        steps.End(direction);
        steps.Accept(controller, 1, 0.5, 1.0 / 16);
        steps.Size.Should().BeApproximately(first, 1e-12);
        steps.Restart(1.5 * direction);
        steps.Room(1.5 * direction).Should().Be(0.5, "the next stop was not passed");
        steps.Accept(controller, 1, 0.5, 1.0 / 16);
        steps.Size.Should().BeApproximately(first, 1e-12);
    }

    /// <summary>How many numbers before a stop a solve goes on, and whether that is the stop.</summary>
    [Theory]
    [InlineData(0, true)]
    [InlineData(8, true)]
    [InlineData(9, false)]
    [InlineData(-100, true)]
    public void A_solve_that_goes_on_at_a_stop_is_past_it(int numbers, bool isPast)
    {
        foreach (int direction in new[] { 1, -1 })
        {
            AdaptiveSteps steps = Steps(0, [direction, 2 * direction, 4 * direction]);
            double time = direction * (2 - numbers * Math.ScaleB(1, -52));
            steps.Restart(time);
            steps.Room(time).Should().BeApproximately(isPast ? 2 : 0, 1e-12);
            steps.IsOver.Should().BeFalse();
            steps.Restart(4 * direction);
            steps.IsOver.Should().BeTrue();
        }
    }

    [Fact]
    public void An_error_estimate_counts_as_one_of_the_first_order_at_least()
    {
        AdaptiveSteps steps = Steps(0, [100]);
        steps.Accept(Plain, 0, 1, 1.0 / 4);
        steps.Size.Should().BeApproximately(2, 1e-12);
        steps.Accept(Plain, 3, 1, 1.0 / 16);
        steps.Size.Should().BeApproximately(2, 1e-12);
    }

    [Fact]
    public void The_order_of_the_error_estimate_sets_the_next_size_within_the_limits()
    {
        AdaptiveSteps steps = Steps(0, [100], minimum: 0.05, maximum: 3);
        steps.Begin(0, 10);
        steps.Size.Should().Be(3);
        steps.Begin(0, 1);
        steps.Accept(Plain, 1, 1, 1.0 / 4);
        steps.Size.Should().BeApproximately(2, 1e-12);
        steps.Accept(Plain, 3, 2, 1.0 / 16);
        steps.Size.Should().Be(3, "4 is more than the largest");
        steps.Accept(Plain, 0, 1, 1.0 / 4, factor: 0.5);
        steps.Size.Should().Be(0.5, "the method knows better");
        steps.Reject(Plain, 1, time: 0, tried: 0.5, error: 4).Should().BeTrue();
        steps.Size.Should().BeApproximately(0.25, 1e-12);
        steps.Reject(Plain, 1, time: 0, tried: 0.25, error: 4, atMost: 0.06).Should().BeTrue();
        steps.Size.Should().Be(0.06);
        steps.Reject(Plain, 1, time: 0, tried: 0.06, error: double.NaN).Should().BeFalse("0.015 is less than the smallest");
    }

    /// <summary>
    /// Hairer, Nørsett and Wanner, II.4: h₀ = 0.01 d₀ / d₁, or 1e-6 where one of them is below 1e-5; never beyond the limit.
    /// </summary>
    [Theory]
    [InlineData(2, 4, 1, 0.005)]
    [InlineData(2, 4, 0.001, 0.001)]
    [InlineData(1e-5, 1, 1, 1e-7)]
    [InlineData(9e-6, 1, 1, 1e-6)]
    [InlineData(1, 9e-6, 1, 1e-6)]
    [InlineData(1, 1e-5, 1e9, 1000)]
    [InlineData(double.NaN, 1, 4, 4e-6)]
    [InlineData(1, double.PositiveInfinity, 4, 4e-6)]
    [InlineData(double.PositiveInfinity, 1, 4, 4e-6)]
    public void The_euler_step_before_the_first_follows_the_book(double d0, double d1, double limit, double expected) =>
        InitialStep.Guess(d0, d1, limit).Should().BeApproximately(expected, 1e-12 * expected);

    /// <summary>
    /// h = min(100 h₀, (0.01 / max(d₁, d₂ / h₀))^{1/(p+1)}) with d₂ the change of the derivative; max(1e-6, h₀/1000) where both vanish.
    /// </summary>
    [Theory]
    [InlineData(0.5, 4, 1, 1, 9, 0.05)]
    [InlineData(0.5, 1, 2, 1, 9, 0.05)]
    [InlineData(0.5, 1, 0.1, 1, 9, 0.1)]
    [InlineData(0.5, 1, 0.1, 3, 9, 0.31622776601683794)]
    [InlineData(1e-4, 1, 0, 1, 9, 0.01)]
    [InlineData(0.5, 0, 0, 1, 9, 0.0005)]
    [InlineData(1e-4, 0, 0, 1, 9, 1e-6)]
    [InlineData(0.5, 1, 0.1, 1, 0.03, 0.03)]
    [InlineData(0.5, 1, double.NaN, 1, 1, 0.5)]
    [InlineData(0.5, 1, double.PositiveInfinity, 1, 1, 0.5)]
    public void The_first_step_follows_the_book(double h0, double d1, double d2, int order, double limit, double expected) =>
        InitialStep.Choose(h0, d1, d2, order, limit).Should().BeApproximately(expected, 1e-12 * expected);

    /// <summary>
    /// The book's step for an error of 0.01 is 0.1; the limit is tried at once where the same law predicts an error up to 1e4 for it, a
    /// factor of 1e6^{1/(p+1)}, and no more than tenfold.
    /// </summary>
    [Theory]
    [InlineData(1, 0.999, 0.999)]
    [InlineData(1, 1.001, 0.1)]
    [InlineData(3, 0.999, 0.999)]
    [InlineData(3, 1.001, 0.1)]
    [InlineData(5, 0.999, 0.999)]
    [InlineData(5, 1.001, 0.1)]
    [InlineData(8, 0.464, 0.464)]
    [InlineData(8, 0.465, 0.1)]
    public void A_limit_that_one_bold_step_may_reach_is_tried_at_once(int order, double limit, double expected)
    {
        double slope = 0.01 * Math.Pow(10, order + 1);
        InitialStep.Choose(0.5, slope, 0, order, limit).Should().BeApproximately(expected, 1e-12 * expected);
        InitialStep.Choose(0.5, 0, 0.5 * slope, order, limit).Should().BeApproximately(expected, 1e-12 * expected);
        InitialStep.Choose(0.5, slope, 0, order, limit, mayBeBold: false).Should().BeApproximately(0.1, 1e-12);
    }

    [Theory]
    [InlineData(1, 8.881784197001252e-16)]
    [InlineData(-1, 8.881784197001252e-16)]
    [InlineData(1024, 1024 * 8.881784197001252e-16)]
    [InlineData(0, 3e-30)]
    public void Smaller_steps_than_four_numbers_of_time_apart_are_lost(double time, double expected) =>
        new StepLimits(-1, [1, 2], new OdeSolverOptions()).Smallest(time).Should().BeApproximately(expected, 1e-12 * expected);
}
