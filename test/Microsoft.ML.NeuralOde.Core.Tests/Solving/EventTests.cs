namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

public class EventTests
{
    private const double Gravity = 9.81;

    public static TheoryData<string> Gradients => ["direct", "adjoint", "checkpointed"];

    private static readonly OdeSolverOptions Tight = new() { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-11 };

    /// <summary>A ball: (height, velocity).</summary>
    private static Tensor Fall(Tensor t, Tensor y) => stack([y[1], full_like(y[0], -Gravity)]);

    private static OdeEvent Floor(bool isTerminal = false, Func<Tensor, Tensor, Tensor>? reset = null) =>
        new((t, y) => y[0], EventDirection.Falling, isTerminal, reset);

    private static Func<Tensor, Tensor, Tensor> Bounce(Tensor restitution) => (t, y) => stack([zeros_like(y[0]), -restitution * y[1]]);

    [Theory]
    [InlineData("dopri5", null)]
    [InlineData("bosh3", null)]
    [InlineData("rk4", 0.01)]
    public void A_terminal_event_ends_the_solve_at_its_time(string method, double? step)
    {
        using Tensor y0 = tensor(new[] { 2.0, 1.0 });
        using Tensor times = tensor(new[] { 0.0, 0.3, 5.0, 6.0 });
        OdeSolverOptions options = Tight with { Method = OdeMethod.Parse(method), StepSize = step, Events = [Floor(isTerminal: true)] };
        using OdeSolution solution = Ode.Solve(Fall, y0, times, options);
        // h = 2 + t − g t²/2 = 0.
        double expected = (1 + Math.Sqrt(1 + 4 * Gravity)) / Gravity;
        solution.Status.Should().Equal(RowStatus.Event);
        solution.Events.Should().ContainSingle();
        solution.Events[0].Time.ToDouble().Should().BeApproximately(expected, 1e-11);
        solution.Final[0].ToDouble().Should().BeApproximately(0, 1e-11);
        solution.Final[1].ToDouble().Should().BeApproximately(1 - Gravity * expected, 1e-9);
        solution.States[1, 0].ToDouble().Should().BeApproximately(2 + 0.3 - Gravity * 0.045, 1e-9);
        double.IsNaN(solution.States[2, 0].ToDouble()).Should().BeTrue();
    }

    [Fact]
    public void A_bouncing_ball_bounces_at_the_times_of_the_closed_form()
    {
        using Tensor restitution = tensor(0.8, ScalarType.Float64);
        using Tensor y0 = tensor(new[] { 1.0, 0.0 });
        using Tensor times = tensor(new[] { 0.0, 1.0, 2.5 });
        using OdeSolution solution = Ode.Solve(Fall, y0, times, Tight with { Events = [Floor(reset: Bounce(restitution))] });
        double first = Math.Sqrt(2 / Gravity);
        var expected = new List<double>();
        for (double t = first, flight = 2 * first * 0.8; t < 2.5; t += flight, flight *= 0.8)
            expected.Add(t);
        solution.Events.Should().HaveCount(expected.Count);
        for (int i = 0; i < expected.Count; i++)
            solution.Events[i].Time.ToDouble().Should().BeApproximately(expected[i], 1e-9);
        solution.Status.Should().Equal(RowStatus.Completed);
        double since = 2.5 - expected[^1];
        double up = Gravity * first * Math.Pow(0.8, expected.Count);
        solution.Final[0].ToDouble().Should().BeApproximately(up * since - Gravity * since * since / 2, 1e-8);
        double atOne = 1.0 - first;
        solution.States[1, 0].ToDouble().Should().BeApproximately(Gravity * first * 0.8 * atOne - Gravity * atOne * atOne / 2, 1e-8);
    }

    [Theory]
    [MemberData(nameof(Gradients))]
    public void Gradients_of_bounces_agree_with_finite_differences(string gradient)
    {
        // The parameters: initial height, restitution, and the height of the floor, which the event function alone uses.
        double[] values = [1.0, 0.8, 0.1];
        using Tensor height = tensor(values[0], ScalarType.Float64).requires_grad_();
        using Tensor restitution = tensor(values[1], ScalarType.Float64).requires_grad_();
        using Tensor floor = tensor(values[2], ScalarType.Float64).requires_grad_();
        (Tensor loss, int bounces) = Loss(height, restitution, floor);
        bounces.Should().Be(3);
        loss.backward();
        Tensor[] parameters = [height, restitution, floor];
        for (int i = 0; i < 3; i++)
            parameters[i].grad!.ToDouble().Should().BeApproximately((Value(i, 1e-6) - Value(i, -1e-6)) / 2e-6, 2e-5);

        (Tensor, int) Loss(Tensor h, Tensor e, Tensor f)
        {
            Tensor y0 = stack([h, zeros_like(h)]);
            Tensor times = tensor(new[] { 0.0, 1.9 });
            var bounce = new OdeEvent((t, y) => y[0] - f, EventDirection.Falling, reset: (t, y) => stack([f, -e * y[1]]));
            OdeSolution solution =
                Ode.Solve(Fall, y0, times, Tight with { Gradient = GradientMethod.Parse(gradient), Events = [bounce] }, []);
            Tensor sum = solution.Final[0] * 3 + solution.Final[1];
            foreach (OdeEventOccurrence occurrence in solution.Events)
                sum = sum + occurrence.Time + 0.1 * occurrence.State[1].square();
            return (sum, solution.Events.Count);
        }

        double Value(int index, double change)
        {
            double[] moved = (double[])values.Clone();
            moved[index] += change;
            using IDisposable noGrad = no_grad();
            return Loss(tensor(moved[0], ScalarType.Float64), tensor(moved[1], ScalarType.Float64),
                tensor(moved[2], ScalarType.Float64)).Item1.ToDouble();
        }
    }

