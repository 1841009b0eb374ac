using System.Text.Json;
using SkiaSharp;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

/// <summary>The whole way of a newcomer: learn the embedded digits with all defaults, then classify images with the saved model.</summary>
public sealed class MnistStoryTests : IClassFixture<MnistStoryTests.LearnedDigits>
{
    private readonly LearnedDigits _learned;

    public MnistStoryTests(LearnedDigits learned) => _learned = learned;

    [Fact]
    public void It_succeeds_and_says_what_it_does_in_plain_lines()
    {
        _learned.Error.Should().BeEmpty();
        _learned.ExitCode.Should().Be(0);
        _learned.Output.Should().Contain("embedded digits, 4,000 for training and 1,000 for testing").And.NotContain("\x1b");
        _learned.Output.Split('\n').Count(line => line.StartsWith("Epoch ", StringComparison.Ordinal))
            .Should().Be(_learned.Figures.GetProperty("epochs").GetArrayLength());
    }

    [Fact]
    public void At_least_95_of_100_test_images_are_recognised()
    {
        _learned.Figures.GetProperty("testAccuracy").GetDouble().Should().BeGreaterThanOrEqualTo(0.95);

        // The same number by another way: the diagonal of the confusion matrix.
        double[][] counts = _learned.Figures.GetProperty("confusionMatrix").Deserialize<double[][]>()!;
        counts.Sum(row => row.Sum()).Should().Be(1_000);
        (counts.Select((row, digit) => row[digit]).Sum() / 1_000).Should()
            .BeApproximately(_learned.Figures.GetProperty("testAccuracy").GetDouble(), 1e-9);
    }

    [Fact]
    public void The_model_says_the_same_after_it_was_saved_and_loaded()
    {
        _learned.Figures.GetProperty("loadedModelIsEqual").GetBoolean().Should().BeTrue();
        _learned.Output.Should().Contain("1,000 of 1,000 predictions are equal bit by bit");
    }

    [Fact]
    public void Each_epoch_is_reported()
    {
        JsonElement[] epochs = [.. _learned.Figures.GetProperty("epochs").EnumerateArray()];

        epochs.Select(e => e.GetProperty("epoch").GetInt32()).Should().Equal(Enumerable.Range(1, epochs.Length));
        epochs[^1].GetProperty("trainLoss").GetDouble().Should().BeLessThan(epochs[0].GetProperty("trainLoss").GetDouble());
        // Seven evaluations are the least that the default method needs for the first step: one to start and six in the step. The default
        // gradient keeps those of such short solves, and needs no others.
        epochs.Should().OnlyContain(e => e.GetProperty("nfeForward").GetDouble() >= 7 && e.GetProperty("nfeBackward").GetDouble() == 0);
    }

    [Fact]
    public void The_weights_kept_are_those_of_the_smallest_validation_loss()
    {
        JsonElement[] epochs = [.. _learned.Figures.GetProperty("epochs").EnumerateArray()];
        double[] losses = [.. epochs.Select(e => e.GetProperty("validationLoss").GetDouble())];

        epochs.Should().OnlyContain(e => e.GetProperty("validationAccuracy").GetDouble() > 0.5);
        _learned.Output.Should().Contain($"The weights are those of epoch {Array.IndexOf(losses, losses.Min()) + 1},");
        _learned.Output.Split('\n').Where(line => line.StartsWith("Epoch ", StringComparison.Ordinal))
            .Should().OnlyContain(line => line.Contains(", validation "));
    }

