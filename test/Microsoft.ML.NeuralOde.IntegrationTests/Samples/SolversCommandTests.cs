using System.Text.Json;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class SolversCommandTests : IDisposable
{
    private readonly SampleHost _host = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose()
    {
        _host.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_method_is_measured_on_every_problem()
    {
        string json = Path.Combine(_folder, "solvers.json");

        (await _host.RunAsync("solvers", "--method", "tsit5", "--json", json)).Should().Be(0);

        _host.Output.Should().Contain("tsit5").And.Contain("van der Pol");
        JsonElement method = JsonDocument.Parse(File.ReadAllText(json)).RootElement.GetProperty("methods").EnumerateArray().Single();
        method.GetProperty("name").GetString().Should().Be("tsit5");
        method.GetProperty("theoreticalOrder").GetInt32().Should().Be(5);
        method.GetProperty("observedOrder").GetDouble().Should().BeApproximately(5, 0.5);
        JsonElement[] problems = [.. method.GetProperty("problems").EnumerateArray()];
        problems.Should().HaveCount(3);
        problems.Should().OnlyContain(p => p.GetProperty("evaluations").GetInt64() > 10 && p.GetProperty("maxError").GetDouble() < 1e-3);
    }

    [Fact]
    public async Task An_unknown_method_is_answered_with_the_known_ones()
    {
        (await _host.RunAsync("solvers", "--method", "dopri6")).Should().Be(1);

        _host.Error.Should().Contain("dopri6").And.Contain("dopri5");
    }

    [Fact]
    public void The_document_names_every_method()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Microsoft.ML.NeuralOde.sln")))
            folder = Path.GetDirectoryName(folder)!;
        string document = File.ReadAllText(Path.Combine(folder, "docs", "solvers.md"));

        foreach (OdeMethod method in OdeMethod.All)
            document.Should().Contain($"| `{method.Name}` |");
    }
}
