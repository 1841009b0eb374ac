using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Density;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class DrawnTableTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task A_table_is_learned_and_another_one_with_its_header_is_written()
    {
        string table = _host.PathOf("table.csv"), output = _host.PathOf("drawn.csv"), json = _host.PathOf("drawn.json");
        var random = new Random(1);
        File.WriteAllLines(table, ["kind,\"size, mm\",count,unit", .. Enumerable.Range(0, 200).Select(i => string.Create(
            CultureInfo.InvariantCulture,
            $"{(i % 2 == 0 ? "\"a \"\"quoted\"\", one\"" : "other")},{i % 2 + random.NextDouble():F3},{random.Next(4)},mm"))]);

        (await _host.RunAsync("density", "--table", table, "--rows", "120", "--epochs", "3", "--out", output, "--json", json)).Should()
            .Be(0, _host.Error);

        string[][] lines = [.. File.ReadAllLines(output).Select(line => CsvLine.Split(line).ToArray())];
        lines[0].Should().Equal("kind", "size, mm", "count", "unit");
        lines.Should().HaveCount(121).And.OnlyContain(cells => cells.Length == 4);
        lines.Skip(1).Should().OnlyContain(cells => cells[0] == "a \"quoted\", one" || cells[0] == "other");
        lines.Skip(1).Select(cells => cells[2]).Should().BeSubsetOf(["0", "1", "2", "3"]);
        lines.Skip(1).Should().OnlyContain(cells => cells[3] == "mm", "what all rows have, all drawn rows have");
        JsonElement result = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        (result.GetProperty("trainingRows").GetInt32() + result.GetProperty("heldBackRows").GetInt32()).Should().Be(200);
        result.GetProperty("numbers").GetInt32().Should().Be(2);
        _host.Output.Should().Contain("Distance to the nearest training row");
    }

    [Fact]
    public async Task Missing_numbers_are_refused_unless_it_is_said_what_becomes_of_them()
    {
        string table = _host.PathOf("gaps.csv"), output = _host.PathOf("drawn.csv");
        File.WriteAllLines(table, ["x,y", .. Enumerable.Range(0, 60).Select(i => string.Create(
            CultureInfo.InvariantCulture, $"{(i % 10 == 3 ? "NA" : $"{i % 7}.5")},{i * 0.1}"))]);
        string[] command = ["density", "--table", table, "--rows", "20", "--epochs", "1", "--out", output];

        (await _host.RunAsync(command)).Should().Be(1);
        _host.Error.Should().Contain("line 5: the number in column 'x' is missing, as are 6 of 60").And.Contain("--missing drop");

        (await _host.RunAsync([.. command, "--missing", "drop"])).Should().Be(0, _host.Error);
        _host.Output.Should().MatchRegex("Learned from 4[0-9] rows");
        (await _host.RunAsync([.. command, "--missing", "mean"])).Should().Be(0, _host.Error);
        File.ReadAllLines(output).Skip(1).Should().OnlyContain(line => !line.Contains("NaN"));
    }

    [Theory]
    [InlineData("1,2\n", "line 1: a header")]
    [InlineData("a,a\n1,2\n", "two columns are called 'a'")]
    [InlineData("a,b\n1\n", "line 2: 1 columns, but the header has 2")]
    [InlineData("a,b\n1,2\n", "1 rows are too few; at least 20")]
    public async Task A_bad_table_is_answered_with_the_place_and_what_is_wrong(string text, string message)
    {
        string table = _host.PathOf("bad.csv");
        File.WriteAllText(table, text);

        (await _host.RunAsync("density", "--table", table, "--out", _host.PathOf("drawn.csv"))).Should().Be(1);

        _host.Error.Should().Contain("bad.csv").And.Contain(message);
    }

    [Fact]
    public async Task Options_of_one_kind_do_not_go_with_the_other()
    {
        (await _host.RunAsync("density", "--table", "t.csv", "--steps", "5")).Should().Be(1);
        _host.Error.Should().Contain("--steps does not go with --table");
        (await _host.RunAsync("density", "--rows", "5")).Should().Be(1);
        _host.Error.Should().Contain("--rows goes with --table");
    }

    [Theory]
    [InlineData("a,b", "a", "b")]
    [InlineData(" a , \"b, c\"", "a", "b, c")]
    [InlineData("\"say \"\"so\"\"\",", "say \"so\"", "")]
    [InlineData("\"\",x", "", "x")]
    public void Cells_are_told_apart_as_the_format_says(string line, string first, string second) =>
        CsvLine.Split(line).Should().Equal(first, second);

    [Fact]
    public void Copies_are_told_from_rows_of_the_same_density()
    {
        var random = new Random(1);
        float[][] training = Draw(300), heldBack = Draw(100), others = Draw(400);

        CopyCheck fair = CopyCheck.Of(training, heldBack, others),
            copied = CopyCheck.Of(training, heldBack, [.. others[..200], .. training[..200]]);

        fair.LooksCopied.Should().BeFalse();
        fair.EqualRows.Should().Be(0);
        fair.MedianDistance.Should().BeApproximately(fair.HeldBackMedianDistance, 0.3 * fair.HeldBackMedianDistance);
        copied.LooksCopied.Should().BeTrue();
        copied.EqualRows.Should().Be(0.5);

        float[][] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => new[] { random.NextSingle(), 10 * random.NextSingle() })];
    }
}