    [Fact]
    public void Several_events_directions_and_recorded_ones_come_in_order()
    {
        // A unit oscillator: x = cos t.
        static Tensor Oscillate(Tensor t, Tensor y) => stack([y[1], -y[0]]);
        var zero = new OdeEvent((t, y) => y[0]);
        var rising = new OdeEvent((t, y) => y[0], EventDirection.Rising);
        var end = new OdeEvent((t, y) => t - 9.0, isTerminal: true);
        using Tensor y0 = tensor(new[] { 1.0, 0.0 });
        using Tensor times = tensor(new[] { 0.0, 20.0 });
        using OdeSolution solution = Ode.Solve(Oscillate, y0, times, Tight with { Events = [rising, zero, end] });

        solution.Events.Where(e => e.Event == zero).Select(e => e.Time.ToDouble()).Should()
            .Equal([Math.PI / 2, 3 * Math.PI / 2, 5 * Math.PI / 2], (a, b) => Math.Abs(a - b) < 1e-6);
        solution.Events.Where(e => e.Event == rising)
            .Select(e => e.Time.ToDouble()).Should().Equal([3 * Math.PI / 2], (a, b) => Math.Abs(a - b) < 1e-6);
        solution.Events[^1].Event.Should().BeSameAs(end);
        solution.Events.Select(e => e.Time.ToDouble()).Should().BeInAscendingOrder();
        solution.Events[^1].Time.ToDouble().Should().BeApproximately(9, 1e-12);
    }

    [Fact]
    public void Events_work_backward_in_time()
    {
        using Tensor y0 = tensor(new[] { 0.0, 5.0 });
        using Tensor times = tensor(new[] { 1.0, -3.0 });
        using OdeSolution solution =
            Ode.Solve(Fall, y0, times, Tight with { Events = [new OdeEvent((t, y) => y[1] - 20, isTerminal: true)] });
        solution.Events[0].Time.ToDouble().Should().BeApproximately(1 - 15 / Gravity, 1e-10);
    }

