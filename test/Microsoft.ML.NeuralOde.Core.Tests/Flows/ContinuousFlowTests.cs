using Microsoft.ML.NeuralOde.Core.Tests.Support;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Core.Tests.Flows;

public class ContinuousFlowTests
{
    private static readonly OdeSolverOptions Tight =
        new() { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-10 };

    [Theory]
    [InlineData(TimeDependence.ConcatSquash, 1, false)]
    [InlineData(TimeDependence.Gate, 2, false)]
    [InlineData(TimeDependence.Concatenate, 1, true)]
    [InlineData(TimeDependence.None, 3, false)]
    [InlineData(TimeDependence.Fourier, 1, true)]
    public void A_density_in_the_plane_integrates_to_one(TimeDependence time, int blocks, bool mixture)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(1);
        GaussianMixtureBase? baseDistribution = mixture
            ? new(tensor(new[] { -1f, 0f, 1f, 0.5f }, [2, 2]), tensor(new[] { 0.5f, 1f, 0.8f, 0.4f }, [2, 2]), tensor(new[] { 1f, 2f }))
            : null;
        ContinuousFlow flow = Strong(2, new ContinuousFlowOptions { Hidden = [32, 32], Time = time, Blocks = blocks }, baseDistribution);
        flow.Observe(randn(100, 2) * tensor(new[] { 2f, 0.5f }) + 1);
        const int N = 141;
        Tensor axis = linspace(-1, 1, N);
        Tensor[] mesh = meshgrid([axis * 16 + 1, axis * 4 + 1], "ij");
        Tensor grid = stack([mesh[0].reshape(-1), mesh[1].reshape(-1)], 1);
        double cell = 32.0 / (N - 1) * 8 / (N - 1);
        double mass = flow.call(grid).exp().sum().ToDouble() * cell;
        mass.Should().BeApproximately(1, 0.005);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Linear_dynamics_give_the_Gaussian_of_the_closed_form(bool dense)
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(2);
        var linear = new DenseDynamics(3, [], time: TimeDependence.None);
        Module<Tensor, Tensor, Tensor> dynamics = dense ? linear : new Wrapped(linear);
        var flow = new ContinuousFlow(3, [dynamics], new ContinuousFlowOptions { Solver = Tight, Standardize = false });
        flow.to(ScalarType.Float64);
        Tensor x = randn(7, 3, ScalarType.Float64);

        // z(1) = e^A x + (∫₀¹ e^{As} ds) b is standard normal: the last column of the exponential of [A b; 0 0] has the integral.
        Tensor a = linear.get_parameter("weight0")!.detach(), b = linear.get_parameter("bias0")!.detach();
        Tensor augmented = functional.pad(cat([a, b.unsqueeze(1)], 1), [0, 0, 0, 1]);
        Tensor exponential = linalg.matrix_exp(augmented);
        Tensor z = x.mm(exponential[..3, ..3].t()) + exponential[..3, 3];
        Tensor expected = -0.5 * z.square().sum(dim: 1L) - 1.5 * Math.Log(2 * Math.PI) + a.diagonal().sum();

