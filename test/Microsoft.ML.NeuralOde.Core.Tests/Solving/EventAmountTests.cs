using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>How near is at once, how fast is too fast, and how many steps are too many, between events.</summary>
public class EventAmountTests
{
    private static readonly OdeSolverOptions Tight = new() { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-9 };

    /// <summary>The distance of the numbers behind 1.</summary>
    private static readonly double Epsilon = Math.BitIncrement(1.0) - 1;

    private static double Spacing(double value) => Math.BitIncrement(value) - value;

    /// <summary>
    /// The times of resets, each so many spacings behind the one before, and which of them is the first that comes too fast; 0 for none.
    /// </summary>
    public static TheoryData<int, double, int, int> Resets => new()
    {
        // Of one event, two more within 64 · 2 numbers.
        { 1, 64, 10, 3 },
        { 1, 65, 10, 0 },
        // Of three events, four more within 64 · 4 numbers.
        { 3, 64, 10, 5 },
        { 3, 65, 10, 0 },
        // Or a hundred more within 100,000.
        { 1, 1000, 200, 101 },
        { 1, 1001, 200, 0 },
        { 3, 1000, 200, 101 },
        { 150, 1001, 400, 0 },
        { 150, 64, 400, 101 },
    };

    [Theory]
    [MemberData(nameof(Resets))]
    public void Resets_come_too_fast_where_rounding_governs_their_times(int events, double spacings, int count, int expected)
    {
        foreach (int direction in new[] { 1, -1 })
        {
            var resets = new ResetTimes(events);
            double before = 0, time = 1.25 * direction;
            int failed = 0;
            for (int i = 1; i <= count && failed == 0; i++)
            {
                if (resets.Add(time, before) is { } failure)
                {
                    failed = i;
                    (failure.Failure, failure.Time, failure.StepSize).Should().Be((SolverFailure.EventAccumulation, time, time - before));
                    failure.Message.Should().Contain("faster than time can tell them apart");
                }
                (before, time) = (time, time + direction * spacings * Spacing(1.25));
            }
            failed.Should().Be(expected);
        }
    }

    /// <summary>Slope of the state, whether an event at 1 ends it, output times, and whether the last is the state there.</summary>
    public static TheoryData<string, double, bool, double[], bool> Outputs => new()
    {
        { "within eight numbers", 1, true, [0, 1 + 8 * Epsilon], true },
        { "within eight numbers of a reset", 1, false, [0, 1 + 8 * Epsilon], true },
        { "beyond", 1, true, [0, 1 + 9 * Epsilon], true },
        { "beyond, of a reset", 1, false, [0, 1 + 9 * Epsilon], false },
        { "where the state hardly moves", 1e-7, true, [0, 1.0009], true },
        { "where it moves by more than its tolerance", 1e-5, true, [0, 1.0009], false },
        { "a thousandth of the time since the last output", 1e-9, true, [0, 1.001], true },
        { "more than that", 1e-9, true, [0, 1.0011], false },
        { "more than that of a shorter time", 1e-9, true, [0, 0.5, 1.0006], false },
        { "a thousandth of the shorter time", 1e-9, true, [0, 0.5, 1.0005], true },
        { "near a reset", 1e-9, false, [0, 1.0009], false },
    };

    [Theory]
    [MemberData(nameof(Outputs))]
    public void An_output_close_behind_an_event_is_the_state_there(string what, double slope, bool ends, double[] outputs, bool isThere)
    {
        foreach (int direction in new[] { 1, -1 })
        {
            using Tensor y0 = ones(1, ScalarType.Float64);
            using Tensor times = tensor([.. outputs.Select(time => time * direction)]);
            var item = new OdeEvent((t, y) => t - direction, isTerminal: ends, reset: ends ? null : (t, y) => y + 10);
            using OdeSolution solution =
                Ode.Solve((t, y) => full_like(y, slope * direction), y0, times, new OdeSolverOptions
                {
                    RelativeTolerance = 0,
                    AbsoluteTolerance = 1e-9,
                    Events = [item],
                });
            solution.Events.Should().ContainSingle(what).Which.Time.ToDouble().Should().Be(direction, what);
            double expected = isThere ? 1 + slope : ends ? double.NaN : 11 + slope * outputs[^1];
            double found = solution.States[outputs.Length - 1].ToDouble();
            if (isThere)
                found.Should().Be(solution.Events[0].State.ToDouble(), what);
            (double.IsNaN(found) ? double.NaN : Math.Round(found, 6)).Should().Be(Math.Round(expected, 6), what);
        }
    }

