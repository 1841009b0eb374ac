using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>Large times, small steps, and tolerances at the edge of what numbers hold.</summary>
public class TimeResolutionTests
{
    [Theory]
    [InlineData(1e6, 1)]
    [InlineData(-1e6, 1)]
    [InlineData(1e5, -1)]
    [InlineData(1e9, 10)]
    public void Float32_states_refuse_times_that_float32_cannot_tell_apart(double start, double length)
    {
        using IDisposable noGrad = no_grad();
        foreach (OdeMethod method in new[] { OdeMethod.Dopri5, OdeMethod.Rk4, OdeMethod.Radau5 })
            foreach (bool perRow in new[] { false, true })
            {
                var options = new OdeSolverOptions { Method = method, PerRow = perRow };
                using Tensor times = tensor(new[] { start, start + length });
                using Tensor single = zeros(1, 1);
                Action act = () => Ode.Solve((t, y) => (t - start).cos() * ones_like(y), single, times, options);
                act.Should().Throw<ArgumentException>().WithMessage("*Float32*float64*");
                // What does not depend on time is solved, and so is all in float64.
                using OdeSolution constant = Ode.Solve((t, y) => ones_like(y), single, times, options);
                constant.Final.ToDouble().Should().BeApproximately(length, 1e-5);
            }
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(0, 1e6)]
    [InlineData(100, 101)]
    [InlineData(-5, 5)]
    public void Float32_states_take_times_that_float32_holds(double start, double end)
    {
        using IDisposable noGrad = no_grad();
        using Tensor times = tensor(new[] { start, end });
        using Tensor y0 = zeros(1);
        double scale = end - start;
        using OdeSolution solution = Ode.Solve((t, y) => ((t - start) / scale).cos() / scale * ones_like(y), y0, times);
        solution.Final.ToDouble().Should().BeApproximately(Math.Sin(1), 2e-5);
    }

    /// <summary>
    /// Behind 2²⁰ float32 has a number each eighth: forty times the tolerance, at least 1e-5, of the interval is as coarse as it may be.
    /// </summary>
    [Theory]
    [InlineData(1e-2, 0.31, true)]
    [InlineData(1e-2, 0.315, false)]
    [InlineData(1e-3, 3.1, true)]
    [InlineData(1e-3, 3.15, false)]
    [InlineData(1e-7, 310, true)]
    [InlineData(1e-7, 315, false)]
    public void Times_may_be_as_coarse_as_the_tolerance_allows(double tolerance, double length, bool isRefused)
    {
        const double Start = 1 << 20;
        foreach ((double from, double to) in new[]
        {
            (Start, Start + length), (Start + length, Start), (-Start, -Start - length), (-Start - length, -Start),
        })
            foreach (Func<Tensor, Tensor> shape in new Func<Tensor, Tensor>[]
            {
                // Of the start, the middle and the end one may be as another.
                place => place, place => place * (place - 1), place => place * (place - 0.5),
            })
            {
                using IDisposable noGrad = no_grad();
                var seen = new List<double>();
                using Tensor y0 = zeros(1);
                using Tensor times = tensor(new[] { from, to });
                double spacing = 0.125, interval = Math.Max(length, 8 * spacing);
                Tensor F(Tensor t, Tensor y)
                {
                    seen.Add((t.ToDouble() - from) * Math.Sign(to - from));
                    return shape((t.to(ScalarType.Float64) - from) / (Math.Sign(to - from) * interval)).to(ScalarType.Float32) + 0 * y;
                }
                Action solve = () => Ode.Solve(F, y0, times, new() { Method = OdeMethod.Rk4, RelativeTolerance = tolerance }).Dispose();
                if (isRefused)
                    solve.Should().Throw<ArgumentException>().WithMessage("*0.125 apart*");
                else
                    solve.Should().NotThrow();
                // The times of one step, or of a look at three of them that the type tells apart.
                seen.Should().OnlyContain(time => time >= -spacing && time <= interval + spacing);
            }
    }

