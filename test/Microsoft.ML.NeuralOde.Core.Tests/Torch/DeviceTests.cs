using Microsoft.ML.NeuralOde.Core.Tests.Support;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Core.Tests.Torch;

/// <summary>
/// What can be said about devices where there is only the processor: the device <c>meta</c>, which has shapes and no numbers, stands for
/// another.
/// </summary>
public class DeviceTests
{
    private static readonly Device Elsewhere = new("meta");

    public static TheoryData<string> Methods => [.. OdeMethod.All.Select(method => method.Name)];

    [Theory]
    [MemberData(nameof(Methods))]
    public void Whatever_the_default_device_a_solve_stays_where_its_state_is(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        var method = OdeMethod.Parse(name);
        using var dense = new DenseDynamics(4, [5]);
        using var plain = new WithoutEvaluator(dense);
        Tensor start = randn(2, 4), times = tensor(new[] { 0.0, 0.5, 1.0 });
        foreach (GradientMethod gradient in new[] { GradientMethod.Checkpointed(), GradientMethod.Adjoint(), GradientMethod.Direct(),
            GradientMethod.Reversible() })
            foreach (Module<Tensor, Tensor, Tensor> dynamics in new Module<Tensor, Tensor, Tensor>[] { dense, plain })
                foreach (bool perRow in new[] { false, true })
                {
                    var options = new OdeSolverOptions
                    {
                        Method = method,
                        Gradient = gradient,
                        PerRow = perRow,
                        StepSize = method.IsAdaptive
                        ? null : 0.25,
                        RelativeTolerance = 1e-3
                    };
                    Tensor? expected = Gradient(options, dynamics, CPU, out string? refusal),
                        found = Gradient(options, dynamics, Elsewhere, out string? refusalThere);
                    refusalThere.Should().Be(refusal);
                    if (expected is not null)
                        found!.allclose(expected, 1e-6, 1e-7).Should().BeTrue($"{gradient}, {dynamics.GetName()}");
                }

        Tensor? Gradient(OdeSolverOptions options, Module<Tensor, Tensor, Tensor> dynamics, Device device, out string? refusal)
        {
            refusal = null;
            Tensor y = start.detach().clone().requires_grad_();
            set_default_device(device);
            try
            {
                OdeSolution solution = Ode.Solve(dynamics, y, times, options);
                solution.Final.sum().backward();
                return y.grad!.clone();
            }
            catch (ArgumentException e)
            {
                refusal = e.Message;
                return null;
            }
            finally
            {
                set_default_device(CPU);
            }
        }
    }

