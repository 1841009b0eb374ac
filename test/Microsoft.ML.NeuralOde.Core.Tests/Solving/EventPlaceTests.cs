namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>Where the zeros of event functions are found, and what stands at them.</summary>
public class EventPlaceTests
{
    private static readonly OdeSolverOptions Tight = new() { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-11 };

    public static TheoryData<string, double> MethodsAndDirections
    {
        get
        {
            var data = new TheoryData<string, double>();
            foreach (OdeMethod method in OdeMethod.All.Where(method => !method.IsForSecondOrderSystems))
                foreach (double end in new[] { 2.0, -2.0 })
                    data.Add(method.Name, end);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(MethodsAndDirections))]
    public void Every_zero_of_a_function_that_oscillates_within_a_step_is_found(string name, double end)
    {
        using IDisposable noGrad = no_grad();
        var method = OdeMethod.Parse(name);
        using Tensor y0 = tensor(new[] { 0.01 });
        using Tensor times = tensor(new[] { 0.0, end });
        var options = new OdeSolverOptions
        {
            Method = method,
            StepSize = method.IsAdaptive
            ? null : 0.5,
            Events = [new OdeEvent((t, y) => (40 * y[0]).sin())]
        };
        using OdeSolution solution = Ode.Solve((t, y) => ones_like(y), y0, times, options);
        // y = 0.01 + t is a multiple of π / 40.
        double[] expected = [.. Enumerable.Range(-40, 81)
            .Select(k => k * Math.PI / 40 - 0.01).Where(t => t * Math.Sign(end) > 0 && Math.Abs(t) < 2).OrderBy(Math.Abs)];
        solution.Events.Select(e => e.Time.ToDouble()).Should().Equal(expected, (a, b) => Math.Abs(a - b) < 1e-9);
        solution.EventsMayBeMissed.Should().BeFalse();
    }

    [Fact]
    public void What_only_touches_zero_does_not_pass_it_and_what_just_passes_does_twice()
    {
        using IDisposable noGrad = no_grad();
        static Tensor Oscillate(Tensor t, Tensor y) => stack([y[1], -y[0]]);
        using Tensor y0 = tensor(new[] { 0.0, 1.0 });
        using Tensor times = tensor(new[] { 0.0, 7.0 });
        var above = new OdeEvent((t, y) => 1.00001 - y[0]);
        var below = new OdeEvent((t, y) => 0.99999 - y[0]);
        var square = new OdeEvent((t, y) => (y[0] - 0.3).square());
        using OdeSolution solution = Ode.Solve(Oscillate, y0, times, Tight with { Events = [above, below, square] });
        // sin t passes 0.99999 on its way up and on its way down.
        double half = Math.Acos(0.99999);
        solution.Events.Select(e => (e.Event == below, e.Time.ToDouble())).Should()
            .Equal([(true, Math.PI / 2 - half), (true, Math.PI / 2 + half)],
                (a, b) => a.Item1 == b.Item1 && Math.Abs(a.Item2 - b.Item2) < 1e-5);
    }

    [Fact]
    public void A_function_without_pattern_is_reported_as_perhaps_missed()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = tensor(new[] { 1.0 });
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        using OdeSolution solution = Ode.Solve((t, y) => -y, y0, times,
            new OdeSolverOptions
            {
                FirstStep = 1,
                RelativeTolerance = 1,
                AbsoluteTolerance = 1,
                Events = [new OdeEvent((t, y) => (1e7 * t).sin())]
            });
        solution.EventsMayBeMissed.Should().BeTrue();
    }

    [Theory]
    [InlineData(ScalarType.Float64, true)]
    [InlineData(ScalarType.Float32, true)]
    [InlineData(ScalarType.Float64, false)]
    [InlineData(ScalarType.Float32, false)]
    public void An_output_at_the_time_of_an_event_is_the_state_there(ScalarType type, bool isTerminal)
    {
        using IDisposable noGrad = no_grad();
        foreach (double direction in new[] { 1.0, -1.0 })
            foreach (OdeMethod method in new[] { OdeMethod.Dopri5, OdeMethod.Dopri8, OdeMethod.Rk4, OdeMethod.Radau5 })
                foreach (double time in new[] { 0.3, 0.7, 1.0 })
                {
                    using Tensor y0 = tensor(new[] { 1.0 }, dtype: type);
                    using Tensor times = tensor(new[] { 0.0, time * direction, 2.0 * direction });
                    Func<Tensor, Tensor, Tensor>[] functions = [(t, y) => t - time * direction, (t, y) => y[0] - (1 + time)];
                    foreach (Func<Tensor, Tensor, Tensor> function in functions)
                    {
                        var item = new OdeEvent(function, isTerminal: isTerminal, reset: isTerminal ? null : (t, y) => y + 10);
                        OdeSolverOptions options = new() { Method = method, StepSize = method.IsAdaptive ? null : 0.25, Events = [item] };
                        using OdeSolution solution = Ode.Solve((t, y) => full_like(y, direction), y0, times, options);
                        solution.Events.Should().ContainSingle();
                        solution.States[1].ToDouble().Should().BeApproximately(1 + time, 1e-5, "the state before the reset");
                        double.IsNaN(solution.States[2].ToDouble()).Should().Be(isTerminal);
                        if (!isTerminal)
                            solution.States[2].ToDouble().Should().BeApproximately(13, 1e-4);
                    }
                }
    }

    [Theory]
    [MemberData(nameof(EventTests.Gradients), MemberType = typeof(EventTests))]
    public void Events_at_one_time_all_happen(string gradient)
    {
        // A ball in a corner: both walls turn it round, at the distance of the corner in time.
        using Tensor distance = tensor(1.0, ScalarType.Float64).requires_grad_();
        using Tensor times = tensor(new[] { 0.0, 3.0 });
        static OdeEvent Wall(int i) =>
            new((t, y) => y[i] + 0 * t, EventDirection.Falling,
                reset: (t, y) => stack([.. Enumerable.Range(0, 4).Select(k => k == 2 + i ? -y[k] : y[k])]));
        using OdeSolution solution = Ode.Solve(
            (t, y) => cat([y.narrow(0, 2, 2), zeros_like(y.narrow(0, 0, 2))]),
            stack([distance, distance, -ones_like(distance), -ones_like(distance)]), times,
            Tight with { Gradient = GradientMethod.Parse(gradient), Events = [Wall(0), Wall(1)] }, []);
        solution.Events.Should().HaveCount(2);
        Tensor final = solution.Final;
        for (int i = 0; i < 2; i++)
        {
            solution.Events[i].Time.ToDouble().Should().BeApproximately(1, 1e-9);
            final[i].ToDouble().Should().BeApproximately(2, 1e-8);
            final[2 + i].ToDouble().Should().BeApproximately(1, 1e-8);
        }
    }
}