        Problems.MaximumDifference(flow.LogDensity(x), expected).Should().BeLessThan(1e-7);
        Problems.MaximumDifference(flow.Encode(x).Latent, z).Should().BeLessThan(1e-7);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    [InlineData(2, 3)]
    public void The_log_density_is_the_change_of_variables_by_finite_differences(int features, int blocks)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(3);
        ContinuousFlow flow = Strong(features, new ContinuousFlowOptions { Hidden = [16, 16, 16], Blocks = blocks, Solver = Tight });
        flow.Observe(3 * randn(50, features) - 1);
        flow.to(ScalarType.Float64);
        Tensor x = 3 * randn(5, features, ScalarType.Float64) - 1;
        const double H = 1e-4;
        Tensor[] columns = [.. Enumerable.Range(0, features).Select(i =>
        {
            Tensor step = zeros(features, ScalarType.Float64);
            step[i] = H;
            return (flow.Encode(x + step).Latent - flow.Encode(x - step).Latent) / (2 * H);
        })];
        Tensor determinant = features == 1
            ? columns[0][.., 0] : columns[0][.., 0] * columns[1][.., 1] - columns[0][.., 1] * columns[1][.., 0];
        Tensor expected = flow.Base.call(flow.Encode(x).Latent) + determinant.abs().log();
        Problems.MaximumDifference(flow.LogDensity(x), expected).Should().BeLessThan(1e-5);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Decoding_undoes_encoding_and_gives_the_same_density(int blocks)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(4);
        var options = new ContinuousFlowOptions
        {
            Blocks = blocks,
            Solver = new OdeSolverOptions { RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-6 }
        };
        ContinuousFlow flow = Strong(5, options);
        flow.eval();
        Tensor x = randn(64, 5);
        flow.Observe(x);
        using FlowEncoding encoding = flow.Encode(x);
        using FlowEncoding decoding = flow.Decode(encoding.Latent);
        Problems.MaximumDifference(decoding.Data, x).Should().BeLessThan(1e-4);
        Problems.MaximumDifference(decoding.LogDensity, encoding.LogDensity).Should().BeLessThan(1e-3);
        encoding.Statistics.Should().HaveCount(blocks).And.OnlyContain(s => s.FunctionEvaluations > 0);
        Tensor path = flow.DecodePath(encoding.Latent, 2);
        path.shape.Should().Equal(2 * blocks + 1, 64, 5);
        Problems.MaximumDifference(path[-1], x).Should().BeLessThan(1e-4);
    }

    [Fact]
    public void Samples_have_the_moments_of_the_closed_form()
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(5);
        var linear = new DenseDynamics(2, [], time: TimeDependence.None);
        var flow = new ContinuousFlow(2, [linear], new ContinuousFlowOptions { Standardize = false });
        Tensor inverse = linalg.matrix_exp(-linear.get_parameter("weight0")!.detach());
        Tensor samples = flow.Sample(50_000);
        samples.requires_grad.Should().BeFalse();
        Tensor centred = samples - samples.mean([0L]);
        Problems.MaximumDifference(centred.t().mm(centred) / 50_000, inverse.mm(inverse.t())).Should().BeLessThan(0.06);
    }

    [Fact]
    public void Many_samples_are_those_of_the_same_noise_in_smaller_numbers_each_under_its_condition()
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(9);
        ContinuousFlow flow = Strong(2, new ContinuousFlowOptions { Hidden = [8], Conditions = 1, Solver = Tight });
        const int Count = 2100;
        Tensor condition = randn(Count, 1);
        Tensor noise = flow.Base.Sample(Count, new Generator(3));
        Tensor samples = flow.Sample(Count, condition, new Generator(3));
        foreach (int first in new[] { 0, 2040, 2090 })
            Problems.MaximumDifference(samples[first..(first + 10)],
                flow.Decode(noise[first..(first + 10)], condition[first..(first + 10)]).Data.detach()).Should().BeLessThan(1e-5);
    }

    [Fact]
    public void A_seeded_generator_gives_the_same_samples_again()
    {
        using DisposeScope scope = NewDisposeScope();
        var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [8] });
        Problems.MaximumDifference(flow.Sample(10, generator: new Generator(7)), flow.Sample(10, generator: new Generator(7)))
            .Should().Be(0);
        Problems.MaximumDifference(flow.Sample(10, generator: new Generator(7)), flow.Sample(10, generator: new Generator(8)))
            .Should().BePositive();
    }

    public static TheoryData<string, GradientMethod> GradientMethods() => new()
    {
        { "direct", GradientMethod.Direct() },
        { "adjoint", GradientMethod.Adjoint() },
        { "checkpointed", GradientMethod.Checkpointed() },
    };

    [Theory]
    [MemberData(nameof(GradientMethods))]
    public void Every_gradient_method_gives_the_derivatives_of_the_likelihood(string name, GradientMethod method)
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(6);
        var options = new ContinuousFlowOptions
        {
            Hidden = [6, 5],
            Blocks = 2,
            Conditions = 2,
            Solver = new OdeSolverOptions { RelativeTolerance = 1e-7, AbsoluteTolerance = 1e-8, Gradient = method },
            Regularization = new PathRegularization { KineticEnergy = 0.1, JacobianNorm = 0.2, Estimator = TraceEstimator.Exact },
        };
        ContinuousFlow flow = Strong(3, options, new GaussianMixtureBase(randn(2, 3)));
        flow.to(ScalarType.Float64);
        Tensor x = randn(6, 3, ScalarType.Float64).requires_grad_(), condition = randn(6, 2, ScalarType.Float64).requires_grad_();
        flow.NegativeLogLikelihood(x, condition).backward();
        Dictionary<string, Tensor[]> groups = flow.named_parameters()
            .GroupBy(p => p.name.Split('.')[0], p => (Tensor)p.parameter).ToDictionary(g => g.Key, g => g.ToArray());
        groups.Should().ContainKeys("blocks", "base");
        groups["data"] = [x];
        groups["condition"] = [condition];
        foreach ((string group, Tensor[] values) in groups)
        {
            Tensor[] directions = [.. values.Select(value => randn_like(value.detach()))];
            double derivative = values.Zip(directions, (value, direction) => (value.grad! * direction).sum().ToDouble()).Sum();
            using IDisposable noGrad = no_grad();
            const double H = 1e-4;
            double Along(double distance)
            {
                for (int i = 0; i < values.Length; i++)
                    values[i].add_(distance * directions[i]);
                double loss = flow.NegativeLogLikelihood(x, condition).ToDouble();
                for (int i = 0; i < values.Length; i++)
                    values[i].sub_(distance * directions[i]);
                return loss;
            }
            derivative.Should()
                .BeApproximately((Along(H) - Along(-H)) / (2 * H), 1e-4 * Math.Max(1, Math.Abs(derivative)), $"{name}, {group}");
        }
    }

    [Fact]
    public void Rows_with_steps_of_their_own_do_not_depend_on_their_neighbours()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(7);
        var options = new ContinuousFlowOptions { Hidden = [16, 16], Conditions = 2, Solver = new OdeSolverOptions { PerRow = true } };
        ContinuousFlow flow = Strong(3, options);
        Tensor x = 2 * randn(5, 3), condition = randn(5, 2);
        Tensor all = flow.LogDensity(x, condition);
        for (int i = 0; i < 5; i++)
            Problems.MaximumDifference(flow.LogDensity(x[i..(i + 1)], condition[i..(i + 1)]), all[i..(i + 1)]).Should().BeLessThan(2e-5);
    }

    [Fact]
    public void The_log_density_may_be_left_out_of_the_error_control()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        random.manual_seed(8);
        // A solenoidal rotation plus a divergence that only the density feels: f = 0 at the origin, so the state alone needs no small
        // steps.
        var dynamics = new Sharp();
        Tensor x = zeros(4, 2);
        long Evaluations(bool control) =>
            new ContinuousFlow(2, [dynamics], new ContinuousFlowOptions { ControlLogDensityError = control, Standardize = false })
            .Encode(x).Statistics[0].FunctionEvaluations;
        Evaluations(false).Should().BeLessThan(Evaluations(true) / 2);
    }

    [Fact]
    public void Auto_is_exact_in_evaluation_and_random_in_training_of_wide_flows()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        ContinuousFlow flow = Strong(8, new ContinuousFlowOptions { Hidden = [16, 16, 16] });
        Tensor x = randn(4, 8);
        Problems.MaximumDifference(flow.LogDensity(x), flow.LogDensity(x)).Should().BePositive();
        flow.eval();
        Problems.MaximumDifference(flow.LogDensity(x), flow.LogDensity(x)).Should().Be(0);
        // With two hidden layers the exact trace is cheap at any width.
        ContinuousFlow shallow = Strong(8, new ContinuousFlowOptions { Hidden = [16, 16] });
        Problems.MaximumDifference(shallow.LogDensity(x), shallow.LogDensity(x)).Should().Be(0);
    }

    [Fact]
    public void A_state_dictionary_carries_parameters_moments_and_base()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        ContinuousFlow Create() => new(2, new ContinuousFlowOptions { Hidden = [4], Blocks = 2 }, new GaussianMixtureBase(randn(3, 2)));
        ContinuousFlow first = Create(), second = Create();
        first.Observe(5 * randn(20, 2) + 3);
        second.load_state_dict(first.state_dict());
        Tensor x = randn(6, 2);
        Problems.MaximumDifference(first.call(x), second.call(x)).Should().Be(0);
    }

    [Fact]
    public void A_flow_survives_the_scope_it_was_made_in()
    {
        ContinuousFlow flow;
        using (NewDisposeScope())
            flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [4] }, new GaussianMixtureBase(zeros(1, 2)));
        using Tensor x = randn(3, 2);
        using Tensor density = flow.call(x);
        density.shape.Should().Equal(3);
        flow.Dispose();
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_named()
    {
        using DisposeScope scope = NewDisposeScope();
        var flow = new ContinuousFlow(3);
        Action data = () => flow.LogDensity(randn(4, 2));
        data.Should().Throw<ArgumentException>().WithMessage("*[4, 2]*[batch, 3]*");
        Action unwanted = () => flow.LogDensity(randn(4, 3), randn(4, 1));
        unwanted.Should().Throw<ArgumentException>().WithMessage("*takes none*");
        var conditional = new ContinuousFlow(3, new ContinuousFlowOptions { Conditions = 2 });
        Action missing = () => conditional.LogDensity(randn(4, 3));
        missing.Should().Throw<ArgumentException>().WithMessage("*missing*[4, 2]*");
        Action mixture = () => _ = new ContinuousFlow(3, null, new GaussianMixtureBase(zeros(2, 2)));
        mixture.Should().Throw<ArgumentException>().WithMessage("*2 features*3*");
        Action none = () => _ = new ContinuousFlow(3, Array.Empty<Module<Tensor, Tensor, Tensor>>());
        none.Should().Throw<ArgumentException>().WithMessage("*at least one block*");
    }

    [Fact]
    public void Options_that_make_no_sense_are_named()
    {
        foreach ((ContinuousFlowOptions options, string name) in new[]
        {
            (new ContinuousFlowOptions { Hidden = [0] }, "Hidden"),
            (new ContinuousFlowOptions { Activation = Activation.Relu }, "Activation"),
            (new ContinuousFlowOptions { Blocks = 0 }, "Blocks"),
            (new ContinuousFlowOptions { Conditions = -1 }, "Conditions"),
            (new ContinuousFlowOptions { InitialGain = 0 }, "InitialGain"),
            (new ContinuousFlowOptions { InputScale = double.NaN }, "InputScale"),
            (new ContinuousFlowOptions { Regularization = new PathRegularization { KineticEnergy = -1 } }, "KineticEnergy"),
        })
        {
            Action act = () => _ = new ContinuousFlow(2, options);
            act.Should().Throw<ArgumentException>().WithMessage($"*.{name} *");
        }
    }

    /// <summary>A flow whose dynamics are far from zero.</summary>
    private static ContinuousFlow Strong(long features, ContinuousFlowOptions options, BaseDistribution? baseDistribution = null)
    {
        var flow = new ContinuousFlow(features, options, baseDistribution);
        using IDisposable noGrad = no_grad();
        foreach ((string name, TorchSharp.Modules.Parameter parameter) in flow.named_parameters())
            if (name.StartsWith("blocks", StringComparison.Ordinal) && parameter.dim() == 2)
                parameter.mul_(1.7);
        return flow;
    }

    private sealed class Wrapped(DenseDynamics inner) : Module<Tensor, Tensor, Tensor>(nameof(Wrapped))
    {
        public override Tensor forward(Tensor t, Tensor y) => inner.call(t, y);

        protected override void _toEpilog(ScalarType? dtype, Device? device, bool non_blocking) => inner.to(dtype ?? ScalarType.Float32);
    }

    private sealed class Sharp() : Module<Tensor, Tensor, Tensor>(nameof(Sharp))
    {
        public override Tensor forward(Tensor t, Tensor y) => y * (40 * t).cos();
    }
}
