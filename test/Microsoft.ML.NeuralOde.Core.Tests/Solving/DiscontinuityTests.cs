using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

public class DiscontinuityTests
{
    public static TheoryData<string, ScalarType> Cases
    {
        get
        {
            var data = new TheoryData<string, ScalarType>();
            foreach (OdeMethod method in OdeMethod.All.Where(method => !method.IsForSecondOrderSystems))
                foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.Float32 })
                    data.Add(method.Name, type);
            foreach (string method in new[] { "euler", "rk4", "dopri5" })
                data.Add(method, ScalarType.BFloat16);
            return data;
        }
    }

    /// <summary>1 on the near side of the jump and −3 on the far side, as seen in several ways of comparing.</summary>
    private static Func<Tensor, Tensor, Tensor>[] Jumps(double place) =>
    [
        (t, y) => full_like(y, t.to(ScalarType.Float64).max().ToDouble() < place ? 1 : -3),
        (t, y) => full_like(y, t.to(ScalarType.Float64).max().ToDouble() <= place ? 1 : -3),
        (t, y) => where(t.lt(place), ones_like(y), full_like(y, -3)),
        (t, y) => where(t.le(place), ones_like(y), full_like(y, -3)),
    ];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Each_step_sees_one_side_of_a_jump_however_time_is_rounded_and_compared(string name, ScalarType type)
    {
        using IDisposable noGrad = no_grad();
        var method = OdeMethod.Parse(name);
        double tolerance = type == ScalarType.Float64 ? 1e-12 : type == ScalarType.Float32 ? 2e-6 : 0.04;
        foreach (double place in new[] { 0.7, 0.5 })
            foreach (Func<Tensor, Tensor, Tensor> jump in Jumps(place))
                foreach (bool backward in new[] { false, true })
                {
                    using Tensor y0 = zeros(2, type);
                    using Tensor times = tensor(backward ? new[] { 1.0, place, 0.0 } : [0.0, place, 1.0]);
                    var options =
                        new OdeSolverOptions { Method = method, StepSize = method.IsAdaptive ? null : 0.1, Discontinuities = [place] };
                    using OdeSolution solution = Ode.Solve(jump, y0, times, options);
                    double first = backward ? 3 * (1 - place) : place, second = backward ? first - place : first - 3 * (1 - place);
                    solution.States[1, 0].ToDouble().Should().BeApproximately(first, tolerance);
                    solution.States[2, 0].ToDouble().Should().BeApproximately(second, tolerance);
                    // Rounding of short types, and Newton's iteration in them, may ask for another step; a jump seen from both sides asks
                    // for a dozen.
                    if (type == ScalarType.Float64 || (type == ScalarType.Float32 && method is ExplicitRungeKutta))
                        solution.Statistics.RejectedSteps.Should().Be(0);
                }
    }

    [Theory]
    [InlineData("rk4")]
    [InlineData("dopri5")]
    [InlineData("radau5")]
    public void Jumps_at_the_ends_and_jumps_next_to_each_other_are_kept_apart_too(string name)
    {
        using IDisposable noGrad = no_grad();
        var method = OdeMethod.Parse(name);
        var options = new OdeSolverOptions { Method = method, StepSize = method.IsAdaptive ? null : 0.1 };
        foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.Float32 })
        {
            using Tensor y0 = zeros(2, type);
            // Only inside (0.3, 0.7) it is 1.
            static Tensor Window(Tensor t, Tensor y) => full_like(y, t.ToDouble() is > 0.3 and < 0.7 ? 1 : 1000);
            using Tensor times = tensor(new[] { 0.3, 0.7 });
            using OdeSolution solution = Ode.Solve(Window, y0, times, options with { Discontinuities = [0.7, 0.3] });
            solution.Final[0].ToDouble().Should().BeApproximately(0.4, 1e-6);
            double next = TimePrecision.Next(0.5, ScalarType.Float32);
            using OdeSolution twice = Ode.Solve(
                (t, y) => full_like(y, t.ToDouble() < 0.5 ? 1 : 2), y0, times, options with { Discontinuities = [0.5, next, 0.5] });
            twice.Final[0].ToDouble().Should().BeApproximately(0.2 + 0.4, 1e-6);
        }
    }

    [Fact]
    public void A_jump_in_float32_costs_no_accuracy_and_no_rejected_steps()
    {
        using IDisposable noGrad = no_grad();
        // y′ = −y before 0.7 and +y behind it.
        using Tensor y0 = ones(1);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        foreach (bool perRow in new[] { false, true })
        {
            using OdeSolution solution =
                Ode.Solve((t, y) => where(t.lt(0.7), -y, y), y0, times, new OdeSolverOptions { PerRow = perRow, Discontinuities = [0.7] });
            solution.Final.ToDouble().Should().BeApproximately(Math.Exp(-0.4), 2e-6);
            solution.Statistics.RejectedSteps.Should().Be(0);
        }
    }

    [Theory]
    [InlineData("direct")]
    [InlineData("checkpointed")]
    [InlineData("adjoint")]
    public void Gradients_see_the_sides_that_the_solve_saw(string gradient)
    {
        // y′ = a y before the jump, b y behind it: y(1) = y₀ e^(0.7 a + 0.3 b).
        foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.Float32 })
        {
            using Tensor a = tensor(-1.0, type).requires_grad_();
            using Tensor b = tensor(2.0, type).requires_grad_();
            using Tensor y0 = ones(3, type);
            using Tensor times = tensor(new[] { 0.0, 0.7, 1.0 });
            var options = new OdeSolverOptions
            {
                Gradient = GradientMethod.Parse(gradient),
                RelativeTolerance = 1e-6,
                AbsoluteTolerance = 1e-8,
                Discontinuities = [0.7]
            };
            using OdeSolution solution = Ode.Solve((t, y) => (t.ToDouble() < 0.7 ? a : b) * y, y0, times, options, [a, b]);
            solution.Final.sum().backward();
            double value = 3 * Math.Exp(-0.7 + 0.6);
            a.grad!.ToDouble().Should().BeApproximately(0.7 * value, 1e-4);
            b.grad!.ToDouble().Should().BeApproximately(0.3 * value, 1e-4);
        }
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void The_numbers_of_a_type_are_those_of_torch(ScalarType type)
    {
        foreach (double time in new[] { 0.7, -0.7, 1.0, -1.0, 0.1, 3.14159, 1000.25, -2.5e-5 })
        {
            using Tensor rounded = tensor(time, type);
            double here = TimePrecision.Round(time, type);
            here.Should().Be(rounded.ToDouble());
            double next = TimePrecision.Next(time, type), previous = TimePrecision.Previous(time, type);
            // Neighbours are numbers of the type, and what lies between is rounded to one of the two.
            foreach ((double low, double high) in new[] { (here, next), (previous, here) })
            {
                high.Should().BeGreaterThan(low);
                tensor(low, type).ToDouble().Should().Be(low);
                tensor(high, type).ToDouble().Should().Be(high);
                tensor(low + 0.4 * (high - low), type).ToDouble().Should().Be(low);
                tensor(low + 0.6 * (high - low), type).ToDouble().Should().Be(high);
            }
        }
        TimePrecision.Spacing(0, type).Should().BeGreaterThan(0);
    }
}
