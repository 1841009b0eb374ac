using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Onnx;

/// <summary>Exported modules, run by ONNX Runtime, against the modules they come from.</summary>
[Collection(OwnGenerator.Name)]
public sealed class ModuleExportTests
{
    private const long Rows = 5;

    private static readonly OdeSolverOptions Steps = new() { Method = OdeMethod.Rk4, StepSize = 0.25 };

    public static TheoryData<Activation, TimeDependence> Dense => Cases(Enum.GetValues<TimeDependence>());

    public static TheoryData<Activation, TimeDependence> Convolutional =>
        Cases(TimeDependence.None, TimeDependence.Add, TimeDependence.Concatenate);

    [Theory]
    [MemberData(nameof(Dense))]
    public void A_block_of_dense_dynamics_gives_the_same(Activation activation, TimeDependence time)
    {
        using DisposeScope scope = NewDisposeScope();
        manual_seed(3);
        using var block = new OdeBlock(new DenseDynamics(4, [7, 5], activation, time), 1, Steps);
        Same(block, randn(Rows, 4));
    }

    [Theory]
    [MemberData(nameof(Convolutional))]
    public void A_block_of_convolutional_dynamics_gives_the_same(Activation activation, TimeDependence time)
    {
        using DisposeScope scope = NewDisposeScope();
        manual_seed(3);
        var dynamics = new ConvolutionalDynamics(6, groups: 2, activation, time);
        using (no_grad())
            foreach ((string name, TorchSharp.Modules.Parameter parameter) in dynamics.named_parameters())
                if (name.StartsWith("norm", StringComparison.Ordinal))
                    parameter.add_(randn_like(parameter) * 0.2);
        using var block = new OdeBlock(dynamics, 1, Steps);
        Same(block, randn(Rows, 6, 5, 4));
    }

    /// <summary>Dynamics, method and step; many steps become a loop. A new kind of dynamics is a line here.</summary>
    public static TheoryData<string, string, double> Family => new()
    {
        { "second order", "rk4", 0.25 },
        { "second order", "leapfrog", 0.02 },
        { "heavy ball", "leapfrog", 0.1 },
        { "heavy ball", "rk4", 0.02 },
        { "hamiltonian", "rk4", 0.25 },
        { "hamiltonian", "dopri5", 0.02 },
        { "separable", "leapfrog", 0.1 },
        { "separable", "leapfrog", 0.02 },
        { "separable", "semi_implicit_euler", 0.1 },
        { "separable", "rk4", 0.25 },
    };

    [Theory]
    [MemberData(nameof(Family))]
    public void A_block_of_positions_and_velocities_gives_the_same(string kind, string method, double step)
    {
        foreach (Activation activation in new[] { Activation.Tanh, Activation.Softplus, Activation.Silu })
        {
            using DisposeScope scope = NewDisposeScope();
            manual_seed(7);
            nn.Module<torch.Tensor, torch.Tensor, torch.Tensor> dynamics = kind switch
            {
                "second order" => new SecondOrderDynamics(3, [7], activation),
                "heavy ball" => new HeavyBallDynamics(3, [7, 5], activation, TimeDependence.Concatenate),
                _ => new HamiltonianDynamics(3, [7, 5], activation, isSeparable: kind == "separable"),
            };
            using var block = new OdeBlock(dynamics, 1.5, new OdeSolverOptions { Method = OdeMethod.Parse(method), StepSize = step });
            Same(block, randn(Rows, 6));
        }
    }

    [Theory]
    [InlineData("heun3", 0.02)]
    [InlineData("dopri5", 0.5)]
    // Its weights, of both signs and up to a hundred, magnify rounding in proportion to the step.
    [InlineData("dopri8", 0.2)]
    public void Other_methods_and_many_steps_in_a_loop_give_the_same(string method, double step)
    {
        using DisposeScope scope = NewDisposeScope();
        manual_seed(4);
        var options = new OdeSolverOptions { Method = OdeMethod.Parse(method), StepSize = step };
        using var dense = new OdeBlock(new DenseDynamics(3, [6], time: TimeDependence.Fourier), -1.5, options);
        Same(dense, randn(Rows, 3));
        using var images = new OdeBlock(new ConvolutionalDynamics(4), 1, options);
        Same(images, randn(Rows, 4, 3, 3));
    }

    [Theory]
    [MemberData(nameof(Dense))]
    public void A_flow_gives_the_same_density_and_latent_points(Activation activation, TimeDependence time)
    {
        using DisposeScope scope = NewDisposeScope();
        manual_seed(5);
        using var flow = new ContinuousFlow(3,
            [new DenseDynamics(3, [6, 5], activation, time), new DenseDynamics(3, [4], activation, time)],
            new ContinuousFlowOptions { Solver = Steps });
        flow.Observe(randn(50, 3) * 2 + 1);
        Same(flow, randn(Rows, 3) * 2 + 1);
    }

