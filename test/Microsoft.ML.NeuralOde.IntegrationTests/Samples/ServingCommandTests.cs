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
        await File.WriteAllTextAsync(
            document, "before\n<!-- results: written by the command scoring -->\nold\n<!-- end of results -->\nafter\n");

        (await _host.RunAsync("scoring", "--rows", "100", "--seconds", "1", "--save", model, "--markdown", document)).Should()
            .Be(0, _host.Error);
        await using (WebApplication service =
            PredictionService.Create(["--urls", "http://127.0.0.1:0", "--Model:File", model, "--Logging:LogLevel:Default", "None"]))
        {
            await service.StartAsync();
            string[] load = ["load", "--url", service.Urls.Single(), "--connections", "2", "--seconds", "1", "--markdown", document];
            (await _host.RunAsync(load)).Should().Be(0, _host.Error);
        }

        string text = await File.ReadAllTextAsync(document);
        text.Should().StartWith("before\n<!-- results: written by the command scoring -->\n100 rows, by ").And.NotContain("old\n");
        text.Should()
            .MatchRegex(
                @"\| `Transform`, batches \| [0-9,]+ \| rows/s \|").And.MatchRegex(@"\| 8 threads, 99th percentile \| [0-9,.]+ \| µs \|");
        text.Should()
            .MatchRegex(
                @"<!-- end of results -->\nafter\n\n<!-- results: written by the command load -->\nBy .*(?s:.*)\| requests/s \| [0-9,]+ \|\n(?s:.*)\| errors \| 0 \|\n");
        text.Should().EndWith("<!-- end of results -->\n");

        // The model is measured, never replaced.
        byte[] before = await File.ReadAllBytesAsync(model);
        (await _host.RunAsync("scoring", "--save", model)).Should().Be(1);
        _host.Error.Should().Contain("exists already");
        (await File.ReadAllBytesAsync(model)).Should().Equal(before);
    }

    [Theory]
    [InlineData("foo")]
    [InlineData("localhost:5000")]
    [InlineData("ftp://localhost")]
    [InlineData("")]
    public async Task An_address_that_is_none_is_an_error_line(string url)
    {
        (await _host.RunAsync("load", "--url", url)).Should().Be(1);

        _host.Error.Trim().Should().Be($"--url is '{url}'; an address such as http://localhost:5000 would be right.");
    }

    [Fact]
    public async Task A_service_that_is_not_there_is_an_error_line()
    {
        (await _host.RunAsync("load", "--url", "http://127.0.0.1:1", "--seconds", "1")).Should().Be(1);

        _host.Error.Should().StartWith("Error: No service answers at http://127.0.0.1:1/").And.NotContain("   at ");
    }

    [Theory]
    [InlineData("missing.zip", "there is no file")]
    [InlineData("broken.zip", "is not a model that can be loaded")]
    public async Task A_model_that_cannot_be_measured_is_an_error_line(string name, string message)
    {
        await File.WriteAllTextAsync(_host.PathOf("broken.zip"), "no model");

        (await _host.RunAsync("scoring", "--model", _host.PathOf(name))).Should().Be(1);

        _host.Error.Should().StartWith("Error: --model: ").And.Contain(message).And.NotContain("   at ");
    }
}
