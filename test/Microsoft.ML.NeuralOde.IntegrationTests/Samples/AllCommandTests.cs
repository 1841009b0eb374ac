using System.CommandLine;
using Microsoft.ML.NeuralOde.Samples;
using Microsoft.ML.NeuralOde.Samples.Everything;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class AllCommandTests : IDisposable
{
    private readonly SampleHost _host = new();
    private readonly List<string[]> _lines = [];

    public AllCommandTests() => Directory.CreateDirectory(_host.PathOf("work/images/a/test/7"));

    public void Dispose() => _host.Dispose();

    [Fact]
    public void Every_command_is_a_story_whose_options_are_right()
    {
        RootCommand root = App.CreateRoot(_host.Display, (_, _) => Task.FromResult(0));
        string[][] lines = [.. Story.All(_host.WorkFolder).Select(story => (string[])[.. story.Args(), .. story.Quick])];

        foreach (string[] line in lines)
            root.Parse(line).Errors.Should().BeEmpty(string.Join(' ', line));
        foreach (Story story in Story.All(_host.WorkFolder))
            root.Subcommands.Single(command => command.Name == story.Args()[0]).Options.Any(option => option.Name == "--seed")
                .Should().Be(story.IsRandom, story.Args()[0]);
        lines.Select(line => line[0]).Should().BeEquivalentTo(root.Subcommands.Select(command => command.Name).Except(["all", "load"]));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_story_that_fails_stops_no_other_and_is_said(bool quick)
    {
        RootCommand root = App.CreateRoot(_host.Display, (line, _) =>
        {
            _lines.Add(line);
            return Task.FromResult(line[0] == "solvers" ? 1 : 0);
        });
        string json = _host.PathOf("all.json");

        (await root.Parse(["all", "--out", _host.WorkFolder, "--json", json, "--seed", "6", .. quick ? ["--quick"] : Array.Empty<string>()])
            .InvokeAsync()).Should().Be(1);

        _lines.Select(line => line[0]).Should().Contain("solvers").And.EndWith(["tutorial"]);
        _lines.Any(line => line.Contains("--epochs")).Should().Be(quick);
        _lines.Single(line => line[0] == "mnist").Should().EndWith(["--seed", "6"]);
        _lines.Single(line => line[0] == "solvers").Should().NotContain("--seed");
        (await File.ReadAllTextAsync(json)).Should().Contain("\"succeeded\": false");
        _host.Output.Should().Contain("FAILED");
    }

    [Fact]
    public async Task Without_a_command_the_stories_are_listed()
    {
        (await _host.RunAsync()).Should().Be(0);

        _host.Output.Should().Contain("mnist").And.Contain("report").And.Contain("Learn handwritten digits");
    }
}
