using Microsoft.ML.NeuralOde.Core.Tests.Support;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Core.Tests.Dynamics;

/// <summary>The fused kernels against the same network in torch operations, differentiated by autograd.</summary>
public class DenseEvaluatorTests
{
    public static TheoryData<Activation, TimeDependence, ScalarType> Kinds
    {
        get
        {
            var data = new TheoryData<Activation, TimeDependence, ScalarType>();
            foreach (Activation activation in Enum.GetValues<Activation>())
                foreach (TimeDependence time in (TimeDependence[])[TimeDependence.None, TimeDependence.Add, TimeDependence.Concatenate])
                    foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
                        data.Add(activation, time, type);
            return data;
        }
    }

    /// <summary>Sizes on both sides of every register width, and depths from none to three hidden layers.</summary>
    private static readonly (int Rows, int Features, long[] Hidden)[] Shapes =
    [
        (1, 1, []), (1, 64, [64]), (3, 2, [5]), (4, 7, [3, 9]), (5, 16, [16]), (9, 33, [17, 40, 8]), (66, 31, [70]), (130, 64, [64]),
        (131, 43, [64, 64, 64]),
        (700, 43, [64, 64]),
    ];

    [Fact]
    public void Gates_and_conditions_are_left_to_torch()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor y = randn(2, 3);
        new DenseDynamics(3, time: TimeDependence.Gate).CreateEvaluator(y).Should().BeNull();
        new DenseDynamics(3, time: TimeDependence.ConcatSquash).CreateEvaluator(y).Should().BeNull();
        new DenseDynamics(3, conditions: 2).CreateEvaluator(y).Should().BeNull();
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Values_and_derivatives_equal_those_of_torch(Activation activation, TimeDependence time, ScalarType type)
    {
        using DisposeScope scope = NewDisposeScope();
        // torch's softplus leaves ln(1 + e⁻ˣ) out beyond x = 20.
        double tolerance = type == ScalarType.Float32 ? 2e-6 : activation == Activation.Softplus ? 1e-8 : 1e-14;
        foreach ((int rows, int features, long[] hidden) in Shapes)
        {
            var dynamics = new DenseDynamics(features, hidden, activation, time);
            dynamics.to(type);
            foreach (bool perRow in new[] { false, true })
            {
                // Some inputs are far out, where activations saturate.
                Tensor y = (randn([rows, features], type) * exp(randn([rows, 1], type))).requires_grad_();
                Tensor t = (perRow ? rand([rows, 1], type) : rand([], type)).requires_grad_();
                Tensor cotangent = randn([rows, features], type);
                Tensor expected = dynamics.call(t, y);
                IList<Tensor> derivatives = autograd.grad([expected], [y, t, .. dynamics.parameters()], [cotangent], allow_unused: true);

                using DynamicsEvaluator evaluator = dynamics.CreateEvaluator(y)!;
                double[] times = [.. t.detach().reshape(-1).to(ScalarType.Float64).data<double>()];
                Tensor value = empty_like(expected.detach()), again = empty_like(value), state = empty_like(value);
                evaluator.Evaluate(times, y.detach(), value);
                using DynamicsLinearization linearization = evaluator.Linearize(times, y.detach(), again);
                var timeGradients = new double[times.Length];
                linearization.Pull(cotangent, state, timeGradients);
                Tensor[] gradients = [.. dynamics.parameters().Select(parameter => ones_like(parameter.detach()))];
                linearization.AddParameterGradients(0.5, gradients);

                string place = $"{rows} rows, {features} features, hidden [{string.Join(", ", hidden)}], times per row: {perRow}";
                Compare(value, expected, tolerance, $"value, {place}");
                Compare(again, expected, tolerance, $"linearized value, {place}");
                Compare(state, derivatives[0], tolerance, $"state, {place}");
                if (time != TimeDependence.None)
                    Compare(tensor(timeGradients, t.shape, type), derivatives[1], tolerance * features, $"time, {place}");
                for (int i = 0; i < gradients.Length; i++)
                    Compare(gradients[i], 1 + 0.5 * derivatives[2 + i], tolerance * rows, $"parameter {i}, {place}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Traces_equal_those_of_jacobians_by_autograd(Activation activation, TimeDependence time, ScalarType type)
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (long[] hidden in new long[][] { [], [5], [20, 6] })
        {
            var dynamics = new DenseDynamics(3, hidden, activation, time);
            dynamics.to(type);
            Tensor y = randn([70, 3], type).requires_grad_();
            Tensor t = tensor(0.3, type);
            Tensor value = dynamics.call(t, y);
            Tensor expected = zeros(70, type);
            for (int i = 0; i < 3; i++)
                expected += autograd.grad([value.select(1, i).sum()], [y], retain_graph: true)[0].select(1, i);
            using DynamicsEvaluator evaluator = dynamics.CreateEvaluator(y)!;
            Tensor trace = empty(70, type);
            evaluator.Trace([0.3], y.detach(), trace);
            Compare(trace, expected, type == ScalarType.Float32 ? 2e-6 : 1e-14, $"trace, hidden [{string.Join(", ", hidden)}]");
        }
    }

    [Fact]
    public void Activations_keep_their_relative_accuracy_over_the_whole_line_and_pass_nan_on()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor x = cat([linspace(-30, 30, 2001), logspace(-20, 1, 200), -logspace(-20, 1, 200),
            tensor(new[] { 0f, 86f, -86f, 1e20f, float.PositiveInfinity, float.NaN })]).reshape(-1, 1);
        foreach (Activation activation in Enum.GetValues<Activation>())
        {
            // One unit of weight 1 between layers: the network is the activation.
            var dynamics = new DenseDynamics(1, [1], activation, TimeDependence.None);
            using (no_grad())
                foreach (Parameter parameter in dynamics.parameters())
                    parameter.fill_(parameter.dim() == 2 ? 1 : 0);
            using DynamicsEvaluator evaluator = dynamics.CreateEvaluator(x)!;
            Tensor value = empty_like(x);
            evaluator.Evaluate([0], x, value);
            Tensor exact = dynamics.to(ScalarType.Float64).call(tensor(0.0), x.to(ScalarType.Float64)).detach();
            Tensor error = (value.to(ScalarType.Float64) - exact).abs() / (exact.abs() + 1e-37);
            error[..^2].max().ToDouble().Should().BeLessThan(4e-7, $"of {activation}");
            double.IsNaN(value[-1].ToDouble()).Should().BeTrue();
            if (activation != Activation.Tanh)
                double.IsPositiveInfinity(value[-2].ToDouble()).Should().BeTrue();
        }
    }

    [Fact]
    public void A_solve_sees_weights_that_changed_since_the_last()
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new DenseDynamics(8);
        Tensor y = randn(16, 8);
        for (int round = 0; round < 3; round++)
        {
            using (no_grad())
                foreach (Parameter parameter in dynamics.parameters())
                    parameter.add_(randn_like(parameter), 0.1);
            Compare(Solve(dynamics, y), Solve(new WithoutEvaluator(dynamics), y), 1e-5, $"round {round}");
        }

        static Tensor Solve(nn.Module<Tensor, Tensor, Tensor> f, Tensor y)
        {
            using IDisposable noGrad = no_grad();
            return Ode.Solve(f, y, 0, 1).Final;
        }
    }

    [Theory]
    [InlineData("adjoint")]
    [InlineData("checkpointed")]
    public void Gradients_of_a_solve_equal_those_without_the_kernels(string gradient)
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new DenseDynamics(6, [10], Activation.Softplus, TimeDependence.Concatenate);
        dynamics.to(ScalarType.Float64);
        Tensor[] fused = Gradients(dynamics);
        Tensor[] plain = Gradients(new WithoutEvaluator(dynamics));
        for (int i = 0; i < fused.Length; i++)
            Compare(fused[i], plain[i], 1e-10, $"gradient {i}");

        Tensor[] Gradients(nn.Module<Tensor, Tensor, Tensor> f)
        {
            Tensor y = linspace(-1, 1, 30, ScalarType.Float64).reshape(5, 6).requires_grad_();
            Tensor times = tensor(new[] { 0, 0.3, 1 }).requires_grad_();
            dynamics.zero_grad();
            OdeSolution solution = Ode.Solve(f, y, times, new OdeSolverOptions { Gradient = GradientMethod.Parse(gradient) });
            solution.States.sin().sum().backward();
            solution.Statistics.BackwardFailure.Should().BeNull();
            return [y.grad!, times.grad!, .. dynamics.parameters().Select(parameter => parameter.grad!.clone())];
        }
    }

