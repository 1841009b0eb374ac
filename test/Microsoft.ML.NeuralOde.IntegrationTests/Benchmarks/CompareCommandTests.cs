using System.Text.Json;
using Microsoft.ML.NeuralOde.Benchmarks;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Benchmarks;

public sealed class CompareCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_quick_run_without_a_peer_writes_results_of_every_kind_of_workload()
    {
        string json = Path.Combine(_folder, "results.json");
        string markdown = Path.Combine(_folder, "results.md");
        File.WriteAllText(markdown, "before\n<!-- results: written by the command compare -->\nold\n<!-- end of results -->\nafter\n");
        foreach (string only in new[] { "seed epoch, adjoint", "seed inference, batch 128", "ODE-Net, 20 batches, direct",
            "ODE-Net, 20 batches in two steps", "flow step, Hutchinson, d = 2" })
            (await RunAsync("--quick", "--threads", "1", "--only", only, "--json", json, "--merge", "--markdown", markdown)).Should().Be(0);

        JsonElement root = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        JsonElement[] workloads = [.. root.GetProperty("workloads").EnumerateArray()];
        workloads.Should().HaveCount(12);
        workloads.Select(w => w.GetProperty("name").GetString()).Should().Contain(
            [.. new[] { "user-written", "layered", "built-in" }.Select(kind => $"seed epoch, adjoint, {kind} dynamics")]);
        workloads.Should().OnlyContain(w => w.GetProperty("ours").GetDouble() > 0 && w.GetProperty("peer").ValueKind == JsonValueKind.Null
            && w.GetProperty("ratio").ValueKind == JsonValueKind.Null && w.GetProperty("unit").GetString() != "");
        root.GetProperty("mnist").GetBoolean().Should().BeFalse();
        string document = File.ReadAllText(markdown);
        document.Should().StartWith("before\n").And.EndWith("after\n").And.NotContain("old\n");
        foreach (JsonElement workload in workloads)
            document.Should().Contain($"| {workload.GetProperty("name").GetString()} |");
    }

    /// <summary>A second peer's figures become figures of the workload, its ratio what they are beside ours.</summary>
    [Theory]
    [InlineData("seed epoch, adjoint, built-in", "seed backsolve batch 128", 469 * 0.0055)]
    [InlineData("seed epoch, default gradient against their direct, built-in", "seed checkpointed batch 128", 469 * 0.0055)]
    [InlineData("seed inference, batch 128, built-in", "infer batch 128", 128 / 0.0055)]
    [InlineData("flow step, Hutchinson, d = 43, adjoint", "flow d=43 backsolve", 5.5)]
    public async Task Diffrax_is_a_second_peer(string workload, string line, double figure)
    {
        string json = Path.Combine(_folder, "results.json"), script = Path.Combine(_folder, "script");
        File.WriteAllText(script, $"echo 'some words'\necho 'diffrax {line}: 5.500 ms (compile 3.2 s)'\necho 'diffrax other: 1 ms'\n");
        (await RunAsync("--quick", "--threads", "1", "--only", workload, "--json", json, "--diffrax-python", "sh", "--diffrax-script", script))
            .Should().Be(0);

        JsonElement found = JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("workloads").EnumerateArray().Single();
        double ours = found.GetProperty("ours").GetDouble();
        found.GetProperty("diffrax").GetDouble().Should().BeApproximately(figure, 1e-9 * figure);
        found.GetProperty("diffraxRatio").GetDouble().Should()
            .BeApproximately(workload.Contains("inference") ? ours / figure : figure / ours, 1e-9);
    }

    [Fact]
    public async Task What_was_recorded_of_Diffrax_elsewhere_makes_no_ratio()
    {
        string json = Path.Combine(_folder, "results.json"), markdown = Path.Combine(_folder, "results.md");
        File.WriteAllText(markdown, "<!-- results: written by the command compare -->\n<!-- end of results -->\n");
        (await RunAsync("--quick", "--threads", "1", "--only", "Hutchinson, d = 2, adjoint", "--json", json, "--markdown", markdown))
            .Should().Be(0);

        JsonElement found = JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("workloads").EnumerateArray().Single();
        found.GetProperty("diffrax").GetDouble().Should().Be(34);
        found.GetProperty("diffraxRatio").ValueKind.Should().Be(JsonValueKind.Null);
        File.ReadAllText(markdown).Should().Contain("| (34) | – |").And.Contain("recorded");
    }

    [Fact]
    public async Task A_script_without_figures_is_an_error_that_says_so()
    {
        string script = Path.Combine(_folder, "script");
        File.WriteAllText(script, "echo nothing\n");
        Func<Task> run = () => CompareCommand.Create().Parse(["--quick", "--diffrax-python", "sh", "--diffrax-script", script])
            .InvokeAsync(new System.CommandLine.InvocationConfiguration { EnableDefaultExceptionHandler = false });
        (await run.Should().ThrowAsync<InvalidOperationException>()).WithMessage("*printed no line of the form*");
    }

    [Theory]
    [InlineData("--peer-python", "python3")]
    [InlineData("--diffrax-script", "script.py")]
    public async Task Half_a_peer_is_refused(string option, string value) => (await RunAsync(option, value)).Should().NotBe(0);

    private static Task<int> RunAsync(params string[] args) => CompareCommand.Create().Parse(args).InvokeAsync();
}