    /// <summary>How long after a reset at 1/2 another event's time comes, and whether both happen at once.</summary>
    public static TheoryData<double, bool> Distances => new()
    {
        { 0, true },
        { 16 * 1.110223e-16, true },
        { 1e-9, false },
        { 0.004, false },
        { 0.02, false },
    };

    [Theory]
    [MemberData(nameof(Distances))]
    public void Events_of_almost_one_time_happen_at_once_and_others_at_their_own(double distance, bool isAtOnce)
    {
        using IDisposable noGrad = no_grad();
        foreach (bool swapped in new[] { false, true })
            foreach (int direction in new[] { 1, -1 })
            {
                var first = new OdeEvent((t, y) => t - 0.5 * direction, reset: (t, y) => 2 * y);
                var second = new OdeEvent((t, y) => t - (0.5 + distance) * direction, reset: (t, y) => y + 1);
                var seen = new OdeEvent((t, y) => t - (0.5 + distance) * direction);
                using Tensor y0 = ones(1, ScalarType.Float64);
                // One step is large enough for the whole way.
                OdeSolverOptions options =
                    Tight with { FirstStep = 1, Events = swapped ? [seen, second, first] : [first, second, seen] };
                using OdeSolution solution = Ode.Solve((t, y) => zeros_like(y), y0, 0, direction, options);
                double[] times = [.. solution.Events.Select(item => item.Time.ToDouble() * direction)];
                solution.Events.Select(item => item.Event == first ? 1 : item.Event == second ? 2 : 3).Should().BeEquivalentTo([1, 2, 3]);
                times.Should().BeInAscendingOrder();
                foreach (OdeEventOccurrence item in solution.Events)
                    (item.Time.ToDouble() * direction).Should().BeApproximately(
                        item.Event == first || isAtOnce ? 0.5 : 0.5 + distance, isAtOnce ? 1e-14 : 1e-15 + distance * 1e-6);
                if (isAtOnce)
                    solution.Events[0].Event.Should().Be(seen, "what interrupts the solve comes last");
                // In the order of the list where their times are one.
                solution.Final.ToDouble().Should().Be(distance == 0 && swapped ? 4 : 3);
            }
    }

    [Theory]
    [InlineData("dopri5", 1)]
    [InlineData("bosh3", 1)]
    [InlineData("dopri5", -1)]
    public void An_event_is_placed_more_exactly_than_the_interpolant_is(string method, int direction)
    {
        // y = e^t passes 2 at ln 2, inside of a step as long as the tolerances allow.
        using Tensor y0 = ones(1, ScalarType.Float64);
        OdeSolverOptions options = new()
        {
            Method = OdeMethod.Parse(method),
            RelativeTolerance = 1e-7,
            AbsoluteTolerance = 1e-7,
            Events = [new OdeEvent((t, y) => (y - 2).sum().pow(3) + (y - 2).sum(), isTerminal: true)],
        };
        using OdeSolution solution = Ode.Solve((t, y) => direction * y, y0, 0, direction, options);
        solution.Events.Should().ContainSingle();
        solution.Final.ToDouble().Should().BeApproximately(2, 1e-14, "the function is zero there");
        solution.Events[0].State.ToDouble().Should().BeApproximately(2, 1e-14);
        solution.Events[0].Time.ToDouble().Should().BeApproximately(direction * Math.Log(2), 1e-6);
    }

