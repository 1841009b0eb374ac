using System.Globalization;
using System.Text.Json;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class ForecastCommandTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Sunspots_are_forecast_beside_simple_methods()
    {
        string json = _host.PathOf("forecast.json"), plot = _host.PathOf("forecast.png");
        (await _host.RunAsync("forecast", "--epochs", "2", "--horizon", "5", "--json", json, "--plot", plot)).Should().Be(0, _host.Error);

        _host.Output.Should().ContainAll("309 observations", "latent ODE", "seasonal naive", "exponential smoothing", "drift");
        JsonElement all = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        all.GetProperty("horizon").GetInt32().Should().Be(5);
        all.GetProperty("coverage").GetDouble().Should().BeInRange(0.5, 1);
        JsonElement naive = all.GetProperty("baselines").GetProperty("naive");
        all.GetProperty("mase").GetDouble().Should().BePositive().And.BeLessThan(naive.GetProperty("mase").GetDouble());
        naive.GetProperty("mae").GetDouble().Should().BePositive();
        File.ReadAllBytes(plot).Take(4).Should().Equal(0x89, (byte)'P', (byte)'N', (byte)'G');
    }

    [Fact]
    public async Task Many_series_of_an_archive_are_forecast()
    {
        string file = Path.Combine(_host.WorkFolder, "small.tsf"), json = _host.PathOf("forecast.json");
        IEnumerable<string> series = Enumerable.Range(0, 4).Select(k => $"T{k}:" + string.Join(",", Enumerable.Range(0, 60).Select(
            i => (10 * k + 3 * Math.Sin(i * Math.Tau / 6)).ToString("F4", CultureInfo.InvariantCulture))));
        File.WriteAllLines(file, [
            "@relation small", "@attribute series_name string", "@frequency daily", "@horizon 3", "@missing false",
            "@equallength true", "@data",
            .. series,
        ]);

        (await _host.RunAsync("forecast", "--data", file, "--horizon", "3", "--epochs", "2", "--json", json)).Should().Be(0, _host.Error);

        _host.Output.Should().Contain("4 series").And.Contain("4 forecasts");
        JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("mae").GetDouble().Should().BeLessThan(0.1);
    }

    [Fact]
    public async Task What_is_wrong_is_named()
    {
        (await _host.RunAsync("forecast", "--data", _host.PathOf("nowhere.csv"))).Should().Be(1);
        _host.Error.Should().Contain("nowhere.csv");
        string file = Path.Combine(_host.WorkFolder, "wrong.csv");
        File.WriteAllLines(file, ["time,value", "1,2", "x,3"]);
        (await _host.RunAsync("forecast", "--data", file)).Should().Be(1);
        _host.Error.Should().Contain("line 3");
        File.WriteAllLines(file, ["time,value", "1,2", "2,3"]);
        (await _host.RunAsync("forecast", "--data", file)).Should().Be(1);
        _host.Error.Should().Contain("long enough");
    }
}