    [Fact]
    public void The_smallest_step_is_that_of_the_present_time()
    {
        using IDisposable noGrad = no_grad();
        // The first steps are 18 powers of ten below the last time.
        using Tensor y0 = tensor(new[] { 1.0, 0.0, 0.0 });
        using Tensor times = tensor(new[] { 0.0, 1e11 });
        using OdeSolution solution = Ode.Solve(Problems.Robertson, y0, times,
            new OdeSolverOptions { Method = OdeMethod.Radau5, RelativeTolerance = 1e-7, AbsoluteTolerance = 1e-12 });
        // E. Hairer, G. Wanner: at 1e11 all but 2.08e-8 has become the third substance.
        solution.Final[0].ToDouble().Should().BeApproximately(2.0833401497e-8, 1e-12);
        solution.Final[2].ToDouble().Should().BeApproximately(1, 1e-7);
    }

    [Fact]
    public void An_infinite_slope_where_the_first_step_is_probed_does_not_stop_the_solve()
    {
        using IDisposable noGrad = no_grad();
        foreach (double bad in new[] { double.PositiveInfinity, double.NaN })
            foreach (bool perRow in new[] { false, true })
            {
                int calls = 0;
                using Tensor y0 = ones(1, 1, ScalarType.Float64);
                using Tensor times = tensor(new[] { 0.0, 1.0 });
                using OdeSolution solution =
                    Ode.Solve((t, y) => ++calls == 2 ? full_like(y, bad) : -y, y0, times, new OdeSolverOptions { PerRow = perRow });
                solution.Final.ToDouble().Should().BeApproximately(Math.Exp(-1), 1e-5);
                calls.Should().BeLessThan(200);
            }
    }

    public static TheoryData<string> Adaptive => [.. OdeMethod.All.Where(method => method.IsAdaptive).Select(method => method.Name)];

    [Theory]
    [MemberData(nameof(Adaptive))]
    public void A_component_that_is_zero_needs_no_absolute_tolerance(string name)
    {
        using IDisposable noGrad = no_grad();
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.Float32 })
        {
            using Tensor y0 = tensor(new[] { 1.0, 0.0, 2.0 }, dtype: type);
            using Tensor some = tensor(new[] { 1e-4, 1e-4, 1e-4 });
            using Tensor none = zeros(3, ScalarType.Float64);
            foreach (OdeSolverOptions options in new OdeSolverOptions[]
            {
                new() { RelativeTolerance = 1e-4, AbsoluteTolerance = 0 },
                new() { RelativeTolerance = 1e-4, AbsoluteTolerance = 1e-60 },
                new() { RelativeTolerance = 1e-4, AbsoluteTolerance = 0, Norm = ErrorNorm.Maximum },
                new() { RelativeTolerances = some, AbsoluteTolerances = none },
            })
            {
                using OdeSolution solution = Ode.Solve(Problems.Decay, y0, times, options with { Method = OdeMethod.Parse(name) });
                solution.Final[0].ToDouble().Should().BeApproximately(Math.Exp(-1), 5e-3);
                solution.Final[1].ToDouble().Should().Be(0);
            }
        }
    }

    [Fact]
    public void Tolerances_of_components_are_checked()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = ones(2, 3, ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        using Tensor dead = ones(3);
        dead.Dispose();
        foreach ((OdeSolverOptions options, string message) in new (OdeSolverOptions, string)[]
        {
            (new() { AbsoluteTolerances = tensor(new[] { 1e-6, 0, 1e-6 }), RelativeTolerance = 0 }, "*AbsoluteTolerances*0*positive*"),
            (new() { AbsoluteTolerances = tensor(new[] { 1e-6, -1 , 1e-6 }) }, "*AbsoluteTolerances*negative*"),
            (new() { RelativeTolerances = tensor(new[] { 1e-6, double.NaN , 1e-6 }) }, "*RelativeTolerances*NaN*"),
            (new() { RelativeTolerances = ones(4) }, "*RelativeTolerances*[4]*[2, 3]*"),
            (new() { RelativeTolerances = ones(2, 3), PerRow = true }, "*RelativeTolerances*[2, 3]*rows*"),
        })
        {
            Action act = () => Ode.Solve(Problems.Decay, y0, times, options);
            act.Should().Throw<ArgumentException>().WithMessage(message);
        }
        Action disposed = () => Ode.Solve(Problems.Decay, y0, times, new OdeSolverOptions { AbsoluteTolerances = dead });
        disposed.Should().Throw<ObjectDisposedException>().WithMessage("*AbsoluteTolerances*");
    }
}
