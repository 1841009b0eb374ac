using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.PathIntegrals;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Core.Tests.Dynamics;

/// <summary>What dynamics compute, against the formula that they are documented by, and after changes of their parameters.</summary>
public class DynamicsAmountTests
{
    /// <summary>Without hidden layers: W y + b + V (t, sin πt, …, sin Kπt, cos πt, …, cos Kπt).</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Fourier_numbers_of_time_are_its_sines_and_cosines(bool perRow)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        var dynamics = new DenseDynamics(2, [], time: TimeDependence.Fourier);
        dynamics.to(ScalarType.Float64);
        foreach (Parameter parameter in dynamics.parameters())
            parameter.copy_(randn_like(parameter));
        double[,] w = Numbers("weight0"), v = Numbers("time_weight0");
        double[] b = dynamics.get_parameter("bias0")!.data<double>().ToArray();
        int frequencies = (v.GetLength(1) - 1) / 2;
        frequencies.Should().BeGreaterThan(1);
        double[] times = perRow ? [0.3, -1.7, 0.05] : [0.3, 0.3, 0.3];
        Tensor y = randn(3, 2, ScalarType.Float64);
        Tensor found = dynamics.call(perRow ? tensor(times).reshape(3, 1) : tensor(0.3), y);
        for (int row = 0; row < 3; row++)
            for (int o = 0; o < 2; o++)
            {
                double t = times[row], expected = b[o] + w[o, 0] * y[row, 0].ToDouble() + w[o, 1] * y[row, 1].ToDouble() + v[o, 0] * t;
                for (int k = 1; k <= frequencies; k++)
                    expected += v[o, k] * Math.Sin(k * Math.PI * t) + v[o, frequencies + k] * Math.Cos(k * Math.PI * t);
                found[row, o].ToDouble().Should().BeApproximately(expected, 1e-12);
            }

