using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Native;

/// <summary>Events in plain memory.</summary>
public class NativeEventTests
{
    private static readonly OdeSolverOptions Options =
        new() { Method = OdeMethod.Dopri5, RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-10 };

    [Fact]
    public void Zeros_are_found_in_the_direction_that_counts()
    {
        NativeOdeSolution Solve(EventDirection direction, double from, double to) => Ode.Solve(
            (t, y, dy) => dy[0] = Math.Cos(t), [Math.Sin(from)], [from, to], Options,
            events: [new NativeOdeEvent((t, y) => y[0], direction)]);
        double[] Times(NativeOdeSolution solution) => [.. solution.Events.Select(item => item.Time / Math.PI)];
        Times(Solve(EventDirection.Both, 1, 10)).Should().HaveCount(3);
        Times(Solve(EventDirection.Falling, 1, 10))
            .Should().SatisfyRespectively(time => time.Should().BeApproximately(1, 1e-8), time => time.Should().BeApproximately(3, 1e-8));
        Times(Solve(EventDirection.Rising, 1, 10)).Should().ContainSingle().Which.Should().BeApproximately(2, 1e-8);
        // Rising is meant in the direction of the solve.
        Times(Solve(EventDirection.Rising, 10, 1)).Should().HaveCount(2);
    }

    [Theory]
    [InlineData("dopri5")]
    [InlineData("radau5")]
    [InlineData("rk4")]
    public void A_terminal_event_ends_the_solve_where_it_happens(string method)
    {
        // A ball thrown upwards at 20 m/s lands after 2 v / g.
        NativeOdeSolution solution = Ode.Solve(
            (t, y, dy) => (dy[0], dy[1]) = (y[1], -9.81), [0, 20], [0, 1, 6],
            Options with { Method = OdeMethod.Parse(method), StepSize = method == "rk4" ? 0.3 : null },
            events: [new NativeOdeEvent((t, y) => y[0], EventDirection.Falling, isTerminal: true), new NativeOdeEvent((t, y) => y[1])]);
        solution.Status.Should().Be(RowStatus.Event);
        solution.Events.Should().HaveCount(2);
        solution.Events[0].Time.Should().BeApproximately(20 / 9.81, 1e-9);
        solution.Events[1].Time.Should().BeApproximately(40 / 9.81, 1e-9);
        solution.Final[1].Should().BeApproximately(-20, 1e-8);
        solution[1][0].Should().BeApproximately(20 - 9.81 / 2, 1e-8);
        double.IsNaN(solution[2][0]).Should().BeTrue();
    }

    [Fact]
    public void Events_are_those_of_tensors()
    {
        NativeCase problem = NativeCase.All.First(item => item.Name == "van der pol 5");
        NativeOdeSolution native = Ode.Solve(
            problem.F, problem.InitialState, problem.Times, Options, events: [new NativeOdeEvent((t, y) => y[0] - 0.5)]);
        using OdeSolution tensors = Ode.Solve(
            Problems.VanDerPol5, tensor(problem.InitialState), tensor(problem.Times),
            Options with { Events = [new OdeEvent((t, y) => y[0] - 0.5)] }, parameters: []);
        native.Events.Should().HaveSameCount(tensors.Events);
        for (int i = 0; i < native.Events.Count; i++)
            native.Events[i].Time.Should().BeApproximately(tensors.Events[i].Time.ToDouble(), 1e-9);
    }

    [Theory]
    [InlineData("dopri5")]
    [InlineData("dopri8")]
    [InlineData("radau5")]
    [InlineData("rk4")]
    public void A_ball_that_just_passes_a_height_does_so_on_its_way_up_and_down(string method)
    {
        // Thrown up at 1, with gravity 1: it is at 1/2 − d at 1 ∓ √(2d). One step may take it past both.
        foreach (double below in new[] { 1e-2, 1e-4, 1e-6 })
            foreach (double end in new[] { 1.7, 1.9, 2.2, 3 })
            {
                NativeOdeSolution solution = Ode.Solve((t, y, dy) => (dy[0], dy[1]) = (y[1], -1), [0, 1], [0, end],
                    new OdeSolverOptions { Method = OdeMethod.Parse(method), FirstStep = method == "rk4" ? null : 3 },
                    events: [new NativeOdeEvent((t, y) => y[0] - (0.5 - below))]);
                solution.Events.Select(item => item.Time).Should()
                    .Equal([1 - Math.Sqrt(2 * below), 1 + Math.Sqrt(2 * below)], (a, b) => Math.Abs(a - b) < 1e-8);
            }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(16)]
    [InlineData(1e7)]
    public void An_event_that_is_recorded_behind_a_reset_is_so_once(double spacings)
    {
        foreach (int direction in new[] { 1, -1 })
        {
            // Numbers below 1 are 2⁻⁵³ apart.
            double distance = spacings * Math.ScaleB(1, -53);
            var reset = new NativeOdeEvent((t, y) => t - 0.5 * direction, reset: (t, y, next) => next[0] = y[0] + 1);
            var seen = new NativeOdeEvent((t, y) => t - (0.5 + distance) * direction);
            NativeOdeSolution solution = Ode.Solve(
                (t, y, dy) => dy[0] = 0, [1], [0, direction], Options with { FirstStep = 1 }, events: [reset, seen]);
            solution.Events.Select(item => item.Event).Should().BeEquivalentTo([reset, seen]);
            solution.Final[0].Should().Be(2);
            solution.Events.Single(item => item.Event == seen).Time.Should().BeApproximately((0.5 + distance) * direction, 1e-14);
        }
    }

    [Fact]
    public void An_event_function_that_returns_NaN_is_refused_by_name()
    {
        Action solve = () => Ode.Solve((t, y, dy) => dy[0] = 1, [0], [0, 1], Options, events: [new NativeOdeEvent((t, y) => double.NaN)]);
        solve.Should().Throw<InvalidOperationException>().WithMessage("*event function returned NaN*");
    }
}
