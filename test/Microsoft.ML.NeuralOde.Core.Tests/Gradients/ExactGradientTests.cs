using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Core.Tests.Gradients;

/// <summary>The discrete adjoints against direct gradients: the same derivatives of the same discrete solution.</summary>
public class ExactGradientTests
{
    /// <summary>Methods that differ from others in their coefficients only, where these do not need many iterations to say so.</summary>
    private static readonly OdeMethod[] Costly = [OdeMethod.ImplicitEuler, OdeMethod.ImplicitMidpoint, OdeMethod.Radau3, OdeMethod.TrBdf2,
        OdeMethod.Kvaerno4, OdeMethod.Kvaerno5, OdeMethod.GaussLegendre6, OdeMethod.Auto];

    public static TheoryData<string, double?> Steps()
    {
        var data = new TheoryData<string, double?>();
        foreach (OdeMethod method in TestMethods.All.Where(method => (method.IsOneStep || method.IsReversible) && !Costly.Contains(method)))
        {
            data.Add(method.Name, 0.07);
            if (method.IsAdaptive && method is not ImplicitRungeKutta)
                data.Add(method.Name, null);
        }
        data.Add("kvaerno3", null);
        data.Add("radau5", null);
        data.Add("reversible_bosh3", null);
        data.Add("reversible_rk4", 0.1);
        return data;
    }

    public static TheoryData<string> PerRow =>
        [.. TestMethods.All.Where(method => method.IsAdaptive && method.SupportsPerRow && (method.IsOneStep || method.IsReversible))
            .Where(method => method is not ImplicitRungeKutta || method == OdeMethod.Kvaerno3).Select(method => method.Name)];

    [Theory]
    [MemberData(nameof(Steps))]
    public void Discrete_adjoints_are_the_gradients_of_the_discrete_solution(string method, double? step)
    {
        OdeSolverOptions options = Options(method) with { StepSize = step };
        NetworkGradients direct = NetworkGradients.Of(options with { Gradient = GradientMethod.Direct() });
        foreach (int? checkpoints in Checkpoints(options))
            NetworkGradients.Of(options with { Gradient = GradientMethod.Checkpointed(checkpoints) })
            .Should().Agree(direct, Tolerance(options.Method));
        if (options.Method.IsReversible)
            NetworkGradients.Of(options with { Gradient = GradientMethod.Reversible() }).Should().Agree(direct, 1e-10);
    }

    [Theory]
    [MemberData(nameof(PerRow))]
    public void They_are_so_with_step_sizes_of_each_row(string method)
    {
        OdeSolverOptions options = Options(method) with { PerRow = true };
        NetworkGradients direct = NetworkGradients.Of(options with { Gradient = GradientMethod.Direct() });
        foreach (int? checkpoints in Checkpoints(options))
            NetworkGradients.Of(options with { Gradient = GradientMethod.Checkpointed(checkpoints) })
            .Should().Agree(direct, Tolerance(options.Method));
    }

    [Theory]
    [InlineData("dopri5", false)]
    [InlineData("dopri5", true)]
    [InlineData("kvaerno3", false)]
    [InlineData("reversible_heun", false)]
    [InlineData("reversible_heun", true)]
    [InlineData("reversible_bosh3", true)]
    public void They_are_so_across_discontinuities(string method, bool perRow)
    {
        OdeSolverOptions options = Options(method) with { PerRow = perRow, Discontinuities = [0.3, 0.6] };
        NetworkGradients direct = NetworkGradients.Of(options with { Gradient = GradientMethod.Direct() });
        foreach (int? checkpoints in new int?[] { null, 2 })
            NetworkGradients.Of(options with { Gradient = GradientMethod.Checkpointed(checkpoints) })
            .Should().Agree(direct, Tolerance(options.Method));
    }

