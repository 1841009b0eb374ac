using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Anomalies;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class AnomalyProtocolTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Theory]
    [InlineData(0.05, 3)]
    [InlineData(0.1, 7)]
    [InlineData(0.4, 10)]
    [InlineData(0, 0)]
    public void Anomalies_among_the_training_rows_make_up_the_share_and_are_not_scored(double share, int expected)
    {
        // 60 of 100 normal rows train; of 20 anomalies ten at most are moved: 3 / 63, 7 / 67, 10 / 70.
        AnomalyRow[] rows = [.. Enumerable.Range(0, 120).Select(i => new AnomalyRow { Features = [i], Label = i < 100 ? 0 : 1, Line = i })];
        AnomalySplit split = AnomalySplit.Of(rows, SplitProtocol.Modulo, 1), contaminated = split.Contaminated(share, seed: 2);

        contaminated.Training.Count(row => row.Label == 1).Should().Be(expected);
        contaminated.Contamination.Should().BeApproximately(expected / (60.0 + expected), 1e-12);
        contaminated.Training.Take(60).Should().Equal(split.Training);
        contaminated.Training.Concat(contaminated.Test).Select(row => row.Line).Order().Should().Equal(Enumerable.Range(0, 120));
        contaminated.Training.Should().Equal(split.Contaminated(share, seed: 2).Training, "a seed repeats them");
    }

    [Fact]
    public async Task False_alarms_are_counted_and_stand_in_the_document_beside_what_people_wrote()
    {
        string table = _host.PathOf("rows.csv"), document = _host.PathOf("document.md"), json = _host.PathOf("result.json");
        var random = new Random(1);
        File.WriteAllLines(table, ["x0,x1,label", .. Enumerable.Range(0, 520).Select(i => string.Create(
            CultureInfo.InvariantCulture, $"{random.NextDouble() + (i < 500 ? 0 : 30)},{random.NextDouble()},{(i < 500 ? 0 : 1)}"))]);
        File.WriteAllText(document, "# Mine\n\nBefore.\n");

        (await _host.RunAsync("anomaly", "--data", table, "--epochs", "2", "--detectors", "flow,KNN5", "--contaminate", "0.02",
            "--trim", "0.02", "--markdown", document, "--json", json)).Should().Be(0, _host.Error);

        JsonElement result = JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("datasets")[0];
        result.GetProperty("rows").GetInt32().Should().Be(520);
        result.GetProperty("contamination").GetDouble().Should().BeApproximately(6 / 306.0, 1e-12);
        JsonElement[] alarms = [.. result.GetProperty("falseAlarms").EnumerateArray()];
        alarms.Select(one => one.GetProperty("asked").GetDouble()).Should().Equal(0.05, 0.1);
        foreach (JsonElement one in alarms)
        {
            // 200 normal rows are left, of which 100 calibrate and 100 are judged.
            double asked = one.GetProperty("asked").GetDouble(), chance = one.GetProperty("chance").GetDouble();
            chance.Should().BeApproximately(Math.Sqrt(asked * (1 - asked) * (1 / 100.0 + 1 / 102.0)), 1e-12);
            one.GetProperty("calibrated").GetDouble().Should().BeApproximately(asked, 4 * chance);
            double judged = 100 * one.GetProperty("calibrated").GetDouble();
            judged.Should().BeApproximately(Math.Round(judged), 1e-9);
        }
        string text = File.ReadAllText(document);
        text.Should().StartWith("# Mine\n\nBefore.\n").And.Contain("written by the command anomaly").And.Contain("| rows | 520 | 2 |")
            .And.Contain("calibrated 5 %").And.Contain("of a processor for the table in the middle");
        result.GetProperty("processorSeconds").GetDouble().Should().BePositive();

        // The other protocol has a part of its own, without times where the flow did not run.
        (await _host.RunAsync("anomaly", "--data", table, "--detectors", "KNN5", "--protocol", "halves", "--markdown", document))
            .Should().Be(0, _host.Error);
        string more = File.ReadAllText(document);
        more.Should().StartWith(text.TrimEnd()).And.Contain("written by the command anomaly --protocol halves");
        more[text.Length..].Should().Contain("KNN5").And.NotContain("in the middle").And.NotContain("| flow |");
    }
}
