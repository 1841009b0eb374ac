using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Density;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class DensityCommandTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Theory]
    [InlineData("matching")]
    [InlineData("likelihood")]
    public async Task The_command_writes_its_figures_and_a_picture(string method)
    {
        string json = _host.PathOf("density.json"), png = _host.PathOf("density.png");

        (await _host.RunAsync("density", "--dataset", "moons", "--method", method, "--steps", "10", "--batch", "64", "--width", "16",
            "--json", json, "--png", png)).Should().Be(0);

        JsonElement figures = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        figures.GetProperty("trueNegativeEntropy").GetDouble().Should().BeApproximately(-2.39, 0.03);
        // Ten steps teach little, but the data are standardised from the start.
        figures.GetProperty("testLogLikelihood").GetDouble().Should().BeInRange(-6, -2.39);
        figures.GetProperty("secondsPerStep").GetDouble().Should().BePositive();
        File.ReadAllBytes(png).AsSpan(0, 4).SequenceEqual<byte>([0x89, (byte)'P', (byte)'N', (byte)'G']).Should().BeTrue();
        _host.Output.Should().Contain("Test log-likelihood").And.Contain(png);
    }

    [Fact]
    public async Task Values_that_make_no_sense_are_named()
    {
        (await _host.RunAsync("density", "--dataset", "sunmoon")).Should().Be(1);
        _host.Error.Should().Contain("sunmoon").And.Contain("pinwheel");
        (await _host.RunAsync("density", "--dataset", "moon")).Should().Be(1);
        _host.Error.Should().Contain("Did you mean 'moons'?");
        (await _host.RunAsync("density", "--steps", "0")).Should().Be(1);
        _host.Error.Should().Contain("--steps is '0'");
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void Matching_and_likelihood_come_near_to_the_limit_in_a_short_time()
    {
        // The best Gaussian stays 1 nat below the limit; the command's defaults go on much longer and come nearer.
        foreach ((DensityMethod method, int steps,
            double gap) in new[] { (DensityMethod.Matching, 2000, 0.4), (DensityMethod.Likelihood, 120, 0.6) })
        {
            (ContinuousFlow flow, DensityResult result) = new DensityStory(new DensitySettings
            {
                Dataset = ToyDensity.Parse("moons"),
                Method = method,
                Steps = steps,
                BatchSize = 256,
                Width = 64,
                TestRows = 4000,
                LearningRate = method == DensityMethod.Matching ? 4e-3 : 1e-2,
            }).Run();
            flow.Dispose();
            (result.TrueNegativeEntropy - result.TestLogLikelihood).Should().BeInRange(-0.05, gap, $"{method}");
        }
    }
}
