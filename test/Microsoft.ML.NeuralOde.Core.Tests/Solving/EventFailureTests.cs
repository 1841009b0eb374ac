namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>Events that fail, and what is refused.</summary>
public class EventFailureTests
{
    private static readonly OdeSolverOptions Tight = new() { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-11 };

    [Fact]
    public void Event_functions_that_fail_are_named()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = tensor(new[] { 1.0, 2.0 }, [2, 1]);
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        foreach (bool perRow in new[] { false, true })
            foreach (OdeMethod method in new[] { OdeMethod.Dopri5, OdeMethod.Rk4, OdeMethod.Kvaerno3 })
            {
                void Fails<T>(Func<Tensor, Tensor, Tensor> function, string message)
                    where T : Exception
                {
                    Action act = () =>
                        Ode.Solve((t, y) => -y, y0,
                            times, new OdeSolverOptions { PerRow = perRow, Method = method, Events = [new OdeEvent(function)] });
                    act.Should().Throw<T>().WithMessage(message).Which.Message.Should().NotContain("\n");
                }
                Fails<InvalidOperationException>((t, y) => (y[0, 0] - 0.9).sqrt(), "*event function*NaN*t = *");
                Fails<InvalidOperationException>((t, y) => null!, "*event function*null*");
                Fails<InvalidOperationException>((t, y) => { Tensor g = y[0, 0] * 1; g.Dispose(); return g; }, "*event function*disposed*");
                Fails<InvalidOperationException>((t, y) => ones(2), "*event function*[2]*");
                Fails<InvalidOperationException>((t, y) => y[0, 0].to(ScalarType.ComplexFloat64), "*event function*Complex*");
                Fails<InvalidOperationException>((t, y) => nn.functional.linear(y, ones(7, 9, ScalarType.Float64)), "*event function*");
                Fails<NotSupportedException>((t, y) => throw new NotSupportedException("mine"), "mine");
            }
        Action reset = () =>
            Ode.Solve((t, y) => -y, y0, times, new OdeSolverOptions { Events = [new OdeEvent((t, y) => t - 0.5, reset: (t, y) => null!)] });
        reset.Should().Throw<InvalidOperationException>().WithMessage("*reset*null*");
    }

    [Fact]
    public void Events_cannot_change_the_state_in_place()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = tensor(new[] { 1.0, 2.0 });
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        var item = new OdeEvent((t, y) => y.mul_(2)[0] - 1.5, reset: (t, y) => y.add_(1));
        using OdeSolution solution = Ode.Solve((t, y) => -y, y0, times, Tight with { Events = [item] });
        // e^(−t) = 3/4, and 7/4 goes on to the end, unless it falls to 3/4 before: it does not.
        double time = Math.Log(4.0 / 3);
        solution.Events.Should().ContainSingle().Which.State[0].ToDouble().Should().BeApproximately(0.75, 1e-8);
        solution.Final[0].ToDouble().Should().BeApproximately(1.75 * Math.Exp(time - 1), 1e-7);
        y0[0].ToDouble().Should().Be(1);
    }

    [Fact]
    public void A_row_that_fails_between_its_events_is_marked_and_the_others_go_on()
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = tensor(new[] { 0.5, 4.0 }, [2, 1]);
        using Tensor times = tensor(new[] { 0.0, 0.2, 1.0 });
        using OdeSolution solution =
            Ode.Solve((t, y) => y * y, y0, times, Tight with { PerRow = true, Events = [new OdeEvent((t, y) => y[0, 0] - 0.75)] });
        solution.Status[0].Should().Be(RowStatus.Completed);
        solution.Status[1].Should().BeOneOf(RowStatus.StepSizeUnderflow, RowStatus.NonFinite);
        solution.States[1, 1, 0].ToDouble().Should().BeApproximately(20, 1e-5);
        solution.States[2, 0, 0].ToDouble().Should().BeApproximately(1, 1e-7);
        double.IsNaN(solution.States[2, 1, 0].ToDouble()).Should().BeTrue();
        solution.Events.Should().ContainSingle().Which.Row.Should().Be(0);
    }

    [Theory]
    [InlineData("rk4")]
    [InlineData("gl6")]
    [InlineData("dopri5")]
    public void The_step_limit_holds_for_all_parts_between_events_together(string method)
    {
        using IDisposable noGrad = no_grad();
        // Each event makes the next come sooner, without end.
        using Tensor y0 = tensor(new[] { 1.0 });
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Parse(
            method),
            MaximumSteps = 25,
            Events = [new OdeEvent((t, y) => (20 * y).sin(), reset: (t, y) => y + 1)]
        };
        Action act = () => Ode.Solve((t, y) => -y, y0, times, options);
        act.Should().Throw<OdeSolverException>().Which.Failure.Should().Be(SolverFailure.StepLimit);
        using OdeSolution solution = Ode.Solve((t, y) => -y, y0, times, options with { OnStepLimit = StepLimitBehavior.ReturnPartial });
        solution.Status.Should().Equal(RowStatus.StepLimit);
        solution.Events.Should().HaveCountLessThanOrEqualTo(25);
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
        Action shape = () =>
            Ode.Solve((t, y) => -y, y0, times, new OdeSolverOptions { Events = [new OdeEvent((t, y) => t - 0.5, reset: (t, y) => y[0])] });
        shape.Should().Throw<InvalidOperationException>().WithMessage("*reset*shape*");
    }
}
