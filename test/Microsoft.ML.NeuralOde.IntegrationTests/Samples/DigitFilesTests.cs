using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Digits;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Samples;

public sealed class DigitFilesTests : IDisposable
{
    private readonly SampleHost _host = new();
    private readonly DigitData _data = EmbeddedDigits.Load().Limit(40);

    public void Dispose() => _host.Dispose();

    [Fact]
    public void The_pipeline_reads_from_the_files_the_pixels_that_were_written()
    {
        DigitFiles files = Prepare(_data);
        var mlContext = new MLContext();
        IDataView rows = mlContext.Data.LoadFromEnumerable(files.Train);

        IDataView read = DigitPipeline.ReadImages(mlContext).Fit(rows).Transform(rows);

        float[][] features = [.. read.GetColumn<float[]>("Features")];
        features.Should().HaveCount(40);
        for (int i = 0; i < features.Length; i++)
            features[i].Should().Equal(_data.Train.GetPixels(i).ToArray().Select(p => p * (1 / 255f)));
        read.GetColumn<uint>("Label").Should().Equal(_data.Train.Labels.ToArray().Select(label => label + 1u));
        VBuffer<ReadOnlyMemory<char>> names = default;
        read.Schema["Label"].GetKeyValues(ref names);
        names.GetValues().ToArray().Select(n => n.ToString()).Should().Equal("0", "1", "2", "3", "4", "5", "6", "7", "8", "9");
    }

    [Fact]
    public void Files_are_written_once_and_what_is_missing_is_added()
    {
        DigitFiles first = Prepare(_data);
        first.Written.Should().Be(80);
        File.Delete(first.Train[7].ImagePath);

        DigitFiles second = Prepare(_data);

        second.Written.Should().Be(1);
        second.Train.Should().BeEquivalentTo(first.Train, options => options.WithStrictOrdering());
        second.Train.Concat(second.Test).Should().OnlyContain(row => File.Exists(row.ImagePath));
        Directory.EnumerateFiles(_host.WorkFolder, "*.tmp", SearchOption.AllDirectories).Should().BeEmpty();
    }

    [Fact]
    public void A_limit_uses_the_same_files()
    {
        DigitFiles some = Prepare(_data, limit: 10);
        some.Written.Should().Be(20);

        DigitFiles all = Prepare(_data);

        all.Written.Should().Be(60);
        all.Train.Take(10).Should().BeEquivalentTo(some.Train, options => options.WithStrictOrdering());
    }

    [Fact]
    public void Other_data_have_other_files() =>
        Prepare(_data).Folder.Should().NotBe(Prepare(_data.Limit(39)).Folder);

    [Fact]
    public void Cancelling_stops_the_work() =>
        FluentActions.Invoking(() => DigitFiles.Prepare(_data, null, _host.WorkFolder, _ => { }, new CancellationToken(canceled: true)))
            .Should().Throw<OperationCanceledException>();

    private DigitFiles Prepare(DigitData data, int? limit = null) =>
        DigitFiles.Prepare(data, limit, _host.WorkFolder, _ => { }, CancellationToken.None);
}
