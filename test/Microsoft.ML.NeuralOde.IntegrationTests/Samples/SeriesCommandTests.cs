using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class SeriesCommandTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task A_set_is_trained_on_by_shares_of_dropped_observations_beside_simple_methods()
    {
        Write("TRAIN", 1, regression: false);
        Write("TEST", 2, regression: false);
        string json = _host.PathOf("series.json"), plot = _host.PathOf("series.png");

        (await _host.RunAsync("series", "--data", _host.WorkFolder, "--drop", "0,0.3", "--epochs", "20", "--json", json,
            "--plot", plot)).Should().Be(0, _host.Error);

        _host.Output.Should().ContainAll("Small: 24 series", "neural CDE", "logistic regression on summaries", "nearest mean", "30 %");
        JsonElement[] shares = [.. JsonDocument.Parse(File.ReadAllText(json)).RootElement.EnumerateArray()];
        shares.Select(share => share.GetProperty("drop").GetDouble()).Should().Equal(0, 0.3);
        shares[0].GetProperty("name").GetString().Should().Be("Small");
        shares[0].GetProperty("accuracy").GetDouble().Should().BeGreaterThan(0.8, "waves of two lengths");
        shares[0].GetProperty("seconds").GetDouble().Should().BePositive();
        shares[0].TryGetProperty("rmse", out JsonElement _).Should().BeFalse();
        File.ReadAllBytes(plot).Take(4).Should().Equal(0x89, (byte)'P', (byte)'N', (byte)'G');
    }

    [Fact]
    public async Task Numbers_are_predicted_and_masks_are_followed()
    {
        Write("TRAIN", 1, regression: true);
        Write("TEST", 2, regression: true);
        string masks = Path.Combine(_host.WorkFolder, "masks"), json = _host.PathOf("series.json");
        Directory.CreateDirectory(masks);
        File.WriteAllLines(Path.Combine(masks, "Small_drop50.txt"), ["# kept", .. Enumerable.Repeat("0 2 4 6 8", 48)]);

        (await _host.RunAsync("series", "--data", _host.WorkFolder, "--drop", "0.5", "--masks", masks, "--epochs", "2", "--json",
            json)).Should().Be(0, _host.Error);

        JsonElement share = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        share.GetProperty("rmse").GetDouble().Should().BePositive();
        _host.Output.Should().Contain("mean of the targets");
        File.WriteAllLines(Path.Combine(masks, "Small_drop50.txt"), ["0 2"]);
        (await _host.RunAsync("series", "--data", _host.WorkFolder, "--drop", "0.5", "--masks", masks)).Should().Be(1);
        _host.Error.Should().Contain("1 lines for 48 series");
    }

    [Fact]
    public async Task What_is_missing_is_named()
    {
        (await _host.RunAsync("series", "--data", _host.PathOf("nowhere"))).Should().Be(1);
        _host.Error.Should().Contain("nowhere");
        (await _host.RunAsync("series", "--data", _host.WorkFolder)).Should().Be(1);
        _host.Error.Should().Contain("_TRAIN.ts");
        Write("TRAIN", 1, regression: false);
        (await _host.RunAsync("series", "--data", _host.WorkFolder)).Should().Be(1);
        _host.Error.Should().Contain("Small_TEST.ts");
        (await _host.RunAsync("series", "--data", _host.WorkFolder, "--drop", "1")).Should().NotBe(0);
        _host.Error.Should().Contain("--drop is '1'");
    }

    /// <summary>Waves of one channel, slow ones and fast ones.</summary>
    private void Write(string part, int seed, bool regression)
    {
        var random = new Random(seed);
        var text = new StringBuilder(
            $"@problemName Small\n@univariate true\n{(regression ? "@targetLabel true" : "@classLabel true slow fast")}\n@data\n");
        for (int i = 0; i < 24; i++)
        {
            double phase = 6 * random.NextDouble(), speed = i % 2 == 0 ? 0.3 : 1.2;
            int length = random.Next(16, 24);
            text.AppendJoin(
                ',', Enumerable.Range(0, length).Select(t => Math.Sin(phase + speed * t).ToString("F4", CultureInfo.InvariantCulture)));
            text.Append(CultureInfo.InvariantCulture,
                $":{(regression ? speed.ToString(CultureInfo.InvariantCulture) : i % 2 == 0 ? "slow" : "fast")}\n");
        }
        File.WriteAllText(Path.Combine(_host.WorkFolder, $"Small_{part}.ts"), text.ToString());
    }
}
