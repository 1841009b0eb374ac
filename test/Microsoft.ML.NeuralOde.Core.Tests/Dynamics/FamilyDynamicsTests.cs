using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Dynamics;

/// <summary>
/// Dynamics of positions and velocities: their own derivatives against those of torch, gradients by all methods, and what makes each of
/// them what it is.
/// </summary>
public class FamilyDynamicsTests
{
    public static TheoryData<string> Kinds => ["second order", "heavy ball", "hamiltonian", "separable"];

    /// <summary>Dynamics of a kind; a new one is a line here.</summary>
    internal static nn.Module<Tensor, Tensor, Tensor> Create(
        string kind, long positions, Activation activation = Activation.Tanh, params long[] hidden) => kind switch
        {
            "second order" => new SecondOrderDynamics(positions, hidden, activation),
            "heavy ball" => new HeavyBallDynamics(positions, hidden, activation, TimeDependence.Concatenate, maximumDamping: 3),
            "hamiltonian" => new HamiltonianDynamics(positions, hidden, activation),
            "separable" => new HamiltonianDynamics(positions, hidden, activation, isSeparable: true),
            _ => throw new ArgumentOutOfRangeException(nameof(kind)),
        };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Values_and_derivatives_equal_those_of_torch(string kind)
    {
        using DisposeScope scope = NewDisposeScope();
        foreach ((int rows, int positions, long[] hidden) in new (int, int, long[])[] { (1, 1, [3]), (5, 3, [7, 4]), (70, 2, [16]) })
            foreach (Activation activation in new[] { Activation.Tanh, Activation.Softplus, Activation.Silu })
                foreach (bool perRow in new[] { false, true })
                {
                    nn.Module<Tensor, Tensor, Tensor> dynamics = Create(kind, positions, activation, hidden).to(ScalarType.Float64);
                    Tensor y = randn([rows, 2 * positions], ScalarType.Float64).requires_grad_();
                    Tensor t = (perRow ? rand([rows, 1], ScalarType.Float64) : rand([], ScalarType.Float64)).requires_grad_();
                    Tensor cotangent = randn([rows, 2 * positions], ScalarType.Float64);
                    Tensor expected = dynamics.call(t, y);
                    IList<Tensor> derivatives =
                        autograd.grad([expected], [y, t, .. dynamics.parameters()], [cotangent], allow_unused: true);

                    using DynamicsEvaluator evaluator = ((IAnalyticDynamics)dynamics).CreateEvaluator(y.detach())!;
                    double[] times = [.. t.detach().reshape(-1).data<double>()];
                    Tensor value = empty_like(expected), again = empty_like(expected), pulled = empty_like(expected);
                    Tensor state = y.detach().clone();
                    evaluator.Evaluate(times, state, value);
                    using DynamicsLinearization linearization = evaluator.Linearize(times, state, again);
                    state.zero_();
                    var timeGradients = new double[times.Length];
                    Tensor direction = cotangent.clone();
                    linearization.Pull(direction, pulled, timeGradients);
                    direction.zero_();
                    Tensor[] gradients = [.. dynamics.parameters().Select(parameter => ones_like(parameter))];
                    linearization.AddParameterGradients(2, gradients);

                    Problems.MaximumDifference(value, expected).Should().BeLessThan(1e-8);
                    Problems.MaximumDifference(again, expected).Should().BeLessThan(1e-8);
                    Problems.MaximumDifference(pulled, derivatives[0]).Should().BeLessThan(1e-8);
                    Tensor timeGradient = derivatives[1] is { IsInvalid: false } found ? found : zeros_like(t);
                    Problems.MaximumDifference(tensor(timeGradients).reshape(t.shape), timeGradient).Should().BeLessThan(1e-8);
                    for (int i = 0; i < gradients.Length; i++)
                        Problems.MaximumDifference((gradients[i] - 1) / 2, derivatives[2 + i].reshape(gradients[i].shape))
                        .Should().BeLessThan(1e-7);
                }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Gradients_by_every_method_agree_with_the_direct_ones(string kind)
    {
        foreach (bool perRow in new[] { false, true })
        {
            using DisposeScope scope = NewDisposeScope();
            nn.Module<Tensor, Tensor, Tensor> dynamics = Create(kind, 2, Activation.Tanh, 5).to(ScalarType.Float64);
            Tensor start = randn([4, 4], ScalarType.Float64);
            Tensor[] right = Gradients(GradientMethod.Direct(), OdeMethod.Dopri5);
            foreach (GradientMethod gradient in new[]
            {
                GradientMethod.Checkpointed(), GradientMethod.Checkpointed(2), GradientMethod.Checkpointed(evaluationBytes: 0),
                GradientMethod.Adjoint(),
            })
                Agree(Gradients(gradient, OdeMethod.Dopri5), right);
            if (!perRow)
                Agree(Gradients(GradientMethod.Reversible(), OdeMethod.ReversibleCoupling(OdeMethod.Dopri5)), right);

            Tensor[] Gradients(GradientMethod gradient, OdeMethod method)
            {
                dynamics.zero_grad();
                Tensor y0 = start.clone().requires_grad_();
                var options = new OdeSolverOptions
                {
                    Method = method,
                    RelativeTolerance = 1e-9,
                    AbsoluteTolerance = 1e-10,
                    Gradient = gradient,
                    PerRow = perRow
                };
                if (method.IsReversible)
                    options = options with { StepSize = 0.01 };
                OdeSolution solution = Ode.Solve(dynamics, y0, 0, 1, options);
                solution.Final.sin().sum().backward();
                solution.Statistics.BackwardFailure.Should().BeNull();
                return [y0.grad!, .. dynamics.parameters().Select(parameter => parameter.grad!.clone())];
            }
        }

        static void Agree(Tensor[] found, Tensor[] right)
        {
            for (int i = 0; i < right.Length; i++)
                Problems.MaximumDifference(found[i], right[i]).Should().BeLessThan(1e-6);
        }
    }

    [Fact]
    public void A_linear_second_order_equation_is_the_oscillator_that_it_says()
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new SecondOrderDynamics(1, [], time: TimeDependence.None).to(ScalarType.Float64);
        Set(dynamics, ("acceleration.weight0", [-4.0, -0.4]), ("acceleration.bias0", [0.0]));
        // z″ = −4 z − 0.4 z′, z(0) = 1, z′(0) = 0.
        double rate = 0.2, frequency = Math.Sqrt(4 - rate * rate), time = 1.7;
        OdeSolution solution = Ode.Solve(dynamics, tensor(new[] { 1.0, 0.0 }, [1, 2]), 0, time, Tight);
        solution.Final[0, 0].ToDouble().Should().BeApproximately(
            Math.Exp(-rate * time) * (Math.Cos(frequency * time) + rate / frequency * Math.Sin(frequency * time)), 1e-8);
    }

