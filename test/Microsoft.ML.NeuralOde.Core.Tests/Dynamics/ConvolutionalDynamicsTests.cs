using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Core.Tests.Dynamics;

public class ConvolutionalDynamicsTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_folded_time_channel_equals_a_channel_of_the_convolution(bool perRow)
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new ConvolutionalDynamics(6, groups: 3);
        dynamics.to(ScalarType.Float64);
        Randomize(dynamics);
        Tensor y = randn([4, 6, 5, 7], ScalarType.Float64);
        Tensor t = perRow ? rand([4, 1, 1, 1], ScalarType.Float64) : tensor(0.7);

        Tensor x = y;
        for (int i = 0; i < 2; i++)
        {
            x = Norm(i, x).relu();
            Tensor channel = ones([4, 1, 5, 7], ScalarType.Float64) * t;
            Tensor weight = cat([dynamics.get_parameter($"time_weight{i}")!, dynamics.get_parameter($"weight{i}")!], 1);
            x = nn.functional.conv2d(cat([channel, x], 1), weight, dynamics.get_parameter($"bias{i}"), padding: [1, 1]);
        }
        (dynamics.call(t, y) - Norm(2, x)).abs().max().ToDouble().Should().BeLessThan(1e-12);

        Tensor Norm(int i, Tensor image) =>
            nn.functional.group_norm(image, 3, dynamics.get_parameter($"norm_weight{i}"), dynamics.get_parameter($"norm_bias{i}"), 1e-5);
    }

    [Theory]
    [InlineData(TimeDependence.None)]
    [InlineData(TimeDependence.Add)]
    [InlineData(TimeDependence.Concatenate)]
    public void Every_parameter_gets_a_gradient_through_a_solve(TimeDependence time)
    {
        using DisposeScope scope = NewDisposeScope();
        var dynamics = new ConvolutionalDynamics(4, groups: 2, Activation.Tanh, time);
        Tensor y = randn(3, 4, 6, 6);
        foreach (string gradient in new[] { "direct", "adjoint", "checkpointed" })
        {
            dynamics.zero_grad();
            OdeSolution solution =
                Ode.Solve(dynamics, y, 0, 1, new OdeSolverOptions { Gradient = GradientMethod.Parse(gradient), RelativeTolerance = 1e-3 });
            (solution.Final * randn_like(y)).sum().backward();
            solution.Statistics.BackwardFailure.Should().BeNull();
            foreach ((string name, Parameter parameter) in dynamics.named_parameters())
                parameter.grad!.abs().max().ToDouble().Should().BePositive($"of {name} by {gradient}");
        }
    }

    [Theory]
    [InlineData(TimeDependence.None)]
    [InlineData(TimeDependence.Concatenate)]
    public void Convolutions_in_bfloat16_are_as_accurate_as_the_type(TimeDependence time)
    {
        using DisposeScope scope = NewDisposeScope();
        var exact = new ConvolutionalDynamics(16, groups: 4, time: time);
        Randomize(exact);
        var rounded = new ConvolutionalDynamics(16, groups: 4, time: time, convolutionType: ScalarType.BFloat16);
        using (no_grad())
            foreach ((string name, Parameter parameter) in exact.named_parameters())
                rounded.get_parameter(name)!.copy_(parameter);
        Tensor y = randn(8, 16, 6, 6).requires_grad_();
        Tensor difference = (rounded.call(tensor(0.5f), y) - exact.call(tensor(0.5f), y)).detach();
        // Two convolutions, each with its inputs rounded to eight bits.
        difference.square().mean().sqrt().ToDouble().Should().BeInRange(1e-5, 0.02);

        Tensor[] gradients = [.. new[] { exact, rounded }.Select(f => autograd.grad([f.call(tensor(0.5f), y).sin().sum()], [y])[0])];
        double error = ((gradients[1] - gradients[0]).norm() / gradients[0].norm()).ToDouble();
        error.Should().BeLessThan(0.1);
    }

    [Fact]
    public void Arguments_that_make_no_sense_are_refused()
    {
        ((Action)(() => _ = new ConvolutionalDynamics(0))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => _ = new ConvolutionalDynamics(6, groups: 4))).Should()
            .Throw<ArgumentOutOfRangeException>().WithMessage("*divide the 6 channels*");
        ((Action)(() => _ = new ConvolutionalDynamics(6, time: TimeDependence.Gate))).Should()
            .Throw<ArgumentOutOfRangeException>().WithMessage("*Concatenate*");
        ((Action)(() => _ = new ConvolutionalDynamics(6, convolutionType: ScalarType.Int32))).Should().Throw<ArgumentOutOfRangeException>();
        new ConvolutionalDynamics(48).Groups.Should().Be(24);
    }

    private static void Randomize(ConvolutionalDynamics dynamics)
    {
        using IDisposable noGrad = no_grad();
        foreach (Parameter parameter in dynamics.parameters())
            parameter.add_(randn_like(parameter), 0.2);
    }

    [Fact]
    public void Every_group_has_two_channels_at_least_where_there_are_two()
    {
        for (int channels = 1; channels <= 200; channels++)
        {
            using var dynamics = new ConvolutionalDynamics(channels);
            (channels % dynamics.Groups).Should().Be(0);
            dynamics.Groups.Should().BeInRange(1, 32);
            if (channels > 1)
                (channels / dynamics.Groups).Should().BeGreaterThan(1, $"of {channels} channels");
            if (channels >= 64 && channels % 32 == 0)
                dynamics.Groups.Should().Be(32);
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(8)]
    [InlineData(16)]
    [InlineData(32)]
    public void Means_over_images_see_the_dynamics(int channels)
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(3);
        using var dynamics = new ConvolutionalDynamics(channels);
        Tensor y = randn(4, channels, 6, 6);
        // Normalised by itself, each channel would have mean 0 whatever the image.
        dynamics.call(tensor(0.5f), y).mean([2L, 3L]).std().ToDouble().Should().BeGreaterThan(0.02);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(32)]
    public void Weights_of_dynamics_with_a_channel_a_group_load_and_give_the_same(int channels)
    {
        using DisposeScope scope = NewDisposeScope();
        using var saved = new ConvolutionalDynamics(channels, groups: channels);
        using var loaded = new ConvolutionalDynamics(channels, groups: channels);
        string file = Path.GetTempFileName();
        try
        {
            saved.save(file);
            loaded.load(file);
        }
        finally
        {
            File.Delete(file);
        }
        Tensor t = tensor(0.5f), y = randn(2, channels, 5, 5);
        loaded.call(t, y).Equals(saved.call(t, y)).Should().BeTrue();
    }
}
