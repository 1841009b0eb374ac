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

    [Fact]
    public async Task Half_a_peer_is_refused() => (await RunAsync("--peer-python", "python3")).Should().NotBe(0);

    private static Task<int> RunAsync(params string[] args) => CompareCommand.Create().Parse(args).InvokeAsync();
}