    [Theory]
    [InlineData(TimeDependence.Concatenate, 0.5)]
    [InlineData(TimeDependence.ConcatSquash, 0.05)]
    public void A_flow_of_linear_dynamics_and_of_many_steps_gives_the_same(TimeDependence time, double step)
    {
        using DisposeScope scope = NewDisposeScope();
        manual_seed(6);
        using var linear = new ContinuousFlow(3,
            new ContinuousFlowOptions
            {
                Hidden = [],
                Time = time,
                InitialGain = 1,
                Standardize = false,
                Solver = new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = step }
            });
        Same(linear, randn(Rows, 3));
        using var deep = new ContinuousFlow(2,
            new ContinuousFlowOptions
            {
                Hidden = [8],
                Time = time,
                InitialGain = 1,
                Solver = new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = step }
            });
        Same(deep, randn(Rows, 2));
    }

    [Fact]
    public void What_cannot_be_exported_is_named()
    {
        using DisposeScope scope = NewDisposeScope();
        using var own = new OdeBlock(new Own(), 1, Steps);
        Refused(() => own.SaveAsOnnx([2], Stream.Null))
            .Should().Match("*is Own; only DenseDynamics, ConvolutionalDynamics*HeavyBallDynamics*");
        using var narrow = new OdeBlock(new ConvolutionalDynamics(4, convolutionType: ScalarType.BFloat16), 1, Steps);
        Refused(() => narrow.SaveAsOnnx([4, 3, 3], Stream.Null)).Should().Match("*computed in BFloat16*convolutionType*");
        using var adaptive = new OdeBlock(new DenseDynamics(2));
        Refused(() => adaptive.SaveAsOnnx([2], Stream.Null)).Should().Match("*'dopri5' chooses its steps*stepSize*");
        var leaps = new OdeSolverOptions { Method = OdeMethod.Leapfrog, StepSize = 0.5 };
        using var energy = new OdeBlock(new HamiltonianDynamics(2), 1, leaps);
        Refused(() => energy.SaveAsOnnx([4], Stream.Null)).Should().Match("*'leapfrog'*T(p) + V(q)*isSeparable*");
        using var odd = new OdeBlock(new DenseDynamics(3), 1, leaps);
        Refused(() => odd.SaveAsOnnx([3], Stream.Null)).Should().Match("*'leapfrog'*even size*");
        using var implicitSteps =
            new OdeBlock(new HamiltonianDynamics(2), 1, new OdeSolverOptions { Method = OdeMethod.ImplicitMidpoint, StepSize = 0.5 });
        Refused(() => implicitSteps.SaveAsOnnx([4], Stream.Null)).Should().Match("*'implicit_midpoint'*Leapfrog*");
        Action shape = () => adaptive.SaveAsOnnx([3], Stream.Null, 0.1);
        shape.Should().Throw<ArgumentException>().WithMessage("*given as ?3?*it is ?2?*stateShape*");

        using var conditional = new ContinuousFlow(2, new ContinuousFlowOptions { Conditions = 1, Solver = Steps });
        Refused(() => conditional.SaveAsOnnx(Stream.Null)).Should().Match("*1 conditions*");
        using var mixture = new ContinuousFlow(2, new ContinuousFlowOptions { Solver = Steps }, new GaussianMixtureBase(randn(3, 2)));
        Refused(() => mixture.SaveAsOnnx(Stream.Null)).Should().Match("*GaussianMixtureBase; only StandardNormalBase*");
        using var foreign = new ContinuousFlow(2, [new Own()], new ContinuousFlowOptions { Solver = Steps });
        Refused(() => foreign.SaveAsOnnx(Stream.Null)).Should().Match("*trace*DenseDynamics only; this is Own*");
        Action negative = () => foreign.SaveAsOnnx(Stream.Null, -1);
        negative.Should().Throw<ArgumentOutOfRangeException>();
    }

    private static TheoryData<Activation, TimeDependence> Cases(params TimeDependence[] times)
    {
        var cases = new TheoryData<Activation, TimeDependence>();
        foreach (Activation activation in Enum.GetValues<Activation>())
            foreach (TimeDependence time in times)
                cases.Add(activation, time);
        return cases;
    }

    private static string Refused(Action act) => act.Should().Throw<NotSupportedException>().Which.Message;

    private static void Same(OdeBlock block, torch.Tensor input)
    {
        using var stream = new MemoryStream();
        block.SaveAsOnnx(input.shape[1..], stream);
        using IDisposable noGrad = no_grad();
        Same(Run(stream, input, "output"), block.call(input));
    }

    private static void Same(ContinuousFlow flow, torch.Tensor input)
    {
        flow.eval();
        using var stream = new MemoryStream();
        flow.SaveAsOnnx(stream);
        using IDisposable noGrad = no_grad();
        FlowEncoding expected = flow.Encode(input);
        Same(Run(stream, input, "latent"), expected.Latent);
        Same(Run(stream, input, "log_density"), expected.LogDensity);
    }

    private static float[] Run(MemoryStream model, torch.Tensor input, string output)
    {
        using var session = new InferenceSession(model.ToArray());
        var values = new DenseTensor<float>(input.contiguous().data<float>().ToArray(), [.. input.shape.Select(size => (int)size)]);
        using IDisposableReadOnlyCollection<DisposableNamedOnnxValue> results =
            session.Run([NamedOnnxValue.CreateFromTensor("input", values)], [output]);
        return results[0].AsTensor<float>().ToArray();
    }

    private static void Same(float[] found, torch.Tensor expected)
    {
        float[] flat = expected.contiguous().data<float>().ToArray();
        found.Length.Should().Be(flat.Length);
        float scale = Math.Max(1, flat.Max(Math.Abs));
        flat.Zip(found, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-5f * scale);
    }

    private sealed class Own() : nn.Module<torch.Tensor, torch.Tensor, torch.Tensor>(nameof(Own))
    {
        public override torch.Tensor forward(torch.Tensor t, torch.Tensor y) => -y;
    }
}
