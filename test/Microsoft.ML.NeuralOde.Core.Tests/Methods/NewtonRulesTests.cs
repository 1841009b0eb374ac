using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Core.Tests.Methods;

/// <summary>
/// When an iteration ends, by hand: with θ = |Δ| / |Δ before|, what is left is |Δ| θ / (1 − θ), and a hundredth of the tolerance is enough
/// under error control, a unit of rounding without.
/// </summary>
public class NewtonRulesTests
{
    private const double None = double.NaN;

    [Theory]
    // The first correction is all that is known.
    [InlineData(true, 0.01, None, false)]
    [InlineData(true, 0.0101, None, true)]
    [InlineData(true, 0.1, None, true)]
    // θ = 1/10, 1/2, 1/3, 1/5.
    [InlineData(true, 0.02, 0.2, false)]
    [InlineData(true, 0.02, 0.04, true)]
    [InlineData(true, 0.03, 0.09, true)]
    [InlineData(true, 0.03, 0.15, false)]
    // It grows, but is small enough as it is.
    [InlineData(true, 0.009, 0.005, false)]
    [InlineData(true, 0.011, 0.005, true)]
    [InlineData(true, 0.05, 0.05, true)]
    [InlineData(true, 0.2, 0.4, true)]
    // Without error control: θ = 1/4 leaves exactly 1.
    [InlineData(false, 3, 12, false)]
    [InlineData(false, 3.01, 12, true)]
    [InlineData(false, 1, None, false)]
    // What no longer shrinks and is up to 20 units is rounding.
    [InlineData(false, 20, 40, false)]
    [InlineData(false, 20, 41, true)]
    [InlineData(false, 20.5, 41, true)]
    [InlineData(false, 20, None, false)]
    [InlineData(false, 20.5, None, true)]
    [InlineData(false, 5, 5, false)]
    [InlineData(false, 0, 0, false)]
    public void An_iteration_is_open_while_more_is_left_than_is_allowed(bool isControlled, double norm, double before, bool isOpen) =>
        new NewtonRules(isControlled).IsOpen(norm, before).Should().Be(isOpen);

    [Theory]
    // Ten more corrections of half the size each leave 1 of 1,024.
    [InlineData(1024, 2048, false)]
    [InlineData(1025, 2050, true)]
    [InlineData(1024, 2047, true)]
    [InlineData(0.5, 0.25, true)]
    [InlineData(0.5, 0.5, false)]
    [InlineData(1, 1, false)]
    [InlineData(1.5, 1.5, true)]
    [InlineData(double.PositiveInfinity, 1, true)]
    [InlineData(1, 0, true)]
    public void Without_control_an_iteration_is_slow_that_ten_more_corrections_do_not_end(double norm, double before, bool isSlow)
    {
        new NewtonRules(isControlled: false).IsSlow(norm, before).Should().Be(isSlow);
        new NewtonRules(isControlled: true).IsSlow(norm, before).Should().BeFalse("a smaller step is cheaper");
    }

    [Theory]
    [InlineData(true, 0.02, 0.08, 0.25)]
    [InlineData(true, 0.01, 0.08, 0)]
    [InlineData(false, 2, 4, 0.5)]
    [InlineData(false, 1, 4, 0)]
    [InlineData(false, 2, None, 0)]
    public void The_rate_counts_only_above_what_is_enough(bool isControlled, double norm, double before, double rate) =>
        new NewtonRules(isControlled).Rate(norm, before).Should().BeApproximately(rate, 1e-15);

    [Fact]
    public void Limits_are_those_of_the_two_ways()
    {
        (NewtonRules controlled, NewtonRules fixedSteps) = (new NewtonRules(true), new NewtonRules(false));
        (controlled.MaximumIterations, fixedSteps.MaximumIterations).Should().Be((12, 60));
        (controlled.Enough, fixedSteps.Enough).Should().Be((0.01, 1));
        (controlled.IsControlled, fixedSteps.IsControlled).Should().Be((true, false));
    }
}
