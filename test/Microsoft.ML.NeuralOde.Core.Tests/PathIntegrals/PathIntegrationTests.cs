using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.PathIntegrals;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Core.Tests.PathIntegrals;

/// <summary>Weights of penalties one by one and together, the choice of the estimator, and integrals in the control of errors.</summary>
public class PathIntegrationTests
{
    /// <summary>Each weight: its name, penalties that have it alone.</summary>
    public static TheoryData<string, Func<double, PathRegularization>> Weights => new()
    {
        { nameof(PathRegularization.KineticEnergy), weight => new() { KineticEnergy = weight } },
        { nameof(PathRegularization.JacobianNorm), weight => new() { JacobianNorm = weight } },
        { nameof(PathRegularization.ErrorEstimate), weight => new() { ErrorEstimate = weight } },
        { nameof(PathRegularization.Stiffness), weight => new() { Stiffness = weight } },
    };

    [Theory]
    [MemberData(nameof(Weights), DisableDiscoveryEnumeration = true)]
    public void A_weight_is_zero_or_a_positive_number_and_alone_makes_a_penalty(string name, Func<double, PathRegularization> of)
    {
        foreach (double good in new[] { 0, 1e-300, 1, double.MaxValue })
        {
            of(good).Validate();
            of(good).IsActive.Should().Be(good > 0);
        }
        foreach (double bad in new[] { -double.Epsilon, -1, double.NaN, double.PositiveInfinity, double.NegativeInfinity })
            FluentActions.Invoking(() => of(bad).Validate()).Should().Throw<ArgumentException>()
                .WithMessage($"PathRegularization.{name} is {bad}; it must be zero or a positive number*");
        (of(1) with { Estimator = null! }).Invoking(each => each.Validate()).Should().Throw<ArgumentException>()
            .WithMessage("PathRegularization.Estimator is null; it must be an estimator*");
        (of(0) == PathRegularization.None).Should().BeTrue();
    }

    [Theory]
    [MemberData(nameof(Weights), DisableDiscoveryEnumeration = true)]
    public void Penalties_are_proportional_to_their_weight_and_add_up(string name, Func<double, PathRegularization> of)
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new Linear3();
        Tensor y = tensor(new[] { 1.0, 2, -1, 0.5, 0, 3 }, [2, 3]);
        double one = Penalty(of(1));
        one.Should().BePositive();
        Penalty(of(2.5)).Should().BeApproximately(2.5 * one, 1e-9 * one, name);
        // Steps of the same size, and pairs that look at the same state: what the others cost does not change.
        double Alone(int row) => Penalty(((Func<double, PathRegularization>)Weights.ElementAt(row)[1])(1));
        Penalty(new() { KineticEnergy = 1, JacobianNorm = 1 }).Should().BeApproximately(Alone(0) + Alone(1), 1e-9);
        Penalty(new() { ErrorEstimate = 1, Stiffness = 1 }).Should().BeApproximately(Alone(2) + Alone(3), 1e-9);