        double[,] Numbers(string name)
        {
            Tensor all = dynamics.get_parameter(name)!;
            var numbers = new double[all.shape[0], all.shape[1]];
            for (int i = 0; i < all.shape[0]; i++)
                for (int j = 0; j < all.shape[1]; j++)
                    numbers[i, j] = all[i, j].ToDouble();
            return numbers;
        }
    }

    public static TheoryData<string, Func<Module<Tensor, Tensor, Tensor>>> Kinds => new()
    {
        { "dense", () => new DenseDynamics(4, [7]) },
        { "convolution", () => new ConvolutionalDynamics(4) },
        { "Hamiltonian", () => new HamiltonianDynamics(2, [6]) },
        { "second order", () => new SecondOrderDynamics(2, [6]) },
        { "layers", () => new Layers() },
    };

    /// <summary>A change of type makes new parameters; what was remembered of the old ones must not be used again.</summary>
    [Theory]
    [MemberData(nameof(Kinds), DisableDiscoveryEnumeration = true)]
    public void Types_may_change_to_and_fro_between_solves(string kind, Func<Module<Tensor, Tensor, Tensor>> create)
    {
        using DisposeScope scope = NewDisposeScope();
        Module<Tensor, Tensor, Tensor> dynamics = create();
        foreach (ScalarType type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64, ScalarType.Float32, ScalarType.Float64])
        {
            dynamics.to(type);
            using (no_grad())
                foreach (Parameter parameter in dynamics.parameters())
                    parameter.add_(randn_like(parameter), 0.2);
            Tensor y = randn(kind == "convolution" ? [3, 4, 5, 5] : [3, 4], type);
            Tensor[] fused = Gradients(dynamics, y), plain = Gradients(new WithoutEvaluator(dynamics), y);
            for (int i = 0; i < fused.Length; i++)
                Problems.MaximumDifference(fused[i], plain[i])
                    .Should().BeLessThan((type == ScalarType.Float32 ? 2e-4 : 1e-9) * Math.Max(1, plain[i].abs().max().ToDouble()), kind);
        }

        static Tensor[] Gradients(Module<Tensor, Tensor, Tensor> f, Tensor y)
        {
            f.zero_grad();
            using OdeSolution solution = Ode.Solve(f, y, 0, 1, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.25 });
            solution.Final.square().sum().backward();
            return [solution.Final.detach().clone(), .. f.parameters().Select(parameter => parameter.grad!.clone())];
        }
    }

    [Theory]
    [InlineData(TimeDependence.None)]
    [InlineData(TimeDependence.Add)]
    [InlineData(TimeDependence.Concatenate)]
    public void Gradients_of_the_times_of_convolutions_are_the_direct_ones(TimeDependence time)
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new ConvolutionalDynamics(4, time: time);
        dynamics.to(ScalarType.Float64);
        using (no_grad())
            foreach (Parameter parameter in dynamics.parameters())
                parameter.add_(randn_like(parameter), 0.3);
        Tensor y = randn([2, 4, 5, 5], ScalarType.Float64);
        Tensor expected = Gradient(GradientMethod.Direct());
        expected.abs().min().ToDouble().Should().BeGreaterThan(1e-3);
        foreach (GradientMethod gradient in new[] { GradientMethod.Checkpointed(), GradientMethod.Checkpointed(1), GradientMethod.Adjoint() })
            Problems.MaximumDifference(Gradient(gradient), expected)
                .Should().BeLessThan((gradient.Name == "adjoint" ? 0.02 : 1e-10) * expected.abs().max().ToDouble(), gradient.ToString());

        Tensor Gradient(GradientMethod by)
        {
            Tensor times = tensor(new[] { 0.1, 0.5, 1.0 }, requires_grad: true);
            using OdeSolution solution = Ode.Solve(
                dynamics, y, times, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = 0.02, Gradient = by });
            (solution.States[1].square().sum() + solution.Final.pow(3).sum()).backward();
            return times.grad!.clone();
        }
    }

    [Fact]
    public void The_trace_of_a_convolution_is_that_of_its_jacobian()
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new ConvolutionalDynamics(2);
        dynamics.to(ScalarType.Float64);
        Tensor y = randn([3, 2, 3, 4], ScalarType.Float64), t = tensor(0.3), trace = empty(3, ScalarType.Float64);
        using (DynamicsEvaluator evaluator = dynamics.CreateEvaluator(y)!)
            evaluator.Trace([0.3], y, trace);
        for (int row = 0; row < 3; row++)
        {
            Tensor one = y.narrow(0, row, 1).detach().clone().requires_grad_();
            Tensor value = dynamics.call(t, one).reshape(-1);
            double expected = 0;
            for (int i = 0; i < value.numel(); i++)
                expected += autograd.grad([value[i]], [one], retain_graph: true)[0].reshape(-1)[i].ToDouble();
            trace[row].ToDouble().Should().BeApproximately(expected, 1e-9);
        }
        Math.Abs(trace[0].ToDouble()).Should().BeGreaterThan(1e-3);
    }

    [Fact]
    public void The_energy_of_a_state_of_another_width_or_type_is_refused()
    {
        using var dynamics = new HamiltonianDynamics(2, [6]);
        foreach (Func<Tensor> create in new Func<Tensor>[] { () => ones(3, 2), () => ones(3, 5), () => ones(3, 4, ScalarType.Float64) })
        {
            using Tensor y = create();
            dynamics.Invoking(each => each.Energy(y)).Should().Throw<ArgumentException>();
        }
    }

    /// <summary>
    /// Of a diagonal Jacobian each Rademacher probe gives the trace and the squared norm themselves, so that their mean does, whichever rows
    /// still step.
    /// </summary>
    [Theory]
    [InlineData(1, false)]
    [InlineData(3, false)]
    [InlineData(1, true)]
    [InlineData(3, true)]
    public void Estimates_are_means_over_the_probes(int probes, bool perRow)
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new Scaled();
        // The larger rows take more steps.
        Tensor y = tensor(new[] { 1e-3, 1, 50, 1e-3, 1, 80 }, [3, 2]);
        var options = new OdeSolverOptions { PerRow = perRow, RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-6 };
        PathResult path = PathIntegration.Solve(
            dynamics, y, 0, 2, options, PathQuantities.Divergence | PathQuantities.JacobianNorm, TraceEstimator.Hutchinson(probes));
        for (int row = 0; row < 3; row++)
        {
            path.Divergence![row].ToDouble().Should().BeApproximately(2 * (-0.5 + 0.25), 1e-5);
            path.JacobianNorm![row].ToDouble().Should().BeApproximately(2 * (0.25 + 0.0625), 1e-5);
        }
    }

    /// <summary>y′ = (−y₁/2, y₂/4).</summary>
    private sealed class Scaled() : Module<Tensor, Tensor, Tensor>(nameof(Scaled))
    {
        public override Tensor forward(Tensor t, Tensor y) => y * tensor(new[] { -0.5, 0.25 });
    }

    private sealed class Layers : Module<Tensor, Tensor, Tensor>, ILayeredDynamics
    {
        private readonly Sequential _net = Sequential(Linear(4, 6), Tanh(), Linear(6, 4));

        public Layers()
            : base(nameof(Layers)) => RegisterComponents();

        IReadOnlyList<Module<Tensor, Tensor>> ILayeredDynamics.Layers => [_net];

        public override Tensor forward(Tensor t, Tensor y) => _net.call(y);
    }
}
