using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Kernels;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Core.Tests.Dynamics;

/// <summary>The kernels against the same network in torch operations, differentiated by autograd.</summary>
public sealed class ConvolutionalEvaluatorTests : IDisposable
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

    /// <summary>
    /// Channels on both sides of every register width, images that tiles of 2, 3 and 4 positions cover with and without remainder, batches
    /// of one image, of less than a block and of several.
    /// </summary>
    private static readonly (int Rows, int Channels, int Groups, int Height, int Width)[] Shapes =
    [
        (1, 1, 1, 3, 4), (3, 3, 1, 5, 7), (2, 3, 3, 2, 2), (5, 6, 3, 4, 8), (1, 64, 32, 6, 6), (33, 16, 4, 6, 6), (2, 65, 13, 3, 9),
        (70, 4, 2, 7, 4), (3, 2, 2, 26, 30),
    ];

    /// <summary>The same numbers each time: where rounding moves an input across ReLU's kink, derivatives are others.</summary>
    private readonly Generator _generator = new(1);

    public void Dispose() => _generator.Dispose();

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Values_and_derivatives_equal_those_of_torch(Activation activation, TimeDependence time, ScalarType type)
    {
        using DisposeScope scope = NewDisposeScope();
        // torch's softplus leaves ln(1 + e⁻ˣ) out beyond x = 20.
        double tolerance = type == ScalarType.Float32 ? 1e-5 : activation == Activation.Softplus ? 1e-7 : 1e-13;
        foreach ((int rows, int channels, int groups, int height, int width) in Shapes)
        {
            using ConvolutionalDynamics dynamics = Create(channels, groups, activation, time, type);
            foreach (bool perRow in new[] { false, true })
            {
                string place = $"{rows} images of {channels} x {height} x {width} in {groups} groups, times per row: {perRow}";
                Tensor y = Normal(type, rows, channels, height, width).requires_grad_();
                Tensor t = (perRow ? Normal(type, rows, 1, 1, 1) : Normal(type)).requires_grad_();
                Tensor cotangent = Normal(type, rows, channels, height, width);
                Tensor expected = dynamics.call(t, y);
                IList<Tensor> derivatives = autograd.grad([expected], [y, t, .. dynamics.parameters()], [cotangent], allow_unused: true);
                using DynamicsEvaluator evaluator = dynamics.CreateEvaluator(y)!;
                Results results = Evaluate(dynamics, evaluator, y.detach(), t.detach(), cotangent);

                Compare(results.Value, expected, tolerance, $"value, {place}");
                Compare(results.Linearized, expected, tolerance, $"linearized value, {place}");
                // A group with little variance makes derivatives large, and errors with them.
                Compare(results.State, derivatives[0], 5 * tolerance, $"state, {place}");
                if (time != TimeDependence.None)
                    Compare(results.Times, derivatives[1].reshape(-1), 5 * tolerance * cotangent.square().sum().sqrt().ToDouble(),
                        $"time, {place}");
                int i = 2;
                foreach ((string name, _) in dynamics.named_parameters())
                    Compare(results.Gradients[i - 2], 1 + 0.5 * derivatives[i++], 5 * tolerance * Math.Sqrt(rows * height * width),
                        $"{name}, {place}");
            }
        }
    }

    [Fact]
    public void Results_do_not_depend_on_the_number_of_threads_nor_a_row_on_its_neighbours()
    {
        using DisposeScope scope = NewDisposeScope();
        using ConvolutionalDynamics dynamics = Create(32, 4, Activation.Silu, TimeDependence.Concatenate, ScalarType.Float32);
        Tensor y = Normal(ScalarType.Float32, 150, 32, 6, 6), t = Normal(ScalarType.Float32, 150, 1, 1, 1),
            cotangent = Normal(ScalarType.Float32, 150, 32, 6, 6);
        int threads = get_num_threads();
        Results[] results = new Results[3];
        try
        {
            for (int i = 0; i < results.Length; i++)
            {
                set_num_threads(i + 1);
                using DynamicsEvaluator evaluator = dynamics.CreateEvaluator(y)!;
                results[i] = Evaluate(dynamics, evaluator, y, t, cotangent);
            }
        }
        finally
        {
            set_num_threads(threads);
        }
        foreach (Results other in results.AsSpan(1))
            foreach ((Tensor one, Tensor many) in results[0].All.Zip(other.All))
                one.bytes.SequenceEqual(many.bytes).Should().BeTrue();
        using DynamicsEvaluator again = dynamics.CreateEvaluator(y)!;
        Results alone = Evaluate(dynamics, again, y[100..101].clone(), t[100..101].clone(), cotangent[100..101].clone());
        Compare(alone.Value, results[0].Value[100..101], 1e-6, "value of a row alone");
        Compare(alone.State, results[0].State[100..101], 1e-6, "derivative of a row alone");
    }

    [Fact]
    public void Several_linearizations_may_be_alive_and_states_may_change()
    {
        using DisposeScope scope = NewDisposeScope();
        using ConvolutionalDynamics dynamics = Create(3, 1, Activation.Tanh, TimeDependence.Add, ScalarType.Float32);
        Tensor first = Normal(ScalarType.Float32, 4, 3, 5, 5), second = Normal(ScalarType.Float32, 4, 3, 5, 5),
            cotangent = Normal(ScalarType.Float32, 4, 3, 5, 5);
        using DynamicsEvaluator evaluator = dynamics.CreateEvaluator(first)!;
        Tensor before = evaluator.Pulled(first, cotangent);
        Tensor value = empty_like(first), after = empty_like(first);
        using DynamicsLinearization one = evaluator.Linearize([0.5], first, value);
        first.zero_();
        using DynamicsLinearization two = evaluator.Linearize([0.1], second, value);
        two.Pull(cotangent, after, default);
        one.Pull(cotangent, after, default);
        Compare(after, before, 1e-7, "the first point's derivative");
    }

    [Fact]
    public void The_smallest_work_is_chosen_for_an_image()
    {
        FilterKernels<float>.For(6, 6).Outputs.Should().Be(3);
        FilterKernels<float>.For(8, 8).Outputs.Should().Be(4);
        FilterKernels<float>.For(2, 2).Outputs.Should().Be(2);
    }

    [Fact]
    public void A_solve_sees_weights_that_changed_since_the_last_and_images_of_another_size()
    {
        using DisposeScope scope = NewDisposeScope();
        using ConvolutionalDynamics dynamics = Create(6, 2, Activation.Relu, TimeDependence.Concatenate, ScalarType.Float32);
        for (int round = 0; round < 3; round++)
        {
            Randomize(dynamics);
            foreach (int size in new[] { 5, 6, 5 })
            {
                using IDisposable noGrad = no_grad();
                Tensor y = Normal(ScalarType.Float32, 3, 6, size, 7);
                Compare(Ode.Solve(dynamics, y, 0, 1).Final, Ode.Solve(new WithoutEvaluator(dynamics), y, 0, 1).Final, 1e-4,
                    $"round {round}, size {size}");
            }
        }
    }

    [Theory]
    [InlineData("direct")]
    [InlineData("adjoint")]
    [InlineData("checkpointed")]
    [InlineData("reversible")]
    public void Gradients_of_a_solve_equal_those_without_the_kernels(string gradient)
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (TimeDependence time in (TimeDependence[])[TimeDependence.None, TimeDependence.Add, TimeDependence.Concatenate])
        {
            using ConvolutionalDynamics dynamics = Create(6, 3, Activation.Softplus, time, ScalarType.Float64);
            Tensor start = Normal(ScalarType.Float64, 5, 6, 6, 5);
            Tensor[] analytic = Gradients(dynamics);
            Tensor[] plain = Gradients(new WithoutEvaluator(dynamics));
            int i = 0;
            foreach (string name in dynamics.named_parameters().Select(parameter => parameter.name).Prepend("times").Prepend("state"))
                Compare(analytic[i], plain[i++], 1e-6, $"{name}, {time}");

            Tensor[] Gradients(nn.Module<Tensor, Tensor, Tensor> f)
            {
                Tensor y = start.detach().clone().requires_grad_();
                Tensor times = tensor(new[] { 0, 0.3, 1 }).requires_grad_();
                dynamics.zero_grad();
                OdeSolution solution = Ode.Solve(f, y, times, new OdeSolverOptions
                {
                    Gradient = GradientMethod.Parse(gradient),
                    Method = gradient == "reversible" ? OdeMethod.ReversibleHeun : OdeMethod.Dopri5,
                    RelativeTolerance = 1e-4,
                    AbsoluteTolerance = 1e-4,
                });
                solution.States.sin().sum().backward();
                solution.Statistics.BackwardFailure.Should().BeNull();
                return [y.grad!, times.grad!, .. dynamics.parameters().Select(parameter => parameter.grad!.clone())];
            }
        }
    }

    [Fact]
    public void Second_derivatives_go_through_torch()
    {
        using DisposeScope scope = NewDisposeScope();
        using ConvolutionalDynamics dynamics = Create(2, 1, Activation.Tanh, TimeDependence.Concatenate, ScalarType.Float64);
        Tensor start = Normal(ScalarType.Float64, 2, 2, 4, 4);
        Tensor[] values = [.. new nn.Module<Tensor, Tensor, Tensor>[] { dynamics, new WithoutEvaluator(dynamics) }.Select(Second)];
        Compare(values[0], values[1], 1e-10, "second derivative");
        values[0].abs().max().ToDouble().Should().BePositive();

        Tensor Second(nn.Module<Tensor, Tensor, Tensor> f)
        {
            Tensor y = start.clone().requires_grad_();
            Tensor end = Ode.Solve(f, y, 0, 1, new OdeSolverOptions { Gradient = GradientMethod.Direct() }).Final;
            Tensor first = autograd.grad([end.sin().sum()], [y], retain_graph: true, create_graph: true)[0];
            return autograd.grad([first.square().sum()], [y])[0];
        }
    }

    [Fact]
    public void Per_row_solves_equal_those_without_the_kernels()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using ConvolutionalDynamics dynamics = Create(4, 2, Activation.Silu, TimeDependence.Concatenate, ScalarType.Float64);
        Tensor y = Normal(ScalarType.Float64, 20, 4, 5, 6);
        var options = new OdeSolverOptions { PerRow = true };
        OdeSolution analytic = Ode.Solve(dynamics, y, 0, 1, options);
        OdeSolution plain = Ode.Solve(new WithoutEvaluator(dynamics), y, 0, 1, options);
        Compare(analytic.Final, plain.Final, 1e-9, "final states");
        analytic.Statistics.RowEvaluations.Should().Be(plain.Statistics.RowEvaluations);
    }

    [Fact]
    public void What_the_kernels_are_not_made_for_is_left_to_torch()
    {
        using DisposeScope scope = NewDisposeScope();
        using var dynamics = new ConvolutionalDynamics(4);
        dynamics.CreateEvaluator(zeros(2, 4, 6)).Should().BeNull();
        dynamics.CreateEvaluator(zeros(2, 3, 6, 6)).Should().BeNull();
        dynamics.CreateEvaluator(zeros(0, 4, 6, 6)).Should().BeNull();
        dynamics.CreateEvaluator(zeros([2, 4, 6, 6], ScalarType.Float64)).Should().BeNull();
        dynamics.CreateEvaluator(zeros([2, 4, 6, 6], ScalarType.BFloat16)).Should().BeNull();
        using var single = new ConvolutionalDynamics(1);
        single.CreateEvaluator(zeros(2, 1, 28, 28)).Should().BeNull();
        single.CreateEvaluator(zeros(2, 1, 6, 6)).Should().NotBeNull();
        using var rounded = new ConvolutionalDynamics(4, convolutionType: ScalarType.BFloat16);
        rounded.CreateEvaluator(zeros(2, 4, 6, 6)).Should().BeNull();
    }

    private ConvolutionalDynamics Create(int channels, int groups, Activation activation, TimeDependence time, ScalarType type)
    {
        var dynamics = new ConvolutionalDynamics(channels, groups, activation, time);
        dynamics.to(type);
        Randomize(dynamics);
        return dynamics;
    }

    private void Randomize(ConvolutionalDynamics dynamics)
    {
        using IDisposable noGrad = no_grad();
        foreach ((string name, Parameter parameter) in dynamics.named_parameters())
            parameter.copy_(
                Normal(parameter.dtype, parameter.shape) * 0.2 + (name.StartsWith("norm_weight", StringComparison.Ordinal) ? 1 : 0));
    }

    private Tensor Normal(ScalarType type, params long[] shape) => randn(shape, type, generator: _generator);

    private static Results Evaluate(ConvolutionalDynamics dynamics, DynamicsEvaluator evaluator, Tensor y, Tensor t, Tensor cotangent)
    {
        double[] times = [.. t.reshape(-1).to(ScalarType.Float64).data<double>()];
        Tensor value = empty_like(y), linearized = empty_like(y), state = empty_like(y);
        evaluator.Evaluate(times, y, value);
        using DynamicsLinearization linearization = evaluator.Linearize(times, y, linearized);
        var timeGradients = new double[times.Length];
        linearization.Pull(cotangent, state, timeGradients);
        Tensor[] gradients = [.. dynamics.parameters().Select(parameter => ones_like(parameter.detach()))];
        linearization.AddParameterGradients(0.5, gradients);
        return new Results(value, linearized, state, tensor(timeGradients, y.dtype), gradients);
    }

    private static void Compare(Tensor actual, Tensor expected, double tolerance, string what)
    {
        Tensor error = (actual - expected.detach()).abs() / (1 + expected.detach().abs().max());
        error.max().ToDouble().Should().BeLessThan(tolerance, what);
    }

    private sealed record Results(Tensor Value, Tensor Linearized, Tensor State, Tensor Times, Tensor[] Gradients)
    {
        public IEnumerable<Tensor> All => [Value, Linearized, State, Times, .. Gradients];
    }
}

internal static class EvaluatorExtensions
{
    public static Tensor Pulled(this DynamicsEvaluator evaluator, Tensor state, Tensor cotangent)
    {
        Tensor value = empty_like(state), result = empty_like(state);
        using DynamicsLinearization linearization = evaluator.Linearize([0.5], state, value);
        linearization.Pull(cotangent, result, default);
        return result;
    }
}
