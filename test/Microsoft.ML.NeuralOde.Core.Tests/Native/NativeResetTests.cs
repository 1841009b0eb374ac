using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Native;

/// <summary>Events in plain memory that set the state anew.</summary>
public class NativeResetTests
{
    private const double Gravity = 9.81;

    private static readonly OdeSolverOptions Options =
        new() { Method = OdeMethod.Dopri5, RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-10 };

    [Theory]
    [InlineData("dopri5", 1)]
    [InlineData("radau5", 1)]
    [InlineData("auto", 1)]
    [InlineData("rk4", 1)]
    [InlineData("dopri8", -1)]
    public void A_ball_bounces_when_and_as_high_as_the_closed_form_says(string method, int direction)
    {
        const double Restitution = 0.8, Speed = 5;
        var (times, speeds) = (new List<double>(), new List<double> { Speed });
        for (double time = 2 * Speed / Gravity; time < 3; time += 2 * speeds[^1] / Gravity)
        {
            times.Add(time);
            speeds.Add(speeds[^1] * Restitution);
        }
        double[] outputs = [.. Enumerable.Range(0, 31).Select(i => direction * 0.1 * i)];
        // Thrown up from the floor, in time that runs forward or backward.
        NativeOdeSolution solution = Ode.Solve(
            (t, y, dy) => (dy[0], dy[1]) = (direction * y[1], -direction * Gravity), [0, Speed], outputs,
            Options with { Method = OdeMethod.Parse(method), StepSize = method == "rk4" ? 0.07 : null },
            events: [Floor(Restitution)]);
        solution.Status.Should().Be(RowStatus.Completed);
        solution.Events.Should().HaveSameCount(times);
        for (int i = 0; i < times.Count; i++)
        {
            (direction * solution.Events[i].Time).Should().BeApproximately(times[i], 1e-8);
            solution.Events[i].State[1].Should().BeApproximately(-speeds[i], 1e-7, "the state is that before the reset");
        }
        for (int k = 0; k < outputs.Length; k++)
        {
            double time = 0.1 * k;
            int flight = times.Count(landing => landing < time);
            double since = time - (flight == 0 ? 0 : times[flight - 1]);
            solution[k][0].Should().BeApproximately(speeds[flight] * since - Gravity * since * since / 2, 1e-7);
        }
    }

    [Fact]
    public void Bounces_that_come_ever_faster_fail_or_return_what_was_reached()
    {
        NativeOdeSolution Solve(StepLimitBehavior behavior) => Ode.Solve(
            (t, y, dy) => (dy[0], dy[1]) = (y[1], -Gravity), [0, 5], [0, 1, 10], Options with { OnStepLimit = behavior },
            events: [Floor(0.5)]);
        ((Action)(() => Solve(StepLimitBehavior.Throw))).Should().Throw<OdeSolverException>()
            .Which.Failure.Should().Be(SolverFailure.EventAccumulation);
        NativeOdeSolution part = Solve(StepLimitBehavior.ReturnPartial);
        part.Status.Should().Be(RowStatus.EventAccumulation);
        // 2 v / g (1 + 1/2 + 1/4 + …)
        part.Events[^1].Time.Should().BeApproximately(4 * 5 / Gravity, 1e-6);
        double.IsNaN(part[1][0]).Should().BeFalse();
        double.IsNaN(part[2][0]).Should().BeTrue();
    }

    [Theory]
    [InlineData("dopri5", null)]
    [InlineData("radau5", null)]
    [InlineData("rk4", 0.125)]
    public void At_the_time_of_resets_outputs_are_those_before_and_all_apply_in_order(string method, double? step)
    {
        NativeOdeSolution solution = Ode.Solve(
            (t, y, dy) => dy[0] = -y[0], [1], [0, 0.5, 1, 2], Options with { Method = OdeMethod.Parse(method), StepSize = step },
            events:
            [
                new NativeOdeEvent((t, y) => t - 0.5, reset: (t, y, next) => next[0] = 2 * y[0]),
                new NativeOdeEvent((t, y) => t - 0.5, reset: (t, y, next) => next[0] += 1),
                new NativeOdeEvent((t, y) => t - 0.5),
                new NativeOdeEvent((t, y) => t - 2, reset: (t, y, next) => next[0] = 100),
            ]);
        double before = Math.Exp(-0.5), after = 2 * before + 1, accuracy = step is null ? 1e-8 : 1e-4;
        solution[1][0].Should().BeApproximately(before, accuracy);
        solution[2][0].Should().BeApproximately(after * Math.Exp(-0.5), accuracy);
        solution.Final[0].Should().BeApproximately(after * Math.Exp(-1.5), accuracy, "the last output is the state before the reset");
        solution.Events.Should().HaveCount(4);
        solution.Events.Should().OnlyContain(item => item.Time == 0.5 || Math.Abs(item.Time - 2) < 1e-12);
    }

    [Fact]
    public void Resets_are_those_of_tensors()
    {
        NativeCase problem = NativeCase.All.First(item => item.Name == "van der pol 5");
        NativeOdeSolution native = Ode.Solve(
            problem.F, problem.InitialState, problem.Times, Options with { Discontinuities = [4] }, events:
            [
                new NativeOdeEvent((t, y) => y[0] - 0.5, EventDirection.Falling, reset: (t, y, next) => next[0] = y[0] + 1),
                new NativeOdeEvent((t, y) => y[1]),
            ]);
        using OdeSolution tensors = Ode.Solve(
            Problems.VanDerPol5, tensor(problem.InitialState), tensor(problem.Times),
            Options with
            {
                Discontinuities = [4],
                Events =
                [
                    new OdeEvent((t, y) => y[0] - 0.5, EventDirection.Falling, reset: (t, y) => y + tensor(new[] { 1.0, 0 })),
                    new OdeEvent((t, y) => y[1]),
                ],
            }, parameters: []);
        native.Events.Should().HaveSameCount(tensors.Events);
        native.Events.Count(item => item.Event.Reset is not null).Should().BePositive();
        for (int i = 0; i < native.Events.Count; i++)
            native.Events[i].Time.Should().BeApproximately(tensors.Events[i].Time.ToDouble(), 1e-8);
        double[] expected = tensors.States.data<double>().ToArray();
        for (int i = 0; i < expected.Length; i++)
            native.States[i].Should().BeApproximately(expected[i], 1e-6);
    }

    private static NativeOdeEvent Floor(double restitution) => new(
        (t, y) => y[0], EventDirection.Falling, reset: (t, y, next) => (next[0], next[1]) = (0, -restitution * y[1]));

    [Fact]
    public void An_event_that_ends_the_solve_has_no_reset()
    {
        Action create = () => _ = new NativeOdeEvent((t, y) => t, isTerminal: true, reset: (t, y, next) => next[0] = 1);
        create.Should().Throw<ArgumentException>().WithParameterName("reset");
    }
}
