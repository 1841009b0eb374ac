using Microsoft.AspNetCore.Builder;
using Microsoft.ML.NeuralOde.Service;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

/// <summary>The commands that measure scoring and serving, and what they write.</summary>
[Trait("Category", "Slow")]
public sealed class ServingCommandTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Figures_of_scoring_and_of_serving_are_written_into_the_document_and_nothing_else_changes()
    {
        string model = _host.PathOf("model.zip"), document = _host.PathOf("performance.md");
        await File.WriteAllTextAsync(document, "before\n<!-- results: written by the command scoring -->\nold\n<!-- end of results -->\nafter\n");

        (await _host.RunAsync("scoring", "--rows", "100", "--seconds", "1", "--model", model, "--markdown", document)).Should().Be(0, _host.Error);
        await using (WebApplication service = PredictionService.Create(["--urls", "http://127.0.0.1:0", "--Model:File", model, "--Logging:LogLevel:Default", "None"]))
        {
            await service.StartAsync();
            string[] load = ["load", "--url", service.Urls.Single(), "--connections", "2", "--seconds", "1", "--markdown", document];
            (await _host.RunAsync(load)).Should().Be(0, _host.Error);
        }

        string text = await File.ReadAllTextAsync(document);
        text.Should().StartWith("before\n<!-- results: written by the command scoring -->\n100 rows, by ").And.NotContain("old\n");
        text.Should().MatchRegex(@"\| `Transform`, batches \| [0-9,]+ \| rows/s \|").And.MatchRegex(@"\| 8 threads, 99th percentile \| [0-9,.]+ \| µs \|");
        text.Should().MatchRegex(@"<!-- end of results -->\nafter\n\n<!-- results: written by the command load -->\nBy .*(?s:.*)\| requests/s \| [0-9,]+ \|\n(?s:.*)\| errors \| 0 \|\n");
        text.Should().EndWith("<!-- end of results -->\n");
    }
}
