namespace Microsoft.ML.NeuralOde.Core.Tests.Native;

/// <summary>What cannot be solved in plain memory says why.</summary>
public class NativeFailureTests
{
    private static readonly OdeFunction Decay = (t, y, dy) => dy[0] = -y[0];

    [Fact]
    public void Wrong_arguments_are_refused_by_name()
    {
        ((Action)(() => Ode.Solve((OdeFunction)null!, [1], [0, 1]))).Should().Throw<ArgumentNullException>().WithParameterName("dynamics");
        ((Action)(() => Ode.Solve(Decay, [], [0, 1]))).Should().Throw<ArgumentException>().WithParameterName("initialState");
        ((Action)(() => Ode.Solve(Decay, [1], [0, 1, 1]))).Should()
            .Throw<ArgumentException>().WithParameterName("times").WithMessage("*time 2 is 1*");
        ((Action)(() => Ode.Solve(Decay, [1], [0, double.NaN]))).Should().Throw<ArgumentException>().WithParameterName("times");
        ((Action)(() => Ode.Solve(Decay, [1], []))).Should().Throw<ArgumentException>().WithParameterName("times");
        using Tensor two = ones(2, ScalarType.Float64);
        ((Action)(() => Ode.Solve(Decay, [1], [0, 1], new() { AbsoluteTolerances = two }))).Should()
            .Throw<ArgumentException>().WithMessage("*AbsoluteTolerances*[2]*");
        ((Action)(() => Ode.Solve(Decay, [1], [0, 1], events: [null!]))).Should().Throw<ArgumentException>().WithParameterName("events");
    }

    [Fact]
    public void Options_of_tensors_are_refused_by_name()
    {
        foreach ((string name, OdeSolverOptions options) in ((string, OdeSolverOptions)[])[
            ("PerRow", new() { PerRow = true }), ("Gradient", new() { Gradient = GradientMethod.Adjoint() }),
            ("Jacobian", new() { Jacobian = (t, y) => y }), ("Events", new() { Events = [new OdeEvent((t, y) => y)] }),
            ("Norm", new() { Norm = ErrorNorm.Custom("own", e => e.amax(1)) })])
            ((Action)(() => Ode.Solve(Decay, [1], [0, 1], options))).Should()
            .Throw<ArgumentException>().WithMessage($"OdeSolverOptions.{name} *");
    }

    [Fact]
    public void A_pole_a_NaN_and_a_forgotten_component_are_told_with_their_time()
    {
        Solving(() => Ode.Solve((t, y, dy) => dy[0] = y[0] * y[0], [1], [0, 2])).Time.Should().BeApproximately(1, 1e-3);
        OdeSolverException late = Solving(() => Ode.Solve((t, y, dy) => dy[0] = t > 0.5 ? double.NaN : -y[0], [1], [0, 2]));
        late.Failure.Should().Be(SolverFailure.NonFinite);
        late.Time.Should().BeApproximately(0.5, 0.01);
        OdeSolverException start = Solving(() => Ode.Solve(Decay, [double.NaN], [0, 2]));
        start.Message.Should().Contain("Component of the initial state 0 is NaN");
        OdeSolverException forgotten = Solving(() => Ode.Solve((t, y, dy) => dy[0] = 1, [0, 0], [0, 2]));
        forgotten.Message.Should().Contain("Component of the right-hand side 1 is NaN");
        Solving(() => Ode.Solve((t, y, dy) => dy[0] = 1, [0, 0], [0, 2], new() { Method = OdeMethod.Rk4 })).Failure.Should()
            .Be(SolverFailure.NonFinite);
    }

    [Fact]
    public void Step_limits_and_singular_equations_are_told()
    {
        var few = new OdeSolverOptions { MaximumSteps = 3, MaximumStep = 0.01 };
        Solving(() => Ode.Solve(Decay, [1], [0, 2], few)).Failure.Should().Be(SolverFailure.StepLimit);
        NativeOdeSolution partial = Ode.Solve(Decay, [1], [0, 0.01, 2], few with { OnStepLimit = StepLimitBehavior.ReturnPartial });
        partial.Status.Should().Be(RowStatus.StepLimit);
        partial[1][0].Should().BeApproximately(Math.Exp(-0.01), 1e-6);
        double.IsNaN(partial[2][0]).Should().BeTrue();
        // I − h J = 0 with h = 1, and a right-hand side without a solution.
        OdeSolverException singular = Solving(() => Ode.Solve(
            (t, y, dy) => dy[0] = y[0] + 1, [1], [0, 1, 2], new() { Method = OdeMethod.ImplicitEuler, StepSize = 1 },
            (t, y, j) => j[0] = 1));
        singular.Failure.Should().Be(SolverFailure.Newton);
    }

    [Fact]
    public void Exceptions_of_f_and_cancellations_come_through_as_they_are()
    {
        ((Action)(() => Ode.Solve((t, y, dy) => throw new TimeZoneNotFoundException("mine"), [1], [0, 1]))).Should()
            .Throw<TimeZoneNotFoundException>().WithMessage("mine");
        ((Action)(() => Ode.Solve((t, y, dy) => dy[1] = 0, [1], [0, 1]))).Should().Throw<IndexOutOfRangeException>();
        ((Action)(() => Ode.Solve(Decay, [1], [0, 1], new() { CancellationToken = new CancellationToken(true) }))).Should()
            .Throw<OperationCanceledException>();
    }

    private static OdeSolverException Solving(Action solve) => solve.Should().Throw<OdeSolverException>().Which;
}
