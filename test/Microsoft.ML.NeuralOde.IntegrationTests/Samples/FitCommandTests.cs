using System.Text.Json;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class FitCommandTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Rates_are_found_and_networks_go_on()
    {
        string json = _host.PathOf("fit.json"), plot = _host.PathOf("fit.png");
        (await _host.RunAsync("fit", "--iterations", "2", "--json", json, "--plot", plot)).Should().Be(0, _host.Error);

        _host.Output.Should().ContainAll("prey and predators: 200 observations", "conversion", "spiral", "damped pendulum", "two periods");
        JsonElement all = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        JsonElement[] rates = [.. all.GetProperty("rates").GetProperty("parameters").EnumerateArray()];
        rates.Should().HaveCount(4);
        foreach (JsonElement rate in rates)
            (rate.GetProperty("found").GetDouble() / rate.GetProperty("true").GetDouble()).Should().BeApproximately(1, 0.02);
        foreach (JsonElement network in all.GetProperty("networks").EnumerateArray())
        {
            network.GetProperty("error").GetDouble().Should().BePositive();
            network.GetProperty("aheadEnd").GetDouble().Should().BeGreaterThan(network.GetProperty("end").GetDouble());
        }
        File.ReadAllBytes(plot).Take(4).Should().Equal(0x89, (byte)'P', (byte)'N', (byte)'G');
    }
}
