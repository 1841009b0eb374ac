using System.Globalization;
using System.Text.Json;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class LatentCommandTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task The_toy_set_is_learned_beside_a_gru_of_the_same_size()
    {
        string json = _host.PathOf("latent.json");
        (await _host.RunAsync("latent", "--quick", "--json", json)).Should().Be(0, _host.Error);
        _host.Output.Should().ContainAll("toy: 80 series", "latent ODE", "GRU with gaps", "linear model", "extrapolation, 30 points");
        JsonElement[] cases = Cases(json);
        cases.Should().HaveCount(8);
        foreach (JsonElement method in cases.SelectMany(one => one.GetProperty("methods").EnumerateObject()).Select(method => method.Value))
        {
            method.GetProperty("mse").GetDouble().Should().BePositive();
            if (method.TryGetProperty("coverage", out JsonElement coverage))
                coverage.GetDouble().Should().BeInRange(0, 1);
        }
        JsonElement first = cases[0].GetProperty("methods");
        first.GetProperty("latent ODE").TryGetProperty("coverage", out _).Should().BeTrue();
        first.GetProperty("latent ODE").TryGetProperty("calibrated", out _).Should().BeFalse();
        first.GetProperty("last value").TryGetProperty("coverage", out _).Should().BeFalse();
    }

    [Fact]
    public async Task Simple_methods_are_exact_where_they_should_be()
    {
        // Each trajectory is constant in one channel and doubles from half to half in the others.
        string file = _host.PathOf("hopper.csv"), json = _host.PathOf("latent.json");
        var random = new Random(1);
        File.WriteAllLines(file, ["trajectory,step,x0", .. Enumerable.Range(0, 30).SelectMany(trajectory =>
        {
            double[] start = [.. Enumerable.Range(0, 14).Select(_ => random.NextDouble())];
            return Enumerable.Range(0, 10).Select(step => string.Join(',', ((double[])[trajectory, step, .. start.Select((x, i) => i > 0 && step >= 5 ? 2 * x : x)])
                .Select(x => x.ToString(CultureInfo.InvariantCulture))));
        })]);
        (await _host.RunAsync("latent", "--set", "hopper", "--data", file, "--quick", "--deterministic", "--json", json)).Should().Be(0, _host.Error);
        JsonElement[] cases = Cases(json);
        cases.Should().HaveCount(3);
        JsonElement methods = cases[0].GetProperty("methods");
        double last = methods.GetProperty("last value").GetProperty("mse").GetDouble(), linear = methods.GetProperty("linear model").GetProperty("mse").GetDouble();
        linear.Should().BeLessThan(0.2 * last);
    }

    [Fact]
    public async Task Sporadic_series_are_read_with_their_masks()
    {
        string file = _host.PathOf("brusselator.csv");
        File.WriteAllLines(file, ["ID,Time,Value_1,Value_2,Mask_1,Mask_2,Cov", .. Enumerable.Range(0, 20).SelectMany(series =>
            Enumerable.Range(0, 9).Select(i => string.Create(CultureInfo.InvariantCulture, $"{series}.0,{(i * 1.5) + series},{series % 3},{i},1.0,{i % 2}.0,0.0")))]);
        string json = _host.PathOf("latent.json");
        (await _host.RunAsync("latent", "--set", "brusselator", "--data", file, "--quick", "--calibrate", "--json", json))
            .Should().Be(0, _host.Error);
        Cases(json)[0].GetProperty("methods").GetProperty("latent ODE").GetProperty("calibrated").GetDouble().Should().BeInRange(0, 1);
        _host.Output.Should().ContainAll("brusselator: 14 series", "2 to calibrate by", "4 to be judged", "last third");
    }

    [Fact]
    public async Task What_is_missing_or_wrong_is_named()
    {
        (await _host.RunAsync("latent", "--set", "hopper")).Should().Be(1);
        _host.Error.Should().Contain("--data is missing");
        (await _host.RunAsync("latent", "--data", "x.csv")).Should().Be(1);
        _host.Error.Should().Contain("the set toy is made here");
        string file = _host.PathOf("bad.csv");
        File.WriteAllLines(file, ["ID,Time", "1,2"]);
        (await _host.RunAsync("latent", "--set", "brusselator", "--data", file)).Should().Be(1);
        _host.Error.Should().Contain("line 2");
    }

    private static JsonElement[] Cases(string json) => [.. JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("cases").EnumerateArray()];
}
