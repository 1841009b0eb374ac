using System.Globalization;
using System.Text.Json;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class AnomalyCommandTests : IDisposable
{
    private readonly SampleHost _host = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose()
    {
        _host.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Every_table_of_a_folder_is_evaluated_beside_the_baselines()
    {
        Write("near.csv", distance: 3);
        Write("far.csv", distance: 30);
        File.WriteAllText(Path.Combine(_folder, "baselines.csv"), "dataset,anomalies,Other,Third\nfar,20,0.75,0.5\n");
        string json = Path.Combine(_folder, "result.json");

        (await _host.RunAsync("anomaly", "--data", _folder, "--epochs", "2", "--json", json)).Should().Be(0, _host.Error);

        JsonElement root = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        JsonElement[] datasets = [.. root.GetProperty("datasets").EnumerateArray()];
        datasets.Select(d => d.GetProperty("name").GetString()).Should().Equal("far", "near");
        datasets[0].GetProperty("auroc").GetDouble().Should().Be(1);
        datasets[1].GetProperty("auroc").GetDouble().Should().BeInRange(0.6, 1);
        datasets.Should().OnlyContain(d => d.GetProperty("seconds").GetDouble() > 0);
        root.GetProperty("meanAuroc")
            .GetDouble().Should().BeApproximately(datasets.Average(d => d.GetProperty("auroc").GetDouble()), 1e-12);
        _host.Output.Should().Contain("Other").And.Contain("0.7500").And.Contain("mean");
    }

    [Theory]
    [InlineData("x0,label\n1,0\n2,0\nthree,1\n", "line 4, column 1: 'three' is no number")]
    [InlineData("x0,label\n1,0\n2,2\n", "line 3: the label is 2; 0 (normal) or 1 (anomaly) was expected")]
    [InlineData("x0,label\n1,0\n2\n", "line 3: 1 columns, but the header has 2")]
    [InlineData("x0,y\n1,0\n", "1 rows are too few; at least two are needed")]
    [InlineData("1,0\n2,0\n", "line 1: a header with the names of the columns was expected")]
    [InlineData("label\n1\n0\n", "line 1: there is no column beside the label")]
    [InlineData("", "line 1: a header with the names of the columns was expected")]
    [InlineData("x0,label\n1,0\n2,0\n", "2 rows are too few")]
    public async Task A_bad_table_is_answered_with_the_place_and_what_is_wrong(string text, string message)
    {
        string file = Path.Combine(_folder, "bad.csv");
        File.WriteAllText(file, text);

        (await _host.RunAsync("anomaly", "--data", file)).Should().Be(1);

        _host.Error.Should().Contain("bad.csv").And.Contain(message);
    }

    [Fact]
    public async Task Rows_without_labels_are_scored_and_the_strange_one_comes_first()
    {
        var random = new Random(3);
        string file = Path.Combine(_folder, "rows.csv"), output = Path.Combine(_folder, "found", "scores.csv"),
            json = Path.Combine(_folder, "result.json");
        // The strange row is in line 42, after a line that is empty.
        IEnumerable<string> rows = Enumerable.Range(0, 200).Select(i => i == 38 ? "" :
            string.Create(CultureInfo.InvariantCulture, $"{random.NextDouble() + (i == 40 ? 20 : 0)},{random.NextDouble()}"));
        File.WriteAllLines(file, ["x0,x1", .. rows]);

        (await _host.RunAsync("anomaly", "--data", file, "--epochs", "2", "--out", output, "--json", json)).Should().Be(0, _host.Error);

        string[] lines = File.ReadAllLines(output);
        lines[0].Should().Be("data,line,score,anomaly,label");
        lines.Should().HaveCount(200, "there are 199 rows that are not empty");
        lines[1].Should().MatchRegex("^rows,42,[0-9.E+-]+,1,$");
        double[] scores = [.. lines.Skip(1).Select(line => double.Parse(line.Split(',')[2], CultureInfo.InvariantCulture))];
        scores.Should().BeInDescendingOrder();
        _host.Output.Should().Contain("learned from all 199 rows").And.MatchRegex("line 42: score .*strange in: x0");
        JsonElement result = JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("datasets")[0];
        result.GetProperty("auroc").ValueKind.Should().Be(JsonValueKind.Null);
        result.GetProperty("anomalies").GetInt32().Should().Be(lines.Skip(1).Count(line => line.Split(',')[3] == "1"));
    }

    [Fact]
    public async Task Scored_rows_of_a_labelled_table_bear_their_line_and_label()
    {
        Write("far.csv", distance: 30);
        string output = Path.Combine(_folder, "scores.csv");

        (await _host.RunAsync("anomaly", "--data", Path.Combine(_folder, "far.csv"), "--epochs", "2", "--out", output)).Should()
            .Be(0, _host.Error);

        // 60 of 100 normal rows train: of 120 rows 60 are scored. The last 20 lines of the file are the anomalies.
        string[][] rows = [.. File.ReadLines(output).Skip(1).Select(line => line.Split(','))];
        rows.Should().HaveCount(60);
        rows.Take(20).Should().OnlyContain(row => row[4] == "1" && int.Parse(row[1], CultureInfo.InvariantCulture) > 101);
        rows.Skip(20).Should().OnlyContain(row => row[4] == "0");
    }

    [Fact]
    public async Task A_path_without_tables_is_refused()
    {
        (await _host.RunAsync("anomaly", "--data", Path.Combine(_folder, "nothing"))).Should().Be(1);
        _host.Error.Should().Contain("there is no file or folder");

        (await _host.RunAsync("anomaly", "--data", _folder)).Should().Be(1);
        _host.Error.Should().Contain("holds no CSV file whose last column is 'label'");
    }

    private void Write(string name, double distance)
    {
        var random = new Random(1);
        IEnumerable<string> rows = Enumerable.Range(0, 120).Select(i =>
            string.Create(CultureInfo.InvariantCulture,
                $"{random.NextDouble() + (i < 100 ? 0 : distance)},{random.NextDouble()},{(i < 100 ? 0 : 1)}"));
        File.WriteAllLines(Path.Combine(_folder, name), ["x0,x1,label", .. rows]);
    }
}
