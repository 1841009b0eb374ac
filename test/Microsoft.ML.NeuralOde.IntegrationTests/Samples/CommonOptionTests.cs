using System.CommandLine;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples;
using Microsoft.ML.NeuralOde.Samples.Tutorial;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

/// <summary>Options that all commands have alike.</summary>
public sealed class CommonOptionTests : IDisposable
{
    /// <summary>Commands that draw nothing.</summary>
    private static readonly string[] WithoutChance = ["predict", "report", "solvers"];

    private readonly SampleHost _host = new();

    public static TheoryData<string> Commands
    {
        get
        {
            using var host = new SampleHost();
            return [.. Root(host).Subcommands.Select(command => command.Name)];
        }
    }

    public void Dispose() => _host.Dispose();

    [Theory]
    [MemberData(nameof(Commands))]
    public void Every_command_takes_out_and_json_and_a_seed_where_it_draws(string name)
    {
        System.CommandLine.Command command = Root(_host).Subcommands.Single(one => one.Name == name);
        Option output = Find("--out"), json = Find("--json");
        output.ValueType.Should().Be<string>();
        json.ValueType.Should().Be<string>();
        new[] { output, json }.Should().OnlyContain(option => option.Description!.Length > 0 && !option.Required);
        Option? seed = command.Options.SingleOrDefault(option => option.Name == "--seed");
        if (WithoutChance.Contains(name))
            seed.Should().BeNull();
        else
            (Nullable.GetUnderlyingType(seed!.ValueType) ?? seed.ValueType).Should().Be<int>();
        // What is said in scripts reads alike, whatever else the command needs.
        string[] given = ["--out", "some.file", "--json", "other.file", .. seed is null ? Array.Empty<string>() : ["--seed", "30"]];
        command.Parse(given).Errors.Select(error => error.Message).Should().NotContain(message => given.Any(message.Contains));
        command.Parse(["--out", " "]).Errors.Should().Contain(error => error.Message.Contains(" is empty; a path would be right."));

        Option Find(string wanted) => command.Options.Single(option => option.Name == wanted || option.Aliases.Contains(wanted));
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Every_command_runs_without_any_option_that_is_not_required(string name) =>
        Root(_host).Subcommands.Single(one => one.Name == name).Parse([]).Errors.Select(error => error.Message)
            .Where(message => !message.EndsWith("is required.", StringComparison.Ordinal) && !message.StartsWith("Required argument "))
            .Should().BeEmpty();

    [Fact]
    public async Task What_a_command_says_goes_to_a_file_as_well()
    {
        string text = _host.PathOf("said.txt"), json = _host.PathOf("figures.json");
        (await _host.RunAsync("oscillators", "--steps", "2", "--periods", "1", "--seed", "4", "--out", text, "--json", json))
            .Should().Be(0, _host.Error);
        string said = await File.ReadAllTextAsync(text);
        said.Should().StartWith("A pendulum, learned from 1,000 states").And.Be(_host.Output);
        (await File.ReadAllTextAsync(json)).Should().Contain("\"pendulum\"");

        (await _host.RunAsync("oscillators", "--out", _host.WorkFolder)).Should().Be(1);
        _host.Error.Should().Contain($"--out: '{_host.WorkFolder}' is a folder");
    }

    [Fact]
    public async Task Chapters_take_other_seeds_and_the_documents_are_of_one()
    {
        new TutorialPage(_host.WorkFolder, "00", _host.Display, FigureTheme.Light).Seed(5).Should().Be(5);
        new TutorialPage(_host.WorkFolder, "00", _host.Display, FigureTheme.Light, seed: 7).Seed(5).Should().Be(12);
        (await _host.RunAsync("tutorial", "--chapter", "1", "--seed", "5", "--check", _host.PathOf("out"))).Should().Be(1);
        _host.Error.Should().Contain("--seed excludes --check");
    }

    private static RootCommand Root(SampleHost host) => App.CreateRoot(host.Display, (_, _) => Task.FromResult(0));
}