    [Fact]
    public void Auto_is_reversed_with_the_method_of_each_step()
    {
        // Fast decay to a slow curve and a harmless end: explicit steps, implicit ones, explicit ones again.
        static Tensor F(Tensor t, Tensor y, Tensor a) => -(a * (1 + (-t).exp() * 1e5)) * (y - t.cos());
        var options = new OdeSolverOptions { Method = OdeMethod.Auto, RelativeTolerance = 1e-7, AbsoluteTolerance = 1e-9 };
        (double Direct, double Discrete) = (Derivative(GradientMethod.Direct()), Derivative(GradientMethod.Checkpointed(4)));
        Discrete.Should().BeApproximately(Direct, 1e-4 * Math.Abs(Direct));

        double Derivative(GradientMethod gradient)
        {
            using Tensor a = tensor(1.5, ScalarType.Float64).requires_grad_();
            using Tensor y0 = tensor(new[] { 0.3 });
            using Tensor times = tensor(new[] { 0.0, 3.0, 6.0 });
            using OdeSolution solution = Ode.Solve((t, y) => F(t, y, a), y0, times, options with { Gradient = gradient }, [a]);
            solution.Statistics.Jacobians.Should().BePositive();
            solution.States.sum().backward();
            solution.Statistics.BackwardFailure.Should().BeNull();
            return a.grad!.ToDouble();
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void A_second_backward_pass_over_the_same_graph_gives_the_same(int checkpoints)
    {
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0").requires_grad_();
        using OdeSolution solution = Ode.Solve(network, y0, 0,
            1, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.05, Gradient = GradientMethod.Checkpointed(checkpoints) });
        using Tensor loss = solution.Final.square().sum();
        using Tensor first = autograd.grad([loss], [y0], retain_graph: true)[0];
        using Tensor second = autograd.grad([loss], [y0])[0];
        Problems.MaximumDifference(first, second).Should().Be(0);
    }

    [Fact]
    public void Float32_states_that_are_not_contiguous_are_fine()
    {
        foreach (GradientMethod gradient in new[] { GradientMethod.Checkpointed(2), GradientMethod.Adjoint() })
        {
            using Tensor y0 = linspace(0, 1, 12, ScalarType.Float32).reshape(3, 4).t().detach().requires_grad_();
            using Tensor a = tensor(0.5f).requires_grad_();
            using Tensor times = tensor(new[] { 0.0, 0.4, 1.0 });
            using OdeSolution solution = Ode.Solve((t, y) => -a * y, y0, times, new OdeSolverOptions { Gradient = gradient }, [a]);
            solution.Final.sum().backward();
            solution.Statistics.BackwardFailure.Should().BeNull();
            using Tensor exact = full_like(y0.detach(), Math.Exp(-0.5));
            Problems.MaximumDifference(y0.grad!, exact).Should().BeLessThan(1e-4);
            a.grad!.ToDouble().Should().BeApproximately(-6 * Math.Exp(-0.5), 1e-3);
        }
    }

    [Fact]
    public void Reversible_gradients_need_a_reversible_method()
    {
        var options = new OdeSolverOptions { Gradient = GradientMethod.Reversible() };
        Action validate = options.Validate;
        validate.Should().Throw<ArgumentException>().WithMessage("*'dopri5'*ReversibleHeun*ReversibleCoupling*");
        (options with { Method = OdeMethod.ReversibleCoupling(OdeMethod.Tsit5, 0.9) }).Validate();
    }

    [Fact]
    public void Couplings_and_checkpoints_that_make_no_sense_are_refused()
    {
        ((Action)(() => OdeMethod.ReversibleCoupling(OdeMethod.Radau5))).Should()
            .Throw<ArgumentException>().WithMessage("*'radau5'*explicit*");
        ((Action)(() => OdeMethod.ReversibleCoupling(OdeMethod.Dopri5, 1.5))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => GradientMethod.Checkpointed(0))).Should().Throw<ArgumentOutOfRangeException>();
        OdeMethod.Parse("Reversible_Bosh3").Order.Should().Be(3);
        ((Action)(() => OdeMethod.Parse("reversible_radau5"))).Should().Throw<ArgumentException>();
    }

    /// <summary>
    /// Loose tolerances, so that agreement to solver accuracy would not do; but the iteration of implicit methods is as exact as the
    /// tolerances ask, and through it their steps are chosen.
    /// </summary>
    private static OdeSolverOptions Options(string name)
    {
        OdeMethod method = TestMethods.Named(name);
        return new OdeSolverOptions
        {
            Method = method,
            RelativeTolerance = method is ImplicitRungeKutta ? 1e-5 : 1e-2,
            AbsoluteTolerance = method is ImplicitRungeKutta ? 1e-7 : 1e-3,
        };
    }

    private static int?[] Checkpoints(OdeSolverOptions options) => options.Method is ImplicitRungeKutta ? [null, 4] : [null, 1, 3];

    private static double Tolerance(OdeMethod method) => method is ImplicitRungeKutta ? 1e-4 : 1e-10;
}