    [Fact]
    public void Heavy_balls_lose_their_energy_to_the_friction_that_is_learned()
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new HeavyBallDynamics(1, [], time: TimeDependence.None, maximumDamping: 2);
        dynamics.to(ScalarType.Float64);
        // f = 0 and γ = 2 σ(ω) = 0.5: m(t) = e^(−γt), z(t) = (1 − e^(−γt)) / γ.
        Set(dynamics, ("force.weight0", [0.0]), ("force.bias0", [0.0]), ("damping", [Math.Log(0.25 / 0.75)]));
        dynamics.Damping.Should().BeApproximately(0.5, 1e-12);
        OdeSolution solution = Ode.Solve(dynamics, tensor(new[] { 0.0, 1.0 }, [1, 2]), 0, 3, Tight);
        solution.Final[0, 0].ToDouble().Should().BeApproximately((1 - Math.Exp(-1.5)) / 0.5, 1e-8);
        solution.Final[0, 1].ToDouble().Should().BeApproximately(Math.Exp(-1.5), 1e-8);
    }

    [Theory]
    [InlineData(false, "gl4")]
    [InlineData(true, "leapfrog")]
    [InlineData(true, "gl4")]
    public void Hamiltonian_energies_stay(bool isSeparable, string method)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        manual_seed(3);
        var dynamics = new HamiltonianDynamics(2, [16], isSeparable: isSeparable);
        dynamics.to(ScalarType.Float64);
        Tensor y0 = randn([3, 4], ScalarType.Float64), before = dynamics.Energy(y0);
        OdeSolution solution = Ode.Solve(dynamics, y0, 0, 200, new OdeSolverOptions { Method = OdeMethod.Parse(method), StepSize = 0.1 });
        Problems.MaximumDifference(dynamics.Energy(solution.Final), before).Should().BeLessThan(1e-4);
        Problems.MaximumDifference(solution.Final, y0).Should().BeGreaterThan(0.1);
    }

    /// <summary>Störmer–Verlet written out for H = T(p) + V(q), with derivatives by autograd.</summary>
    [Fact]
    public void Leapfrog_steps_of_a_separable_energy_are_those_of_the_textbook()
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new HamiltonianDynamics(2, [5], isSeparable: true);
        dynamics.to(ScalarType.Float64);
        Tensor q = randn([3, 2], ScalarType.Float64), p = randn([3, 2], ScalarType.Float64);
        OdeSolution solution =
            Ode.Solve(dynamics, cat([q, p], 1), 0, 0.3, new OdeSolverOptions { Method = OdeMethod.Leapfrog, StepSize = 0.1 });
        for (int i = 0; i < 3; i++)
        {
            p = p - 0.05 * Slope(q, p, 0);
            q = q + 0.1 * Slope(q, p, 1);
            p = p - 0.05 * Slope(q, p, 0);
        }
        Problems.MaximumDifference(solution.Final, cat([q, p], 1)).Should().BeLessThan(1e-12);

        Tensor Slope(Tensor q, Tensor p, int of)
        {
            Tensor[] parts = [q.detach().requires_grad_(), p.detach().requires_grad_()];
            return autograd.grad([dynamics.Energy(cat(parts, 1)).sum()], [parts[of]])[0].detach();
        }
    }

    [Theory]
    [InlineData("leapfrog")]
    [InlineData("semi_implicit_euler")]
    public void Energies_that_are_not_separable_are_refused_where_they_would_not_be_kept(string method)
    {
        using var dynamics = new HamiltonianDynamics(1);
        using Tensor y0 = ones(1, 2);
        Action solve = () => Ode.Solve(dynamics, y0, 0, 1, new OdeSolverOptions { Method = OdeMethod.Parse(method), StepSize = 0.1 });
        solve.Should().Throw<ArgumentException>().WithMessage($"*{method}*T(p) + V(q)*isSeparable*ImplicitMidpoint*");
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void States_of_another_width_are_refused_by_name(string kind)
    {
        using nn.Module<Tensor, Tensor, Tensor> dynamics = Create(kind, 2, Activation.Tanh, 3);
        foreach (long[] shape in new long[][] { [3, 2], [3, 5], [] })
        {
            using Tensor y0 = ones(shape);
            Action call = () => dynamics.call(zeros(1), y0);
            call.Should().Throw<ArgumentException>().WithMessage("*[batch, 4]*2 positions*");
        }
        using Tensor doubles = ones([3, 4], ScalarType.Float64);
        Action other = () => dynamics.call(zeros(1), doubles);
        other.Should().Throw<ArgumentException>().WithMessage("*Float64*");
    }

    [Fact]
    public void Sizes_and_activations_that_make_no_sense_are_refused()
    {
        foreach (Action create in new Action[]
        {
            () => _ = new SecondOrderDynamics(0), () =>
            _ = new HeavyBallDynamics(-1), () => _ = new HamiltonianDynamics(0), () => _ = new SecondOrderDynamics(1, [0]),
            () => _ = new HeavyBallDynamics(1, maximumDamping: 0), () =>
            _ = new HeavyBallDynamics(1, maximumDamping: double.NaN), () => _ = new HamiltonianDynamics(1, []),
            () => _ = new HamiltonianDynamics(1, [-3]), () => _ = new HamiltonianDynamics(1, activation: Activation.Relu),
        })
            create.Should().Throw<ArgumentException>();
    }

    private static OdeSolverOptions Tight => new() { RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-11 };

    private static void Set(nn.Module module, params (string Name, double[] Values)[] values)
    {
        using IDisposable noGrad = no_grad();
        Dictionary<string, TorchSharp.Modules.Parameter> parameters =
            module.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter);
        foreach ((string name, double[] numbers) in values)
            parameters[name].copy_(tensor(numbers).reshape(parameters[name].shape));
    }
}