        double Penalty(PathRegularization regularization) => (regularization with { Estimator = TraceEstimator.Exact }).Solve(
            dynamics, y, 0, 1, new OdeSolverOptions { StepSize = 0.25, Gradient = GradientMethod.Direct() }).Penalty.ToDouble();
    }

    [Fact]
    public void What_cannot_be_solved_is_named()
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new Linear3();
        var penalty = new PathRegularization { KineticEnergy = 1 };
        penalty.Invoking(each => each.Solve(dynamics, zeros([2, 3], ScalarType.Int64), 0, 1)).Should().Throw<ArgumentException>()
            .WithMessage("The initial state has type Int64; it must be a floating-point tensor*");
        penalty.Invoking(each => each.Solve(dynamics, tensor(1.0), 0, 1)).Should().Throw<ArgumentException>()
            .WithMessage("The initial state is a scalar; its first dimension must be the batch.*");
        var events = new OdeSolverOptions { Events = [new OdeEvent((_, y) => y.sum())], Gradient = GradientMethod.Direct() };
        new PathRegularization { Stiffness = 1 }.Invoking(each => each.Solve(dynamics, ones(1, 3), 0, 1, events)).Should()
            .Throw<ArgumentException>().WithMessage("PathRegularization.Stiffness is not to be had together with events.*");
    }

    /// <summary>
    /// Features of an equation y′ = A y whose Jacobian's squared norm is estimated or exact: where nobody says, it is exact up to four
    /// features, and in evaluation.
    /// </summary>
    [Theory]
    [InlineData(4, true, true)]
    [InlineData(5, true, false)]
    [InlineData(5, false, true)]
    public void Without_a_choice_norms_are_exact_in_few_dimensions_and_in_evaluation(int features, bool isTraining, bool isExact)
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new Linear3(features);
        dynamics.train(isTraining);
        double expected = dynamics.Matrix.square().sum().ToDouble();
        Tensor y = ones([1, features], ScalarType.Float64);
        double[] norms = [.. Enumerable.Range(1, 8).Select(seed =>
        {
            manual_seed(seed).Dispose();
            return Solve(dynamics, y, PathQuantities.JacobianNorm, TraceEstimator.Auto).JacobianNorm!.ToDouble();
        })];
        norms.All(norm => Math.Abs(norm - expected) < 1e-9).Should().Be(isExact, string.Join(' ', norms));
    }

    /// <summary>The trace of dense layers is cheap up to three of them; a norm is not.</summary>
    [Theory]
    [InlineData(2, "Divergence", true)]
    [InlineData(3, "Divergence", false)]
    [InlineData(2, "Divergence, JacobianNorm", false)]
    public void Without_a_choice_the_trace_of_few_layers_is_exact(int hidden, string names, bool isExact)
    {
        PathQuantities quantities = Enum.Parse<PathQuantities>(names);
        using DisposeScope scope = NewDisposeScope();
        manual_seed(7).Dispose();
        var dynamics = new DenseDynamics(6, [.. Enumerable.Repeat(5, hidden)]);
        dynamics.train();
        Tensor y = randn(3, 6);
        Tensor exact = Solve(dynamics, y, quantities, TraceEstimator.Exact).Divergence!;
        double[] differences = [.. Enumerable.Range(1, 4).Select(seed =>
        {
            manual_seed(seed).Dispose();
            return Problems.MaximumDifference(Solve(dynamics, y, quantities, TraceEstimator.Auto).Divergence!, exact);
        })];
        differences.All(difference => difference < 1e-5).Should().Be(isExact, string.Join(' ', differences));
    }

    [Fact]
    public void Integrals_that_are_not_controlled_leave_the_steps_those_of_the_state_alone()
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new Linear3();
        Tensor y = tensor(new[] { 1e-3, 2e-3, -1e-3, 5e-4, 0, 3e-3 }, [2, 3]);
        foreach (ErrorNorm norm in new[] { ErrorNorm.Rms, ErrorNorm.Maximum })
        {
            var options = new OdeSolverOptions { Norm = norm, RelativeTolerance = 1e-7, AbsoluteTolerance = 1e-9 };
            using OdeSolution plain = Ode.Solve(dynamics, y, 0, 2, options);
            PathResult free = Solve(false), controlled = Solve(true);
            (free.Statistics.AcceptedSteps, free.Statistics.RejectedSteps).Should()
                .Be((plain.Statistics.AcceptedSteps, plain.Statistics.RejectedSteps));
            Problems.MaximumDifference(free.State, plain.Final).Should().BeLessThan(1e-15);
            // What is exact to the digit of the controlled one.
            Problems.MaximumDifference(free.KineticEnergy!, controlled.KineticEnergy!).Should().BeLessThan(1e-8);

            PathResult Solve(bool control) => PathIntegration.Solve(
                dynamics, y, 0, 2, options, PathQuantities.KineticEnergy, TraceEstimator.Exact, controlIntegrals: control);
        }
    }

    [Fact]
    public void Integrals_that_are_controlled_are_exact_where_the_state_needs_no_care()
    {
        using DisposeScope scope = NewDisposeScope();
        // y′ = y cos 20t from 0 stays there, and ‖∂f/∂y‖² is 2 cos² 20t in two dimensions.
        Tensor y = zeros([1, 2], ScalarType.Float64);
        double expected = 3 + Math.Sin(120) / 40;
        PathResult controlled = Solve(true), free = Solve(false);
        controlled.JacobianNorm!.ToDouble().Should().BeApproximately(expected, 1e-5);
        free.Statistics.AcceptedSteps.Should().BeLessThan(controlled.Statistics.AcceptedSteps / 3);

        PathResult Solve(bool control) => PathIntegration.Solve(
            new Oscillating(), y, 0, 3, new OdeSolverOptions { RelativeTolerance = 1e-7, AbsoluteTolerance = 1e-9 },
            PathQuantities.JacobianNorm, TraceEstimator.Exact, controlIntegrals: control);
    }

    [Fact]
    public void Times_are_as_exact_as_the_state()
    {
        using DisposeScope scope = NewDisposeScope();
        // 0.1 and 0.7 are no float32 numbers.
        PathResult result = PathIntegration.Solve(
            new Oscillating(), ones([1, 1], ScalarType.Float64), 0.1, 0.7,
            new OdeSolverOptions { RelativeTolerance = 1e-12, AbsoluteTolerance = 1e-13, Method = OdeMethod.Dopri8 },
            PathQuantities.None, TraceEstimator.Exact);
        result.State.ToDouble().Should().BeApproximately(Math.Exp((Math.Sin(14) - Math.Sin(2)) / 20), 1e-12);
    }

    [Theory]
    [InlineData("checkpointed")]
    [InlineData("adjoint")]
    public void Conditions_get_their_gradients_along_a_path(string gradient)
    {
        using DisposeScope scope = NewDisposeScope();
        manual_seed(3).Dispose();
        var dynamics = new DenseDynamics(3, [5], conditions: 2);
        dynamics.to(ScalarType.Float64);
        Tensor y = randn(4, 3, ScalarType.Float64), condition = randn(4, 2, ScalarType.Float64);
        Tensor expected = Gradient(GradientMethod.Direct());
        expected.abs().max().ToDouble().Should().BeGreaterThan(1e-3);
        Problems.MaximumDifference(Gradient(GradientMethod.Parse(gradient)), expected).Should().BeLessThan(1e-6);

        Tensor Gradient(GradientMethod by)
        {
            Tensor input = condition.detach().clone().requires_grad_();
            PathResult path = PathIntegration.Solve(
                dynamics, y, 0, 1, new OdeSolverOptions { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-11, Gradient = by },
                PathQuantities.Divergence, TraceEstimator.Exact, input);
            (path.State.square().sum() + path.Divergence!.sum()).backward();
            return input.grad!;
        }
    }

    /// <summary>Conditions that dynamics take, the shape of one that is given, and what is said of it.</summary>
    [Theory]
    [InlineData(2, new long[] { 4, 2, 1 }, "*has shape [4, 2, 1]; it must be [4, 2].*")]
    [InlineData(1, new long[] { 4 }, "*has shape [4]; it must be [4, 1].*")]
    [InlineData(2, new long[] { 3, 2 }, "*has shape [3, 2]; it must be [4, 2].*")]
    [InlineData(2, new long[] { 4, 1 }, "*has shape [4, 1]; it must be [4, 2].*")]
    [InlineData(0, new long[] { 4, 2 }, "*has shape [4, 2]; these dynamics take none.*")]
    [InlineData(2, null, "*is missing; it must be [4, 2].*")]
    public void A_condition_of_another_shape_is_refused(int conditions, long[]? shape, string message)
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new DenseDynamics(3, conditions: conditions);
        FluentActions.Invoking(() => PathIntegration.Solve(dynamics, randn(4, 3), 0, 1, new(), PathQuantities.None, TraceEstimator.Exact,
            shape is null ? null : randn(shape))).Should().Throw<ArgumentException>().WithMessage(message);
    }

    /// <summary>
    /// Of a diagonal matrix k steps of the power iteration from v find √(Σ σ⁴ᵏ⁺² v² / Σ σ⁴ᵏ v²), whose square converges to the largest σ².
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Singular_values_are_those_of_so_many_steps_of_the_power_iteration(int iterations)
    {
        using DisposeScope scope = NewDisposeScope();
        double[] sigma = [1, 2, 1.5], start = [.. Enumerable.Range(1, 3).Select(i => Math.Cos(i) + 1.5)];
        using var layer = nn.Linear(3, 3, dtype: ScalarType.Float64);
        using (no_grad())
            layer.weight!.copy_(diag(tensor(sigma)));
        double Sum(int power) => sigma.Zip(start, (s, v) => Math.Pow(s, power) * v * v).Sum();
        SpectralNorm.Penalty(layer, iterations).ToDouble().Should()
            .BeApproximately(Sum(4 * iterations + 2) / Sum(4 * iterations), 1e-9);
    }

    [Fact]
    public void Filters_count_as_matrices_of_one_row_a_channel_and_zeros_have_finite_gradients()
    {
        using DisposeScope scope = NewDisposeScope();
        using var layer = nn.Conv2d(2, 3, 3);
        using (no_grad())
            layer.weight!.zero_()[1, 1, 2, 0] = tensor(-3f);
        using Tensor penalty = SpectralNorm.Penalty(layer);
        penalty.ToDouble().Should().BeApproximately(9, 1e-5);
        using (no_grad())
            layer.weight!.zero_();
        using Tensor none = SpectralNorm.Penalty(layer);
        none.backward();
        none.ToDouble().Should().Be(0);
        layer.weight!.grad!.isfinite().all().ToDouble().Should().Be(1);
    }

    private static PathResult Solve(Module<Tensor, Tensor, Tensor> dynamics, Tensor y, PathQuantities quantities, TraceEstimator trace) =>
        PathIntegration.Solve(dynamics, y, 0, 1, new OdeSolverOptions { StepSize = 0.25 }, quantities, trace);

    /// <summary>y′ = y cos 20t.</summary>
    private sealed class Oscillating() : Module<Tensor, Tensor, Tensor>(nameof(Oscillating))
    {
        public override Tensor forward(Tensor t, Tensor y) => y * (20 * t).cos();
    }

    /// <summary>y′ = A y.</summary>
    private sealed class Linear3 : Module<Tensor, Tensor, Tensor>
    {
        public Linear3(int size = 3)
            : base(nameof(Linear3)) => Matrix = arange(size * size, ScalarType.Float64).reshape(size, size).sin();

        public Tensor Matrix { get; }

        public override Tensor forward(Tensor t, Tensor y) => y.matmul(Matrix.t());
    }
}
