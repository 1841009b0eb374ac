using Microsoft.ML.NeuralOde.Core.Tests.Paths;

namespace Microsoft.ML.NeuralOde.Core.Tests.Series;

public class SeriesNetworkTests
{
    public static TheoryData<SeriesModel> Models => [.. Enum.GetValues<SeriesModel>()];

    [Theory]
    [MemberData(nameof(Models))]
    public void Rows_have_outputs_of_their_own_whatever_the_batch(SeriesModel model)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        using SeriesNetwork network = Network(model);
        network.eval();
        Tensor values = randn(4, 12, 2), lengths = tensor(new long[] { 12, 5, 1, 8 });
        values[1, 2, 0] = values[3, 0, 1] = float.NaN;
        Tensor all = network.call(new SeriesBatch(values, null, lengths));
        all.shape.Should().Equal(4, 3);
        for (int row = 0; row < 4; row++)
            (network.call(new SeriesBatch(values.narrow(0, row, 1).narrow(1, 0, lengths[row].item<long>())))[0] - all[row]).abs()
            .max().item<float>()
                .Should().BeLessThan(2e-5f, $"row {row} stands alone");
        if (network.Options.Window == 1)
            (network.AtObservations(new SeriesBatch(values, null, lengths))[1, 4] - all[1]).abs()
            .max().item<float>().Should().BeLessThan(1e-5f);
        else
            ((Action)(() => network.AtObservations(new SeriesBatch(values)))).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void What_a_causal_network_says_does_not_depend_on_what_comes_after()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        foreach (PathInterpolation path in new[] { PathInterpolation.Rectilinear, PathInterpolation.HermiteCubic })
        {
            using var network = new SeriesNetwork(2, 3, new SeriesNetworkOptions { Path = path, Counts = true });
            network.eval();
            Tensor values = randn(2, 20, 2), changed = values.clone();
            changed.narrow(1, 12, 8).mul_(-2);
            network.AtObservations(new SeriesBatch(values))
                .narrow(1, 0, 12).Should().BeBits(network.AtObservations(new SeriesBatch(changed)).narrow(1, 0, 12));
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void It_learns_which_way_a_spiral_turns_from_a_few_irregular_points(SeriesModel model)
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(0);
        using SeriesNetwork network = Network(model);
        using var optimizer = new AdamOptimizer(network.parameters(), 1e-2);
        float loss = 1;
        for (int step = 0; step < 60 && loss > 0.1f; step++)
        {
            using DisposeScope inner = NewDisposeScope();
            Tensor times = (rand(32, 10, ScalarType.Float64) * 0.2 + 0.01).cumsum(1);
            Tensor labels = randint(0, 3, [32], ScalarType.Int64);
            Tensor angles = times.to(ScalarType.Float32) * (labels.to(ScalarType.Float32).unsqueeze(1) - 1) * 4 + (rand(32, 1) * 6);
            Tensor values = stack([angles.cos(), angles.sin()], 2);
            values = values.masked_fill(rand(32, 10, 2).lt(0.1), float.NaN);
            Tensor cost = nn.functional.cross_entropy(network.call(new SeriesBatch(values, times)), labels);
            optimizer.ZeroGradients();
            cost.backward();
            optimizer.Step();
            loss = cost.item<float>();
        }
        loss.Should().BeLessThan(0.5f);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Long_rough_series_let_no_dissipative_state_grow_whatever_the_weights(bool withTime)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        Tensor values = randn(1, 3000, 1), times = linspace(0, 1, 3000, ScalarType.Float64).unsqueeze(0);
        foreach (bool isDissipative in new[] { true, false })
        {
            using var network =
                new SeriesNetwork(1, 2, new SeriesNetworkOptions { Time = withTime, Dissipative = isDissipative, Width = 16, Layers = 1 });
            network.eval();
            foreach ((string name, TorchSharp.Modules.Parameter parameter) in network.named_parameters())
                if (name.EndsWith("matrices", StringComparison.Ordinal))
                    parameter.mul_(20);
            Func<Tensor> outputs = () => network.call(new SeriesBatch(values, times));
            if (isDissipative)
                outputs().isfinite().all().item<bool>().Should().BeTrue();
            else
                IsNumber(outputs).Should().BeFalse("nothing keeps these from growing");
        }

        static bool IsNumber(Func<Tensor> outputs)
        {
            try
            {
                return outputs().isfinite().all().item<bool>();
            }
            catch (OdeSolverException)
            {
                return false;
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Gradients_of_linear_layers_are_those_of_finite_differences(bool isDissipative)
    {
        using DisposeScope scope = NewDisposeScope();
        using var network = new SeriesNetwork(2, 1, new SeriesNetworkOptions { Dissipative = isDissipative, Width = 8, Dropout = 0 });
        network.to(ScalarType.Float64);
        Tensor values = randn(3, 6, 2, ScalarType.Float64);
        Func<Tensor> cost = () => network.call(new SeriesBatch(values)).sin().sum();
        cost().backward();
        using IDisposable noGrad = no_grad();
        foreach ((string name, TorchSharp.Modules.Parameter parameter) in network.named_parameters())
        {
            Tensor direction = randn_like(parameter);
            double expected = (parameter.grad! * direction).sum().item<double>();
            parameter.add_(direction, 1e-6);
            double above = cost().item<double>();
            parameter.add_(direction, -2e-6);
            double below = cost().item<double>();
            parameter.add_(direction, 1e-6);
            ((above - below) / 2e-6).Should().BeApproximately(expected, 1e-5 * Math.Max(1, Math.Abs(expected)), name);
        }
    }

    [Fact]
    public void Wrong_options_and_series_are_refused_by_name()
    {
        using DisposeScope scope = NewDisposeScope();
        foreach ((SeriesNetworkOptions options, string message) in new[]
        {
            (new SeriesNetworkOptions { Width = 30 }, "*Width is 30*multiple of the block size, 4*"),
            (new SeriesNetworkOptions { Width = 0 }, "*Width is 0*"),
            (new SeriesNetworkOptions { Dropout = 1 }, "*Dropout is 1*"),
            (new SeriesNetworkOptions { Layers = 0 }, "*Layers is 0*"),
            (new SeriesNetworkOptions { Window = 4 }, "*Window is 4*log-neural*"),
            (new SeriesNetworkOptions { Depth = 3, Model = SeriesModel.LogNeural }, "*Depth is 3*"),
            (new SeriesNetworkOptions { Hidden = [4, 0], Model = SeriesModel.Neural }, "*Hidden*positive*"),
            (new SeriesNetworkOptions { Model = (SeriesModel)7 }, "*Model*"),
        })
            ((Action)(() => _ = new SeriesNetwork(2, 3, options))).Should().Throw<ArgumentException>().WithMessage(message);
        using var network = new SeriesNetwork(2, 3);
        ((Action)(() => network.call(new SeriesBatch(randn(2, 4, 3))))).Should().Throw<ArgumentException>().WithMessage("*3 channels*2*");
        ((Action)(() => network.call(new SeriesBatch(randn(2, 4, 2, ScalarType.Float64))))).Should()
            .Throw<ArgumentException>().WithMessage("*Float64*");
    }

    private static SeriesNetwork Network(SeriesModel model) => new(2, 3, new SeriesNetworkOptions
    {
        Model = model,
        Width = 16,
        Window = model == SeriesModel.LogNeural ? 3 : 1,
        Depth = model == SeriesModel.LogNeural ? 2 : 1,
        Counts = true,
    });
}