    [Theory]
    [InlineData("dopri5", 1)]
    [InlineData("dopri5", -1)]
    [InlineData("rk4", 1)]
    [InlineData("rk4", -1)]
    public void Events_of_one_step_come_in_the_order_of_the_solve(string method, int direction)
    {
        // One step of length 1 from 0, in either direction; they are listed against the order in which they are met.
        var events = new List<OdeEvent>();
        foreach (double place in new[] { 0.9, 0.5, 0.2 })
            events.Add(new OdeEvent((t, y) => t - direction * place, isTerminal: place == 0.5));
        using Tensor y0 = zeros(2, 1, ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, direction });
        foreach (bool perRow in new[] { false, true })
        {
            OdeSolverOptions options =
                new() { Method = OdeMethod.Parse(method), FirstStep = method == "rk4" ? null : 1, PerRow = perRow, Events = events };
            using OdeSolution solution = Ode.Solve((t, y) => ones_like(y), y0, times, options);

            solution.Events.Select(e => (e.Event, e.Row)).Should().Equal(
                perRow ? [(events[2], 0), (events[1], 0), (events[2], 1), (events[1], 1)] : [(events[2], (int?)null), (events[1], null)]);
            solution.Events.Select(e => e.Time.ToDouble()).Should().Equal(
                Enumerable.Repeat(new[] { 0.2 * direction, 0.5 * direction }, perRow ? 2 : 1).SelectMany(pair => pair),
                    (a, b) => Math.Abs(a - b) < 1e-12);
            solution.Status.Should().OnlyContain(status => status == RowStatus.Event);
            solution.Final.data<double>().ToArray().Should().Equal([0.5 * direction, 0.5 * direction], (a, b) => Math.Abs(a - b) < 1e-12);
        }
    }

    [Theory]
    [InlineData(EventDirection.Both)]
    [InlineData(EventDirection.Rising)]
    [InlineData(EventDirection.Falling)]
    public void Rows_with_steps_of_their_own_meet_their_events_at_their_own_times(EventDirection direction)
    {
        // y = y₀ e^(−t) falls through 1 at t = ln y₀.
        double[] starts = [2, 4, 8];
        using Tensor y0 = tensor(starts, [3, 1]);
        using Tensor times = tensor(new[] { 0.0, 1.0, 3.0 });
        var halt = new OdeEvent((t, y) => y.sum() - 1, direction, isTerminal: true);
        using OdeSolution solution = Ode.Solve((t, y) => -y, y0, times, Tight with { PerRow = true, Events = [halt] });

        if (direction == EventDirection.Rising)
        {
            solution.Events.Should().BeEmpty();
            solution.Status.Should().OnlyContain(status => status == RowStatus.Completed);
            return;
        }
        solution.Events.Select(e => e.Row).Should().Equal(0, 1, 2);
        for (int row = 0; row < starts.Length; row++)
        {
            solution.Events[row].Time.ToDouble().Should().BeApproximately(Math.Log(starts[row]), 1e-8);
            solution.Final[row, 0].ToDouble().Should().BeApproximately(1, 1e-8);
            bool isPast = Math.Log(starts[row]) < 1;
            double.IsNaN(solution.States[1, row, 0].ToDouble()).Should().Be(isPast);
        }
    }

    [Theory]
    [Trait("Category", "Slow")]
    [MemberData(nameof(Gradients))]
    public void Memory_does_not_grow_over_many_solves_with_events(string gradient)
    {
        // Every function depends on all it could: torch counts the placeholders of derivatives that do not exist as live tensors for ever.
        using Tensor restitution = tensor(0.8, ScalarType.Float64).requires_grad_();
        using Tensor gravity = tensor(Gravity, ScalarType.Float64).requires_grad_();
        using Tensor y0 = tensor(new[] { 1.0, 0.0 });
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        var bounce = new OdeEvent((t, y) => y[0] + 0 * t, EventDirection.Falling, reset: Bounce(restitution));
        OdeSolverOptions options = new() { Gradient = GradientMethod.Parse(gradient), Events = [bounce] };
        long before = 0;
        for (int i = 0; i < 300; i++)
        {
            if (i == 10)
                before = Count();
            using DisposeScope scope = NewDisposeScope();
            OdeSolution solution = Ode.Solve((t, y) => stack([y[1] + 0 * t, -gravity + 0 * t]), y0, times, options, [gravity]);
            solution.Final.sum().backward();
            solution.Statistics.BackwardFailure.Should().BeNull();
        }
        Count().Should().BeLessThanOrEqualTo(before);

        static long Count()
        {
            for (int i = 0; i < 5; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
            return Tensor.TotalCount;
        }
    }

    [Theory]
    [InlineData("direct")]
    [InlineData("checkpointed")]
    public void Rows_with_steps_of_their_own_have_events_of_their_own(string gradient)
    {
        // Balls dropped from several heights: the first lands at √(2h/g), the last not before the end.
        double[] heights = [1, 4, 100];
        using Tensor height = tensor(heights).requires_grad_();
        using Tensor drag = zeros(3, 1, ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, 2.0 });
        var landing = new OdeEvent((t, y) => y[0, 0], EventDirection.Falling, isTerminal: true);
        using OdeSolution solution = Ode.Solve(
            (t, y, arguments) => stack([y.select(1, 1), full_like(y.select(1, 1), -Gravity) - arguments[0].squeeze(1) * y.select(1, 1)], 1),
            stack([height, zeros_like(height)], 1), times, [drag],
            Tight with { PerRow = true, Events = [landing], Gradient = GradientMethod.Parse(gradient) });
        solution.Status.Should().Equal(RowStatus.Event, RowStatus.Event, RowStatus.Completed);
        solution.Events.Select(e => e.Row).Should().Equal(0, 1);
        for (int row = 0; row < 2; row++)
        {
            solution.Events[row].Time.ToDouble().Should().BeApproximately(Math.Sqrt(2 * heights[row] / Gravity), 1e-9);
            solution.Final[row, 1].ToDouble().Should().BeApproximately(-Math.Sqrt(2 * Gravity * heights[row]), 1e-7);
        }
        solution.Final[2, 0].ToDouble().Should().BeApproximately(100 - Gravity * 2, 1e-8);
        (solution.Events[0].Time + solution.Events[1].Time).backward();
        for (int row = 0; row < 2; row++)
            height.grad![row].ToDouble().Should().BeApproximately(1 / Math.Sqrt(2 * Gravity * heights[row]), 1e-7);
        height.grad![2].ToDouble().Should().Be(0);
    }

    public static TheoryData<ScalarType, double, EventDirection, bool> Bounces
    {
        get
        {
            var data = new TheoryData<ScalarType, double, EventDirection, bool>();
            foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.Float32 })
                foreach (double floor in new[] { 0, 0.1 })
                    foreach (EventDirection direction in new[] { EventDirection.Falling, EventDirection.Both })
                        foreach (bool perRow in new[] { false, true })
                            data.Add(type, floor, direction, perRow);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Bounces))]
    public void A_ball_that_comes_to_rest_is_told_and_never_falls_through_the_floor(
        ScalarType type, double floor, EventDirection direction, bool perRow)
    {
        using IDisposable noGrad = no_grad();
        Tensor Ball(Tensor y) => perRow ? y[0] : y;
        Tensor Pack(Tensor height, Tensor velocity) => perRow ? stack([height, velocity]).unsqueeze(0) : stack([height, velocity]);
        var bounce =
            new OdeEvent((t, y) => Ball(y)[0] - floor, direction, reset: (t, y) => Pack(full_like(Ball(y)[0], floor), -0.5 * Ball(y)[1]));
        using Tensor y0 = Pack(tensor(1 + floor, type), tensor(0, type));
        using Tensor times = tensor(new[] { 0.0, 0.8, 3.0 });
        OdeSolverOptions options = Tight with { PerRow = perRow, Events = [bounce] };
        OdeSolution Solve(OdeSolverOptions how) =>
            Ode.Solve((t, y) => Pack(Ball(y.unsqueeze(0).squeeze(0))[1], full_like(Ball(y)[0], -Gravity)), y0, times, how);
        if (!perRow)
        {
            Action act = () => Solve(options);
            OdeSolverException exception = act.Should().Throw<OdeSolverException>().WithMessage("Events accumulate*").Which;
            exception.Failure.Should().Be(SolverFailure.EventAccumulation);
        }
        using OdeSolution solution = Solve(options with { OnStepLimit = StepLimitBehavior.ReturnPartial });
        solution.Status.Should().Equal(RowStatus.EventAccumulation);
        // Flights of 2v/g, v halving: at rest after 3 times the first fall.
        double fall = Math.Sqrt(2 / Gravity);
        solution.Events[^1].Time.ToDouble().Should().BeApproximately(3 * fall, type == ScalarType.Float64 ? 1e-6 : 1e-2);
        double since = 0.8 - fall;
        Ball(solution.States[1])[0].ToDouble()
            .Should().BeApproximately(floor + Gravity * fall * 0.5 * since - Gravity * since * since / 2, 1e-4);
        Ball(solution.States[2])[0].isnan().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void A_reset_that_leaves_the_ball_lying_on_the_floor_is_told()
    {
        using Tensor y0 = tensor(new[] { 1.0, 0.0 });
        using Tensor times = tensor(new[] { 0.0, 3.0 });
        Action act = () => Ode.Solve(Fall, y0, times, Tight with { Events = [Floor(reset: (t, y) => zeros_like(y))] });
        act.Should().Throw<OdeSolverException>().WithMessage("*at rest*").Which.Failure.Should().Be(SolverFailure.EventAccumulation);
    }

    [Fact]
    public void Resets_that_let_the_event_function_go_on_its_way_are_no_accumulation()
    {
        using IDisposable noGrad = no_grad();
        foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.Float32 })
        {
            using Tensor y0 = tensor(new[] { 1.0 }, dtype: type);
            using Tensor times = tensor(new[] { 0.0, 3.0 });
            OdeEvent Dose(double time) => new((t, y) => t - time, reset: (t, y) => y + 1);
            using OdeSolution solution =
                Ode.Solve((t, y) => -y, y0, times, Tight with { RelativeTolerance = 1e-6, Events = [Dose(1), Dose(2)] });
            solution.Events.Should().HaveCount(2);
            solution.Final[0].ToDouble().Should().BeApproximately(Math.Exp(-3) + Math.Exp(-2) + Math.Exp(-1), 1e-5);
        }
    }

    [Fact]
    public void An_oscillator_that_is_reset_far_from_its_threshold_fires_at_equal_times()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = tensor(new[] { 0.0 });
        using Tensor times = tensor(new[] { 0.0, 10.0 });
        var fire = new OdeEvent((t, y) => y[0] - 1, EventDirection.Rising, reset: (t, y) => zeros_like(y));
        using OdeSolution solution = Ode.Solve((t, y) => 1.5 - y, y0, times, Tight with { Events = [fire] });
        // 1.5 (1 − e^(−t)) = 1 after ln 3.
        solution.Events.Select(e => e.Time.ToDouble())
            .Should().Equal(Enumerable.Range(1, 9).Select(k => k * Math.Log(3)), (a, b) => Math.Abs(a - b) < 1e-7);
    }

}
