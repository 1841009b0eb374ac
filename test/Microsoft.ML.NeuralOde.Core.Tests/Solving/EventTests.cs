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
            OdeSolution solution = Ode.Solve(Fall, y0, times, Tight with { Gradient = GradientMethod.Parse(gradient), Events = [bounce] }, []);
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
            return Loss(tensor(moved[0], ScalarType.Float64), tensor(moved[1], ScalarType.Float64), tensor(moved[2], ScalarType.Float64)).Item1.ToDouble();
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
        solution.Events.Where(e => e.Event == rising).Select(e => e.Time.ToDouble()).Should().Equal([3 * Math.PI / 2], (a, b) => Math.Abs(a - b) < 1e-6);
        solution.Events[^1].Event.Should().BeSameAs(end);
        solution.Events.Select(e => e.Time.ToDouble()).Should().BeInAscendingOrder();
        solution.Events[^1].Time.ToDouble().Should().BeApproximately(9, 1e-12);
    }

    [Fact]
    public void Events_work_backward_in_time()
    {
        using Tensor y0 = tensor(new[] { 0.0, 5.0 });
        using Tensor times = tensor(new[] { 1.0, -3.0 });
        using OdeSolution solution = Ode.Solve(Fall, y0, times, Tight with { Events = [new OdeEvent((t, y) => y[1] - 20, isTerminal: true)] });
        solution.Events[0].Time.ToDouble().Should().BeApproximately(1 - 15 / Gravity, 1e-10);
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
        for (int i = 0; i < 1000; i++)
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
            stack([height, zeros_like(height)], 1), times, [drag], Tight with { PerRow = true, Events = [landing], Gradient = GradientMethod.Parse(gradient) });
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

    [Fact]
    public void Nonsense_is_refused()
    {
        using Tensor y0 = ones(2, 2, ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        Action terminalReset = () => _ = new OdeEvent((t, y) => t, isTerminal: true, reset: (t, y) => y);
        terminalReset.Should().Throw<ArgumentException>().WithMessage("*terminal*");
        Action vector = () => Ode.Solve((t, y) => -y, y0, times, new OdeSolverOptions { Events = [new OdeEvent((t, y) => y)] });
        vector.Should().Throw<InvalidOperationException>().WithMessage("*one number*");
        Action shape = () => Ode.Solve((t, y) => -y, y0, times, new OdeSolverOptions { Events = [new OdeEvent((t, y) => t - 0.5, reset: (t, y) => y[0])] });
        shape.Should().Throw<InvalidOperationException>().WithMessage("*reset*shape*");
    }
}
