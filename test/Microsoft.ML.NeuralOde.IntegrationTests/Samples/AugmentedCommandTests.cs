using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Augmented;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

[Collection(OwnGenerator.Name)]
public sealed class AugmentedCommandTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task The_command_writes_its_figures_and_a_picture()
    {
        string json = _host.PathOf("augmented.json"), png = _host.PathOf("augmented.png");
        (await _host.RunAsync("augmented", "--steps", "3", "--json", json, "--png", png)).Should().Be(0);
        JsonElement figures = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        figures.EnumerateArray().Select(result => (result.GetProperty("problem").GetString(), result.GetProperty("model").GetString()))
            .Should().Equal(new[] { "line", "spheres" }.SelectMany(
                problem => new[] { "plain", "augmented", "second order", "heavy ball" }.Select(
                    model => ((string?)problem, (string?)model))));
        File.ReadAllBytes(png).AsSpan(0, 4).SequenceEqual<byte>([0x89, (byte)'P', (byte)'N', (byte)'G']).Should().BeTrue();
        _host.Output.Should().Contain("not solved").And.Contain(png);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void The_line_is_solved_in_more_dimensions_and_not_without()
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(1);
        CrossingProblem line = CrossingProblem.Line();
        Dictionary<string, double> losses =
            CrossingModel.For(line).ToDictionary(model => model.Kind, model => model.Train(line, 400, default).Loss);
        // Points keep their order: the best is to send all to 0.
        double best = line.Targets.square().mean().ToDouble();
        losses["plain"].Should().BeGreaterThan(0.9 * best);
        losses["augmented"].Should().BeLessThan(1e-3);
        losses["second order"].Should().BeLessThan(1e-3);
    }
}
