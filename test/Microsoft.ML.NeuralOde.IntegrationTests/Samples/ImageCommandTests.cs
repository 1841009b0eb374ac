using System.Text.Json;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class ImageCommandTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Theory]
    [InlineData("odenet")]
    [InlineData("resnet")]
    public async Task A_network_is_trained_beside_the_ablation_saved_and_its_figures_written(string network)
    {
        string json = _host.PathOf("odenet.json"), model = _host.PathOf("model.zip");

        (await _host.RunAsync(
            "odenet", "--embedded", "--network", network, "--limit", "60", "--epochs", "1", "--channels", "4", "--layers",
            "2", "--batch-size", "16",
            "--json", json, "--model", model)).Should().Be(0);

        JsonElement figures = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        figures.GetProperty("testAccuracy").GetDouble().Should().BeInRange(0, 1);
        figures.GetProperty("secondsPerEpoch").GetDouble().Should().BePositive();
        figures.GetProperty("parameters").GetInt64().Should().Be(Weights(network));
        figures.GetProperty("ablation").GetProperty("parameters").GetInt64().Should().Be(Weights("none"));
        _host.Output.Should().Contain("None").And.Contain("convolution 4x4");
        new MLContext().Model.LoadSealed(model, out _).Should().BeOfType<NeuralOdeClassificationTransformer>();
    }

    [Fact]
    public async Task The_comparison_by_depth_draws_and_writes_what_it_found()
    {
        string json = _host.PathOf("depth.json"), png = _host.PathOf("depth.png");

        (await _host.RunAsync(
            "resnet-vs-ode", "--embedded", "--limit", "40", "--epochs", "1", "--channels", "4", "--depth", "4", "--json", json, "--png",
            png)).Should().Be(0);

        JsonElement[] results = [.. JsonDocument.Parse(File.ReadAllText(json)).RootElement.EnumerateArray()];
        results.Select(r => $"{r.GetProperty("network")} {r.GetProperty("depth")}").Should().Equal(
            "ResNet 2", "ResNet, shared weights 2", "ODE 2", "ResNet 4", "ResNet, shared weights 4", "ODE 4");
        results.Select(r => r.GetProperty("parameters").GetInt64()).Should().Equal(
            Weights("resnet"), Weights("shared"), Weights("odenet"), Weights("resnet") + 2 * 320, Weights("shared"), Weights("odenet"));
        File.ReadAllBytes(png).AsSpan(0, 4).SequenceEqual<byte>([0x89, (byte)'P', (byte)'N', (byte)'G']).Should().BeTrue();
    }

    [Fact]
    public async Task Values_that_make_no_sense_are_named()
    {
        (await _host.RunAsync("odenet", "--network", "densenet")).Should().Be(1);
        _host.Error.Should().Contain("--network").And.Contain("OdeNet, ResNet, None");
        (await _host.RunAsync("odenet", "--embedded", "--data", "x")).Should().Be(1);
        _host.Error.Should().Contain("--embedded excludes --data");
        (await _host.RunAsync("resnet-vs-ode", "--depth", "1")).Should().Be(1);
        _host.Error.Should().Contain("--depth is '1'");
    }

    /// <summary>Counted by hand for one channel in, four within, ten classes, two layers of a ResNet.</summary>
    private static long Weights(string network)
    {
        const long Norm = 8, Convolution = 4 * (4 * 9 + 1), Halving = 4 * (4 * 16 + 1), Layer = 2 * Convolution + 3 * Norm;
        const long Around = 4 * (9 + 1) + 2 * Halving + 2 * Norm + Norm + 10 * 5;
        return Around + network switch { "odenet" => Layer + 2 * 4 * 9, "resnet" => 2 * Layer, "shared" => Layer, _ => 0 };
    }
}