    [Theory]
    [InlineData("dopri5")]
    [InlineData("dopri8")]
    [InlineData("radau5")]
    [InlineData("rk4")]
    public void A_ball_that_just_passes_a_height_does_so_on_its_way_up_and_down(string method)
    {
        using IDisposable noGrad = no_grad();
        // Thrown up at 1, with gravity 1: it is at 1/2 − d at 1 ∓ √(2d). One step may take it past both.
        foreach (double below in new[] { 1e-2, 1e-4, 1e-6 })
            foreach (double end in new[] { 1.7, 1.9, 2.2, 3 })
            {
                using Tensor y0 = tensor(new[] { 0.0, 1 });
                OdeSolverOptions options = new()
                {
                    Method = OdeMethod.Parse(method),
                    FirstStep = method == "rk4" ? null : 3,
                    Events = [new OdeEvent((t, y) => y[0] - (0.5 - below))],
                };
                using OdeSolution solution = Ode.Solve((t, y) => stack([y[1], -ones_like(y[1])]), y0, 0, end, options);
                solution.Events.Select(item => item.Time.ToDouble()).Should()
                    .Equal([1 - Math.Sqrt(2 * below), 1 + Math.Sqrt(2 * below)], (a, b) => Math.Abs(a - b) < 1e-8);
            }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public void Recorded_events_have_their_times_and_states_between_the_outputs_and_at_them(int direction)
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = zeros(1, ScalarType.Float64);
        using Tensor times = tensor(new[] { 0, 0.5 * direction, direction });
        OdeEvent[] events = [.. new[] { 0.75, 0.25, 0.5, 0.9 }.Select(place => new OdeEvent((t, y) => y[0] - place))];
        using OdeSolution solution = Ode.Solve(
            (t, y) => full_like(y, direction), y0, times, Tight with { FirstStep = 1, Events = events });
        solution.Events.Select(item => item.Event).Should().Equal(events[1], events[2], events[0], events[3]);
        double[] expected = [0.25, 0.5, 0.75, 0.9];
        solution.Events.Select(item => item.Time.ToDouble() * direction).Should().Equal(expected, (a, b) => Math.Abs(a - b) < 1e-14);
        solution.Events.Select(item => item.State.ToDouble()).Should().Equal(expected, (a, b) => Math.Abs(a - b) < 1e-14);
        solution.States.data<double>().ToArray().Should().Equal([0, 0.5, 1], (a, b) => Math.Abs(a - b) < 1e-14);
        solution.Status.Should().Equal(RowStatus.Completed);
    }

