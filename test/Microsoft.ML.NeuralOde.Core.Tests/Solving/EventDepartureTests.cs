using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>How a solve that goes on behind an event leaves the zero it stands at.</summary>
public class EventDepartureTests
{
    /// <summary>
    /// The value at the start, what is left of the function at the event, its rounding, and whether the start counts as the event's zero,
    /// where the function grows by 2 within a step of 1/2, from 4, with times 1/1024 apart: 32 of them move it by 1/8.
    /// </summary>
    public static TheoryData<double, double, double, bool> Starts => new()
    {
        { 0, 0, 0, true },
        { 0.125, 0, 0, true },
        { 0.126, 0, 0, false },
        { -0.125, 0, 0, true },
        { -0.126, 0, 0, false },
        { 1, 0.25, 0, true },
        { 1, -0.25, 0, true },
        { -1, 0.25, 0, true },
        { 1.01, 0.25, 0, false },
        { 1, 0, 0.25, true },
        { 1.01, 0, 0.25, false },
        { 1, 0.2, 0.2, false },
        { 1, 0.2, 0.3, true },
        { 1, 0.3, 0.2, true },
    };

    [Theory]
    [MemberData(nameof(Starts))]
    public void A_function_that_starts_as_near_to_zero_as_the_event_was_found_leaves_it_at_its_speed(
        double first, double residual, double noise, bool isZero)
    {
        foreach (int direction in new[] { 1, -1 })
        {
            double G(double sigma) => first + 2 * sigma * direction;
            var departure = new EventDeparture(4, 0.5 * direction, 1.0 / 1024, G);
            double? speed = departure.Speed(-1, residual, noise, true, G);
            speed.HasValue.Should().Be(isZero);
            if (isZero)
                speed!.Value.Should().BeApproximately(2 * direction, 1e-9);
        }
    }

    [Theory]
    [InlineData(1e-7)]
    [InlineData(1e-3)]
    [InlineData(0.2)]
    public void Its_speed_is_seen_where_the_first_difference_is(double from)
    {
        // Up to there rounding hides the difference.
        double Tangent(double sigma) => sigma < from * 0.99 ? 0 : -3 * sigma;
        var departure = new EventDeparture(0, 1, 1e-16, sigma => -3 * sigma);
        double? speed = departure.Speed(1, 0, 0, true, Tangent);
        speed.Should().BeApproximately(-3, 1e-9);
        // A step that is hardly one is looked at as a whole.
        new EventDeparture(0, 1e-16, 1e-16, sigma => sigma).Speed(1, 0, 0, true, sigma => sigma < 1 ? throw new ArgumentException("") : 5)
            .Should().Be(5);
    }

    /// <summary>
    /// Where along the tangent nothing changes: the sign before the event, and the function's values at a thousandth, a tenth and the whole
    /// of the step; the sign of its speed, 0 for none, or null for an event that happens again and again.
    /// </summary>
    public static TheoryData<int, double[], int?> Rests => new()
    {
        { -1, [0, 0, 0], 0 },
        { -1, [1, 1, 1], null },
        { -1, [0, 1, 1], null },
        { -1, [0, 0, 1], null },
        { -1, [-1, 1, 1], -1 },
        { -1, [0, 0, -1], -1 },
        { 1, [1, -1, -1], 1 },
        { 1, [0, 1, -1], 1 },
        { 1, [-1, 1, 1], null },
    };

    [Theory]
    [MemberData(nameof(Rests))]
    public void A_function_that_stands_still_must_not_be_carried_on_by_its_equation(int sign, double[] values, int? expected)
    {
        double G(double sigma) =>
            sigma == 0 ? 0 : sigma == 1e-3 ? values[0] : sigma == 0.1 ? values[1] : sigma == 1 ? values[2] : double.NaN;
        var departure = new EventDeparture(2, 0.5, 1e-16, G);
        double? Speed(bool interrupts) => departure.Speed(sign, 0, 0, interrupts, _ => 0);
        if (expected is { } its)
        {
            foreach (bool interrupts in new[] { true, false })
                Math.Sign(Speed(interrupts) ?? 0).Should().Be(its);
            return;
        }
        OdeSolverException failure =
            FluentActions.Invoking(() => Speed(true)).Should().Throw<OdeSolverException>().WithMessage("*at rest*").Which;
        (failure.Failure, failure.Time, failure.StepSize).Should().Be((SolverFailure.EventAccumulation, 2, 0.5));
        // Where it is only recorded nothing was reset.
        Speed(false).Should().BeNull();
    }

    [Fact]
    public void A_function_that_stands_still_elsewhere_is_not_at_its_event()
    {
        static double G(double sigma) => 1 + sigma * sigma;
        new EventDeparture(0, 1, 1e-16, G).Speed(-1, 0.1, 0.1, true, _ => 1).Should().BeNull();
    }

    [Fact]
    public void Without_its_first_zero_a_function_keeps_the_others()
    {
        static double G(double sigma) => 0.125 + sigma * (sigma - 0.5);
        var departure = new EventDeparture(0, 1, 1e-16, G);
        Func<double, double> others = departure.Deflated(-7);
        others(0).Should().Be(-7);
        others(0.25).Should().Be(-0.25);
        others(0.5).Should().Be(0);
        others(1).Should().Be(0.5);
    }

    [Theory]
    [InlineData(0.25, 0.015, true)]
    [InlineData(0.25, 0.017, false)]
    [InlineData(0.5, 0.062, true)]
    [InlineData(0.5, 0.063, false)]
    public void A_flight_that_stays_within_rounding_is_none(double place, double quarter, bool isFlight)
    {
        // A parabola that starts at 1/8 and comes back at the place: half way it is place² / 4 away.
        double G(double sigma) => 0.125 - sigma * (place - sigma);
        var departure = new EventDeparture(3, -2, 1e-16, G);
        Action check = () => departure.CheckHop(place, quarter / 4);
        if (isFlight)
        {
            check.Should().NotThrow();
            return;
        }
        OdeSolverException failure = check.Should().Throw<OdeSolverException>().WithMessage("*within the rounding*").Which;
        (failure.Failure, failure.Time, failure.StepSize).Should().Be((SolverFailure.EventAccumulation, 3, -2 * place));
    }
}
