using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Datasets;

public sealed class MnistDatasetTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData("mnist")]
    public void Loads_from_the_folder_or_its_subfolder(string subfolder)
    {
        IdxFiles.WriteDataset(Path.Combine(_folder.Path, subfolder), train: 12, test: 3);

        var mnist = MnistDataset.Load(_folder.Path);

        mnist.Train.Count.Should().Be(12);
        mnist.Train.Labels.ToArray().Should().Equal(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1);
        mnist.Train.GetPixels(11).ToArray().Should().HaveCount(784).And.OnlyContain(p => p == 12);
        mnist.Test.Count.Should().Be(3);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        IdxFiles.WriteDataset(_folder.Path, 10, 10);
        File.Delete(Path.Combine(_folder.Path, "t10k-labels-idx1-ubyte"));

        MnistDataset.Find(_folder.Path).Should().BeNull();
        FluentActions.Invoking(() => MnistDataset.Load(_folder.Path))
            .Should().Throw<FileNotFoundException>().WithMessage($"*{_folder.Path}' lacks t10k-labels-idx1-ubyte.*");
    }

    [Fact]
    public void A_missing_folder_is_named()
    {
        string path = Path.Combine(_folder.Path, "nowhere");

        FluentActions.Invoking(() => MnistDataset.Load(path)).Should().Throw<DirectoryNotFoundException>().WithMessage($"*{path}*");
    }

    [Fact]
    public void Images_of_another_size_are_refused()
    {
        IdxFiles.WriteDataset(_folder.Path, 2, 2);
        string path = _folder.Write("train-images-idx3-ubyte.gz", IdxFiles.Encode(new byte[2 * 20 * 20], 2, 20, 20));

        FluentActions.Invoking(() => MnistDataset.Load(_folder.Path))
            .Should().Throw<InvalidDataException>().WithMessage($"*{path}*20×20*28×28*");
    }

    [Fact]
    public void Differing_numbers_of_images_and_labels_are_refused()
    {
        IdxFiles.WriteDataset(_folder.Path, 2, 2);
        string path = _folder.Write("t10k-labels-idx1-ubyte", IdxFiles.Encode([1, 2, 3], 3));

        FluentActions.Invoking(() => MnistDataset.Load(_folder.Path))
            .Should().Throw<InvalidDataException>().WithMessage($"*{path}*3 labels*2 images*");
    }

    [Fact]
    public void A_label_above_nine_is_refused()
    {
        IdxFiles.WriteDataset(_folder.Path, 2, 2);
        string path = _folder.Write("t10k-labels-idx1-ubyte", IdxFiles.Encode([1, 10], 2));

        FluentActions.Invoking(() => MnistDataset.Load(_folder.Path))
            .Should().Throw<InvalidDataException>().WithMessage($"*{path}*label 10 at position 1*");
    }

    [Fact]
    public void Own_images_must_match_their_labels()
    {
        FluentActions.Invoking(() => new MnistImages(new byte[783], new byte[1]))
            .Should().Throw<ArgumentException>().WithParameterName("pixels");
        FluentActions.Invoking(() => new MnistImages(new byte[784], new byte[] { 10 }))
            .Should().Throw<ArgumentException>().WithParameterName("labels");
    }

    [Fact]
    public void The_first_images_are_a_view()
    {
        IdxFiles.WriteDataset(_folder.Path, 12, 2);
        MnistImages images = MnistDataset.Load(_folder.Path).Train;

        images.Take(5).Labels.ToArray().Should().Equal(0, 1, 2, 3, 4);
        images.Take(100).Count.Should().Be(12);
        FluentActions.Invoking(() => images.Take(5).GetPixels(5)).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void Rows_have_scaled_pixels_and_key_labels()
    {
        IdxFiles.WriteDataset(_folder.Path, 12, 2);
        IDataView rows = MnistDataset.Load(_folder.Path).Train.ToDataView(new MLContext());

        var features = (VectorDataViewType)rows.Schema["Features"].Type;
        features.ItemType.Should().Be(NumberDataViewType.Single);
        features.Dimensions.Should().Equal(28, 28);
        ((KeyDataViewType)rows.Schema["Label"].Type).Count.Should().Be(10);
        VBuffer<ReadOnlyMemory<char>> names = default;
        rows.Schema["Label"].GetKeyValues(ref names);
        names.GetValues().ToArray().Select(n => n.ToString()).Should().Equal("0", "1", "2", "3", "4", "5", "6", "7", "8", "9");

        float[][] pixels = [.. rows.GetColumn<float[]>("Features")];
        pixels.Select(p => p[783]).Should().Equal(Enumerable.Range(1, 12).Select(value => value / 255f));
        rows.GetColumn<uint>("Label").Should().Equal(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2);
    }

    [RealData("mnist")]
    public void The_real_data_set_is_what_was_published()
    {
        var mnist = MnistDataset.Load(RealDataAttribute.Folder!);

        mnist.Train.Count.Should().Be(60_000);
        mnist.Test.Count.Should().Be(10_000);

        // Frequencies of the digits as published with the data set.
        Frequencies(mnist.Train).Should().Equal(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949);
        Frequencies(mnist.Test).Should().Equal(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009);
        // The mean grey value that is commonly used to normalise it.
        Enumerable.Range(0, 60_000).Average(i => Mean(mnist.Train.GetPixels(i))).Should().BeApproximately(0.1307, 5e-5);
    }

    private static int[] Frequencies(MnistImages images) =>
        [.. Enumerable.Range(0, 10).Select(digit => images.Labels.ToArray().Count(label => label == digit))];

    private static double Mean(ReadOnlySpan<byte> pixels)
    {
        long sum = 0;
        foreach (byte pixel in pixels)
            sum += pixel;
        return sum / (784 * 255.0);
    }
}