    [Fact]
    public void A_recorded_event_at_a_steps_end_has_its_very_time()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = ones(1, ScalarType.Float64);
        for (int i = 1; i <= 20; i++)
        {
            // For some of them from + (to - from) is not to.
            double from = 0.1 * i, to = 0.1 * i + 0.7 / i;
            OdeSolverOptions options = Tight with { FirstStep = 1, Events = [new OdeEvent((t, y) => t - to)] };
            using OdeSolution solution = Ode.Solve((t, y) => zeros_like(y), y0, from, to, options);
            solution.Events.Should().ContainSingle().Which.Time.ToDouble().Should().Be(to);
        }
    }

    [Fact]
    public void Of_events_at_one_time_one_that_ends_the_solve_ends_it()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = ones(1, ScalarType.Float64);
        var reset = new OdeEvent((t, y) => t - 0.5, reset: (t, y) => y + 1);
        var end = new OdeEvent((t, y) => t - 0.5, isTerminal: true);
        foreach (OdeEvent[] events in new OdeEvent[][] { [reset, end], [end, reset] })
        {
            using OdeSolution solution = Ode.Solve((t, y) => zeros_like(y), y0, 0, 1, Tight with { Events = events });
            solution.Status.Should().Equal(RowStatus.Event);
            solution.Events.Select(item => item.Event).Should().Equal(events);
            solution.Final.ToDouble().Should().Be(1, "where a solve ends, nothing is reset");
        }
    }

    [Fact]
    public void Steps_between_events_are_counted_together_and_so_are_the_events()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = zeros(1, ScalarType.Float64);
        // A reset after each whole time: a step of one half twice between two of them.
        OdeSolverOptions options = new()
        {
            Method = OdeMethod.Rk4,
            StepSize = 0.5,
            Events = [new OdeEvent((t, y) => y[0] - 0.75, reset: (t, y) => y - 0.75)],
        };
        using OdeSolution all = Ode.Solve((t, y) => ones_like(y), y0, 0, 4, options);
        all.Events.Select(item => item.Time.ToDouble()).Should().Equal([0.75, 1.5, 2.25, 3, 3.75], (a, b) => Math.Abs(a - b) < 1e-12);
        all.Final.ToDouble().Should().BeApproximately(0.25, 1e-12);
        // Two steps to each event, and one behind the last.
        foreach ((int limit, int events) in new[] { (4, 2), (6, 3), (10, 5) })
        {
            Action solve = () => Ode.Solve((t, y) => ones_like(y), y0, 0, 4, options with { MaximumSteps = limit });
            OdeSolverException failure = solve.Should().Throw<OdeSolverException>()
                .WithMessage($"*MaximumSteps is {limit}, and {events} events happened*").Which;
            (failure.Failure, Math.Round(failure.Time, 9)).Should().Be((SolverFailure.StepLimit, 0.75 * events));
            using OdeSolution part =
                Ode.Solve((t, y) => ones_like(y), y0, 0, 4,
                    options with { MaximumSteps = limit, OnStepLimit = StepLimitBehavior.ReturnPartial });
            part.Status.Should().Equal(RowStatus.StepLimit);
            part.Events.Should().HaveCount(events);
        }
        // In the middle between two events the limit is the user's number too, not what was left of it.
        OdeSolverOptions adaptive = options with { Method = OdeMethod.Dopri5, StepSize = null, FirstStep = 0.5, MaximumStep = 0.5 };
        foreach (OdeSolverOptions way in new[] { options, adaptive })
            foreach (int limit in new[] { 1, 5, 7 })
            {
                Action solve = () => Ode.Solve((t, y) => ones_like(y), y0, 0, 4, way with { MaximumSteps = limit });
                solve.Should().Throw<OdeSolverException>().WithMessage($"*MaximumSteps is {limit}.*")
                    .Which.Failure.Should().Be(SolverFailure.StepLimit);
            }
        using OdeSolution enough = Ode.Solve((t, y) => ones_like(y), y0, 0, 4, options with { MaximumSteps = 11 });
        enough.Status.Should().Equal(RowStatus.Completed);
    }

    [Theory]
    [InlineData("direct")]
    [InlineData("adjoint")]
    public void The_time_of_an_event_has_the_derivatives_of_its_closed_form(string gradient)
    {
        // y′ = k y from a reaches b e^(c t) at t = ln(b / a) / (k − c), where its state is a e^(k t).
        double[] values = [0.5, 0.8, 2, 0.3];
        Tensor[] inputs = [.. values.Select(value => tensor(value, ScalarType.Float64).requires_grad_())];
        (Tensor a, Tensor k, Tensor b, Tensor c) = (inputs[0], inputs[1], inputs[2], inputs[3]);
        var item = new OdeEvent((t, y) => y[0] - b * (c * t).exp(), isTerminal: true);
        using Tensor times = tensor(new[] { 0.0, 10.0 });
        using OdeSolution solution = Ode.Solve((t, y) => k * y, a.reshape(1), times,
            Tight with { Gradient = GradientMethod.Parse(gradient), Events = [item] }, [k]);
        (solution.Events[0].Time + 0.25 * solution.Events[0].State.sum()).backward();
        double gap = values[1] - values[3], time = Math.Log(values[2] / values[0]) / gap, state = values[0] * Math.Exp(values[1] * time);
        double[] byTime = [-1 / (values[0] * gap), -time / gap, 1 / (values[2] * gap), time / gap];
        double[] direct = [state / values[0], state * time, 0, 0];
        for (int i = 0; i < 4; i++)
            inputs[i].grad!.ToDouble().Should().BeApproximately(byTime[i] + 0.25 * (direct[i] + values[1] * state * byTime[i]), 1e-5);
    }

    [Fact]
    public void An_event_whose_function_has_no_slope_happens_and_has_no_derivative()
    {
        using Tensor y0 = ones(1, ScalarType.Float64).requires_grad_();
        using Tensor times = tensor(new[] { 0.0, 2.0 });
        foreach (Func<Tensor, Tensor, Tensor> function in new Func<Tensor, Tensor, Tensor>[]
        {
            (t, y) => y[0].gt(1.5).to(ScalarType.Float64) - 0.5, (t, y) => y.detach()[0] - 1.5,
        })
        {
            using OdeSolution solution =
                Ode.Solve((t, y) => ones_like(y), y0, times, Tight with { Events = [new OdeEvent(function, isTerminal: true)] }, []);
            solution.Events[0].Time.ToDouble().Should().BeApproximately(0.5, 1e-4);
            FluentActions.Invoking(() => solution.Events[0].Time.backward()).Should().Throw<Exception>()
                .WithMessage("*The time of an event has no derivatives*");
        }
    }
}
