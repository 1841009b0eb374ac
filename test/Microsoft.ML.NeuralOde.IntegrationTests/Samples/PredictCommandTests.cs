using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class PredictCommandTests : IDisposable
{
    private readonly SampleHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task An_image_that_is_not_there_is_named()
    {
        (await _host.RunAsync("predict", "--model", _host.PathOf("model.zip"), _host.PathOf("digit.png"))).Should().Be(1);

        _host.Error.Trim().Should().Be($"Error: There is no image '{_host.PathOf("digit.png")}'.");
    }

    [Theory]
    [InlineData("")]
    [InlineData("This is not an image.")]
    [InlineData("\x89PNG\r\n\x1a\n")]
    public async Task An_image_that_cannot_be_read_is_named(string content)
    {
        await File.WriteAllTextAsync(_host.PathOf("digit.png"), content, System.Text.Encoding.Latin1);

        (await _host.RunAsync("predict", "--model", _host.PathOf("model.zip"), _host.PathOf("digit.png"))).Should().Be(1);

        _host.Error.Should().StartWith($"Error: '{_host.PathOf("digit.png")}' is not an image");
        _host.Output.Should().BeEmpty();
    }

    [Fact]
    public async Task A_model_that_is_not_there_is_named()
    {
        (await _host.RunAsync("predict", "--model", _host.PathOf("model.zip"), Image())).Should().Be(1);

        _host.Error.Trim().Should().Be($"Error: --model: there is no file '{_host.PathOf("model.zip")}'; the command 'mnist' saves one.");
    }

    [Fact]
    public async Task A_file_that_is_not_a_model_is_named()
    {
        string model = _host.PathOf("model.zip");
        await File.WriteAllTextAsync(model, "not a model");

        (await _host.RunAsync("predict", "--model", model, Image())).Should().Be(1);

        _host.Error.Should().StartWith($"Error: --model: '{model}' is not a model that can be loaded").And.NotContain("   at ");
    }

    [Fact]
    public async Task A_model_for_something_else_is_refused()
    {
        string model = _host.PathOf("model.zip");
        var mlContext = new MLContext();
        IDataView rows = mlContext.Data.LoadFromEnumerable([new DigitRow { Label = "1" }]);
        mlContext.Model.SaveSealed(mlContext.Transforms.CopyColumns("Copy", "Label").Fit(rows), rows.Schema, model);

        (await _host.RunAsync("predict", "--model", model, Image())).Should().Be(1);

        _host.Error.Should().StartWith($"Error: --model: '{model}' is not a model that the command 'mnist' has saved");
    }

    [Fact]
    public async Task Model_and_images_are_needed()
    {
        (await _host.RunAsync("predict")).Should().Be(1);

        _host.Error.Should().Contain("--model").And.Contain("IMAGE");
    }

    private string Image() =>
        DigitFiles.Prepare(EmbeddedDigits.Load(), limit: 1, _host.WorkFolder, _ => { }, CancellationToken.None).Train[0].ImagePath;
}