    [Fact]
    public void Per_row_solves_equal_those_without_the_kernels()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        var dynamics = new DenseDynamics(4, time: TimeDependence.Concatenate);
        Tensor y = randn(40, 4) * exp(randn(40, 1));
        var options = new OdeSolverOptions { PerRow = true };
        OdeSolution fused = Ode.Solve(dynamics, y, 0, 2, options);
        OdeSolution plain = Ode.Solve(new WithoutEvaluator(dynamics), y, 0, 2, options);
        Compare(fused.Final, plain.Final, 1e-5, "final states");
        // Rounding may move a step across the tolerance.
        ((double)fused.Statistics.RowEvaluations).Should()
            .BeApproximately(plain.Statistics.RowEvaluations, 0.1 * plain.Statistics.RowEvaluations);
    }

    [Fact]
    public void What_the_kernels_are_not_made_for_is_left_to_torch()
    {
        using DisposeScope scope = NewDisposeScope();
        using var dynamics = new DenseDynamics(4);
        dynamics.CreateEvaluator(zeros(2, 3, 4)).Should().BeNull();
        dynamics.CreateEvaluator(zeros(2, 4, ScalarType.Float64)).Should().BeNull();
        dynamics.CreateEvaluator(zeros(2, 4, ScalarType.BFloat16)).Should().BeNull();
        using var wide = new DenseDynamics(4, [100_000]);
        wide.CreateEvaluator(zeros(2, 4)).Should().BeNull();
    }

    private static void Compare(Tensor actual, Tensor expected, double tolerance, string what)
    {
        Tensor error = (actual - expected.detach()).abs() / (1 + expected.detach().abs().max());
        (error.numel() == 0 ? 0 : error.max().ToDouble()).Should().BeLessThan(tolerance, what);
    }
}