    [Fact]
    public void A_flow_moves_as_a_whole()
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (BaseDistribution distribution in new BaseDistribution[] { new StandardNormalBase(
            2), new GaussianMixtureBase(zeros(3, 2)) })
        {
            using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [4] }, distribution);
            flow.Observe(randn(10, 2));
            flow.to(ScalarType.Float64);
            flow.Sample(3).dtype.Should().Be(ScalarType.Float64);
            flow.LogDensity(randn(3, 2, ScalarType.Float64)).dtype.Should().Be(ScalarType.Float64);
            flow.to(Elsewhere);
            flow.named_buffers().Select(pair => pair.buffer.device_type)
                .Concat(flow.parameters().Select(parameter => parameter.device_type)).Should().OnlyContain(type => type == DeviceType.META);
            if (distribution is StandardNormalBase)
                flow.Base.Sample(3).device_type.Should().Be(DeviceType.META);
        }
    }

    [Fact]
    public void Moments_keep_their_digits_when_the_type_changes()
    {
        using DisposeScope scope = NewDisposeScope();
        using var flow = new ContinuousFlow(1, new ContinuousFlowOptions { Hidden = [4] });
        flow.Observe(tensor(new[] { 1e8, 1e8 + 1 }, [2, 1]));
        foreach (Action change in new Action[] { () =>
            flow.to(ScalarType.Float32), () => flow.to(CPU, ScalarType.Float32), () => flow.half(), () => flow.@float() })
        {
            change();
            flow.Standardization!.call(tensor(new[] { 1e8, 1e8 + 1 }, [2, 1])).reshape(-1).data<double>().ToArray().Should().Equal(-1, 1);
        }
    }

    [Fact]
    public void Rows_and_conditions_on_another_device_than_the_flow_are_named()
    {
        using DisposeScope scope = NewDisposeScope();
        using var flow = new ContinuousFlow(2, new ContinuousFlowOptions { Hidden = [4], Conditions = 1 });
        Tensor x = randn(3, 2), c = randn(3, 1);
        foreach (Action<Tensor, Tensor> use in new Action<Tensor, Tensor>[]
        {
            (rows, condition) => flow.LogDensity(rows, condition), (rows, condition) =>
            flow.Decode(rows, condition), (rows, condition) => flow.DecodePath(rows, 2, condition),
            (rows, condition) => flow.NegativeLogLikelihood(rows, condition), (rows, condition) => FlowMatching.Loss(flow, rows, condition),
        })
        {
            ((Action)(() => use(x.to(Elsewhere), c))).Should().Throw<ArgumentException>().WithMessage("*rows are on meta*flow is on cpu*");
            ((Action)(() => use(x, c.to(Elsewhere)))).Should()
                .Throw<ArgumentException>().WithMessage("*condition is on meta*flow is on cpu*");
        }
    }

    [Fact]
    public void Numbers_of_a_generator_are_those_of_the_processor()
    {
        using DisposeScope scope = NewDisposeScope();
        Draws.Normal([5, 2], ScalarType.Float32, CPU, new Generator(3))
            .Equals(randn([5, 2], ScalarType.Float32, CPU, generator: new Generator(3))).Should().BeTrue();
        Draws.Uniform([5], ScalarType.Float64, CPU, new Generator(3))
            .Equals(rand([5], ScalarType.Float64, CPU, generator: new Generator(3))).Should().BeTrue();
        Draws.Permutation(9, CPU, new Generator(3)).data<long>().ToArray().Should().BeEquivalentTo(Enumerable.Range(0, 9));
        Draws.Places(tensor(new[] { 0f, 1f, 0f }), 4, new Generator(3)).data<long>().ToArray().Should().Equal(1, 1, 1, 1);
        Draws.Normal([5, 2], ScalarType.Float32, Elsewhere, new Generator(3)).device_type.Should().Be(DeviceType.META);
        Draws.Uniform([5], ScalarType.Float32, Elsewhere, new Generator(3)).shape.Should().Equal(5);
        Draws.Integers(4, 5, Elsewhere, new Generator(3)).device_type.Should().Be(DeviceType.META);
        Draws.Permutation(5, Elsewhere, new Generator(3)).device_type.Should().Be(DeviceType.META);
    }

    [Fact]
    public void Nothing_draws_with_a_generator_but_by_way_of_the_processor() =>
        UnguardedNumbers.RandomCallsIn(typeof(ContinuousFlow).Assembly)
            .Where(call => !call.StartsWith("Microsoft.ML.NeuralOde.Torch.Draws", StringComparison.Ordinal))
            // These take none.
            .Should().OnlyContain(call => call.StartsWith("Microsoft.ML.NeuralOde.Dynamics.ModuleParameters", StringComparison.Ordinal)
                || call.StartsWith("Microsoft.ML.NeuralOde.TraceEstimator", StringComparison.Ordinal));

    [Theory]
    [InlineData("weight", float.NaN)]
    [InlineData("weight", float.PositiveInfinity)]
    [InlineData("weight", 4.59e-41f)]
    [InlineData("weight", -4e35f)]
    [InlineData("bias", float.NaN)]
    [InlineData("bias", 1e-44f)]
    public void A_group_normalisation_that_nobody_initialised_is_named(string parameter, float value)
    {
        using DisposeScope scope = NewDisposeScope();
        using var module = new Normalized();
        init.ones_(module.Norm.weight!);
        init.zeros_(module.Norm.bias!);
        using (no_grad())
            (parameter == "weight" ? module.Norm.weight! : module.Norm.bias!)[1] = tensor(value);
        Action solve = () => Ode.Solve(module, ones(1, 4, 2, 2), 0, 1);
        solve.Should().Throw<ArgumentException>().WithMessage("*GroupNorm 'norm'*uninitialised*init.ones_*");
        init.ones_(module.Norm.weight!);
        init.zeros_(module.Norm.bias!);
        solve.Should().NotThrow();
    }

    [Fact]
    public void A_group_normalisation_that_begins_with_zeros_is_not_suspected()
    {
        using DisposeScope scope = NewDisposeScope();
        using var module = new Normalized();
        init.zeros_(module.Norm.weight!);
        init.constant_(module.Norm.bias!, -1e-20);
        Ode.Solve(module, ones(1, 4, 2, 2), 0, 1).Statistics.FunctionEvaluations.Should().BePositive();
    }

    private sealed class Normalized : Module<Tensor, Tensor, Tensor>
    {
        public Normalized()
            : base(nameof(Normalized))
        {
            Norm = GroupNorm(2, 4);
            register_module("norm", Norm);
        }

        public TorchSharp.Modules.GroupNorm Norm { get; }

        public override Tensor forward(Tensor t, Tensor y) => Norm.call(y);
    }
}
