using Microsoft.ML.NeuralOde.Samples;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class OutputFileTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public void A_file_is_replaced_as_a_whole()
    {
        string path = _host.PathOf("figures.json");
        File.WriteAllText(path, new string('x', 100_000));

        OutputFile.At("--json", path)!.Write("short");

        File.ReadAllText(path).Should().Be("short");
        Directory.EnumerateFiles(_host.WorkFolder).Should().Equal(path);
    }

    [Fact]
    public void Folders_that_are_missing_are_made()
    {
        string path = _host.PathOf(Path.Combine("a", "b", "figures.json"));

        OutputFile.At("--json", path)!.Write("text");

        File.ReadAllText(path).Should().Be("text");
    }

    [Fact]
    public void No_path_is_no_file() => OutputFile.At("--json", null).Should().BeNull();

    [Fact]
    public void A_file_that_may_not_exist_is_refused()
    {
        string path = _host.PathOf("model.zip");
        File.WriteAllText(path, "model");

        FluentActions.Invoking(() => OutputFile.At("--save", path, mayExist: false))
            .Should().Throw<UserException>().WithMessage($"--save: '{path}' exists already*");
        File.ReadAllText(path).Should().Be("model");
    }

    [Theory]
    [InlineData("mnist", "--json")]
    [InlineData("mnist", "--model")]
    [InlineData("scoring", "--json")]
    [InlineData("scoring", "--markdown")]
    [InlineData("scoring", "--save")]
    [InlineData("density", "--json")]
    [InlineData("density", "--png")]
    [InlineData("tabular", "--json")]
    [InlineData("solvers", "--json")]
    [InlineData("solvers", "--markdown")]
    [InlineData("anomaly", "--out")]
    [InlineData("anomaly", "--json")]
    [InlineData("load", "--json")]
    [InlineData("load", "--markdown")]
    public async Task Every_command_refuses_a_folder_as_its_output_before_any_work(string command, string option)
    {
        string[] required = command switch
        {
            "anomaly" => ["--data", "nothing.csv"],
            "mnist" => ["--work", _host.WorkFolder],
            _ => [],
        };

        (await _host.RunAsync([command, .. required, option, _host.WorkFolder])).Should().Be(1);

        _host.Error.Trim().Should().Be($"Error: {option}: '{_host.WorkFolder}' is a folder; the name of a file would be right.");
        _host.Output.Should().BeEmpty();
    }
}