    [Fact]
    public async Task A_folder_is_classified_and_what_is_no_digit_is_said_without_an_end()
    {
        using var host = new SampleHost();
        string folder = host.PathOf("pictures"), below = Path.Combine(folder, "more");
        Directory.CreateDirectory(below);
        string digit = Directory.EnumerateFiles(Path.Combine(Directory.GetDirectories(_learned.PathOf("images")).Single(), "test", "7"))
            .First();
        File.Copy(digit, Path.Combine(below, "seven.png"));
        Save(Path.Combine(folder, "inverse.png"), digit, pixel => (byte)(255 - pixel));
        Save(Path.Combine(folder, "nothing.jpg"), digit, _ => 3);
        await File.WriteAllTextAsync(Path.Combine(folder, "broken.png"), "no image");
        await File.WriteAllTextAsync(Path.Combine(folder, "notes.txt"), "no image either");

        (await host.RunAsync("predict", "--model", _learned.PathOf("mnist-model.zip"), folder, host.PathOf("missing.png"))).Should().Be(1);

        string[] lines = host.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines.Should().HaveCount(4);
        lines[0].Should().StartWith(Path.Combine(folder, "inverse.png: ")).And.Contain("background is light");
        lines[1].Should().MatchRegex("seven.png: 7 \\([0-9.]+ ?%\\)$");
        lines[2].Should().StartWith(Path.Combine(folder, "nothing.jpg: ")).And.Contain("nothing is drawn");
        lines[3].Should().Be("2 of 5 files could not be read.");
        host.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Should().HaveCount(2).And.OnlyContain(line => line.StartsWith("Error: "));
        host.Error.Should().Contain("broken.png").And.Contain("missing.png").And.NotContain("notes.txt");

        static void Save(string path, string source, Func<byte, byte> change)
        {
            using var image = SKBitmap.Decode(source, new SKImageInfo(28, 28, SKColorType.Gray8));
            byte[] pixels = Array.ConvertAll(image.GetPixelSpan().ToArray(), pixel => change(pixel));
            using var changed = SKImage.FromPixelCopy(new SKImageInfo(28, 28, SKColorType.Gray8), pixels);
            using SKData data =
                changed.Encode(path.EndsWith(".jpg", StringComparison.Ordinal) ? SKEncodedImageFormat.Jpeg : SKEncodedImageFormat.Png, 100);
            File.WriteAllBytes(path, data.ToArray());
        }
    }

    [Fact]
    public async Task The_saved_model_is_measured_and_stays_as_it_is()
    {
        using var host = new SampleHost();
        byte[] before = await File.ReadAllBytesAsync(_learned.PathOf("mnist-model.zip"));
        string json = host.PathOf("scoring.json");

        string[] scoring = ["scoring", "--model", _learned.PathOf("mnist-model.zip"), "--rows", "100", "--seconds", "1", "--json", json];
        (await host.RunAsync(scoring)).Should().Be(0, host.Error);

        (await File.ReadAllBytesAsync(_learned.PathOf("mnist-model.zip"))).Should().Equal(before);
        host.Output.Should().Contain("784 numbers").And.NotContain("Training");
        JsonElement[] figures =
            [.. JsonDocument.Parse(await File.ReadAllTextAsync(json)).RootElement.GetProperty("figures").EnumerateArray()];
        figures.Should().NotBeEmpty().And.OnlyContain(figure => figure.GetProperty("value").GetDouble() >= 0);
    }

    [Fact]
    public async Task The_saved_model_classifies_image_files()
    {
        using var host = new SampleHost();
        string images = Path.Combine(Directory.GetDirectories(_learned.PathOf("images")).Single(), "test");
        string[] digits = [.. Directory.EnumerateFiles(images, "*.png", SearchOption.AllDirectories).Where((_, i) => i % 20 == 0)];

        (await host.RunAsync(["predict", "--model", _learned.PathOf("mnist-model.zip"), .. digits])).Should().Be(0);

        string[] lines = host.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines.Should().HaveCount(digits.Length);
        int right = digits.Zip(lines,
            (path, line) => line.StartsWith($"{path}: {Path.GetFileName(Path.GetDirectoryName(path))} (", StringComparison.Ordinal))
            .Count(r => r);
        right.Should().BeGreaterThanOrEqualTo(digits.Length * 85 / 100);
    }

    /// <summary>One run for all tests.</summary>
    public sealed class LearnedDigits : IAsyncLifetime, IDisposable
    {
        private readonly SampleHost _host = new();

        public int ExitCode { get; private set; }

        public JsonElement Figures { get; private set; }

        public string Output => _host.Output;

        public string Error => _host.Error;

        public string PathOf(string name) => _host.PathOf(name);

        public async Task InitializeAsync()
        {
            string json = _host.PathOf("figures.json");
            ExitCode = await _host.RunAsync("mnist", "--embedded", "--work", _host.WorkFolder, "--json", json);
            if (File.Exists(json))
                Figures = JsonSerializer.Deserialize<JsonElement>(await File.ReadAllTextAsync(json));
        }

        public Task DisposeAsync() => Task.CompletedTask;

        public void Dispose() => _host.Dispose();
    }
}
