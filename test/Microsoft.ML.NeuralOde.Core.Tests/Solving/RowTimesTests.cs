namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

public class RowTimesTests
{
    private static readonly Tensor[] None = [];

    public static TheoryData<bool> PerRow => [false, true];

    [Theory]
    [MemberData(nameof(PerRow))]
    public void Each_row_is_solved_at_times_of_its_own_forward_or_backward(bool perRow)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor times = tensor(new[,] { { 0.0, 0.5, 3 }, { 2, 1, -1 }, { -1, -0.9, 0 } });
        Tensor start = times.narrow(1, 0, 1).sin();
        using OdeSolution solution = Ode.Solve(
            (t, y) => t.cos(), start,
            times, new OdeSolverOptions { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-10, PerRow = perRow }, None);
        (solution.States.squeeze(2).t() - times.sin()).abs().max().item<double>().Should().BeLessThan(1e-8);
        using OdeSolution stepped =
            Ode.Solve((t, y) => t.cos(), start, times, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.1 }, None);
        (stepped.Final.squeeze(1) - times.select(1, 2).sin()).abs().max().item<double>().Should().BeLessThan(1e-5);
    }

    [Fact]
    public void Rows_of_the_same_times_are_those_of_a_common_list_and_gradients_reach_times_and_parameters()
    {
        using DisposeScope scope = NewDisposeScope();
        using var dynamics = new DenseDynamics(2);
        dynamics.to(ScalarType.Float64);
        Tensor start = randn(3, 2, ScalarType.Float64), common = tensor(new[] { 0.0, 0.4, 1 }).requires_grad_();
        var options = new OdeSolverOptions { RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-11 };
        Tensor own = common.detach().expand(3, 3).clone().requires_grad_();
        using OdeSolution expected = Ode.Solve(dynamics, start, common, options), found = Ode.Solve(dynamics, start, own, options);
        (found.States - expected.States).abs().max().item<double>().Should().BeLessThan(1e-8);
        expected.States.square().sum().backward();
        Tensor[] gradients = [.. dynamics.parameters().Select(parameter => parameter.grad!.clone())];
        dynamics.zero_grad();
        found.States.square().sum().backward();
        (own.grad!.sum(dim: 0L) - common.grad!).abs().max().item<double>().Should().BeLessThan(1e-6);
        foreach ((Tensor one, Tensor other) in gradients.Zip(dynamics.parameters().Select(parameter => parameter.grad!)))
            (one - other).abs().max().item<double>().Should().BeLessThan(1e-6);
    }

    [Fact]
    public void A_rate_of_another_shape_or_type_is_named()
    {
        using Tensor y0 = ones(2, 1), times = tensor(new[] { 0f, 1, 0, 2 }, [2, 2]);
        foreach ((Func<Tensor, Tensor, Tensor> f, string message) in new (Func<Tensor, Tensor, Tensor>, string)[]
        {
            ((t, y) => cat([y, y], 1), "*[2, 2]*"), ((t, y) => y.to(ScalarType.Float64), "*Float64*"), ((t, y) => null!, "*null*"),
        })
            FluentActions.Invoking(() => Ode.Solve(f, y0, times, new OdeSolverOptions()).Dispose())
                .Should().Throw<InvalidOperationException>().WithMessage(message);
    }

    [Fact]
    public void Wrong_times_are_refused_by_row_and_failures_told_in_the_rows_time()
    {
        using DisposeScope scope = NewDisposeScope();
        Refused(() => Solve(tensor(new[,] { { 0.0, 1 }, { 1, 1 } })), "*Row 1*time 1 is 1 after 1*");
        Refused(() => Solve(tensor(new[,] { { 0.0, double.NaN }, { 0, 1 } })), "*Row 0: output time 1 is NaN*");
        Refused(() => Solve(zeros(3, 2)), "*[3, 2]*[batch, times]*[2, 1]*");
        Refused(() => Solve(tensor(new[,] { { 0.0, 1 }, { 0, 1 } }), new OdeSolverOptions { Discontinuities = [0.5] }),
            "*discontinuities*each row's own*");
        Action pole = () =>
            Ode.Solve((t, y) => y * y, tensor(new[,] { { 1.0 }, { 1.0 } }),
                tensor(new[,] { { 10.0, 10.5, 20 }, { 0, 0.1, 0.2 } }), null, None);
        pole.Should().Throw<OdeSolverException>().Which.Time.Should().BeApproximately(11, 0.01);

        static void Solve(Tensor times, OdeSolverOptions? options = null) => Ode.Solve((t, y) => y, ones(2, 1), times, options).Dispose();
        static void Refused(Action act, string message) => act.Should().Throw<ArgumentException>().WithMessage(message);
    }
}
