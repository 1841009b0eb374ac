using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Datasets;

public sealed class IdxFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Reads_sizes_and_elements_plain_or_compressed(bool compressed)
    {
        byte[] file = IdxFiles.Encode([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 2, 3, 2);
        string path = _folder.Write("any-name", compressed ? IdxFiles.Gzip(file) : file);

        var idx = IdxFile.Read(path, dimensions: 3);

        idx.Dimensions.Should().Equal(2, 3, 2);
        idx.Data.ToArray().Should().Equal(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    }

    [Fact]
    public void An_array_without_elements_is_read()
    {
        string path = _folder.Write("empty", IdxFiles.Encode([], 0, 28, 28));

        IdxFile.Read(path, dimensions: 3).Data.Length.Should().Be(0);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        string path = Path.Combine(_folder.Path, "nowhere");

        FluentActions.Invoking(() => IdxFile.Read(path, 1)).Should().Throw<FileNotFoundException>().WithMessage($"*{path}*");
    }

    public static TheoryData<string, byte[], string> WrongFiles() => new()
    {
        { "nothing", [], "*ends after 0 bytes*has 16*" },
        { "half a header", [0, 0, 8, 3, 0, 0], "*ends after 6 bytes*" },
        { "another format", "<html>no such file</html>"u8.ToArray(), "*starts with 0x3C68746D;*0x00000803*" },
        { "labels for images", IdxFiles.Encode([1, 2], 2), "*0x00000801 (unsigned bytes, 1 dimensions)*0x00000803*" },
        { "floats", IdxFiles.Encode((byte)0x0D, new byte[4], 1, 1, 1), "*another element type*" },
        { "negative size", IdxFiles.Encode([], 1, -28, 28), "*size -28 in dimension 1*" },
        { "absurd size", IdxFiles.Encode([], int.MaxValue, int.MaxValue, int.MaxValue), "*at most*" },
        { "cut off", IdxFiles.Encode(new byte[7], 2, 2, 2), "*has 23 bytes and seems cut off*asks for 24*" },
        { "too long", IdxFiles.Encode(new byte[9], 2, 2, 2), "*has 25 bytes*asks for 24*" },
        { "cut off inside gzip", IdxFiles.Gzip(IdxFiles.Encode(new byte[7], 2, 2, 2)), "*has 23 bytes and seems cut off*" },
        { "too long inside gzip", IdxFiles.Gzip(IdxFiles.Encode(new byte[9], 2, 2, 2)), "*goes on after the 24 bytes*" },
        { "gzip cannot hold it", IdxFiles.Gzip(IdxFiles.Encode([], 60000, 28, 28)), "*announces 47,040,000 bytes*more than a gzip file*" },
        { "gzip cut off", IdxFiles.Gzip(IdxFiles.Encode(RandomBytes(999), 1, 27, 37))[..^300], "*" },
    };

    private static byte[] RandomBytes(int count)
    {
        byte[] bytes = new byte[count];
        new Random(1).NextBytes(bytes);
        return bytes;
    }

    [Theory]
    [MemberData(nameof(WrongFiles))]
    public void A_wrong_file_is_named_with_what_was_found(string name, byte[] content, string message)
    {
        string path = _folder.Write(name, content);

        FluentActions.Invoking(() => IdxFile.Read(path, dimensions: 3))
            .Should().Throw<InvalidDataException>().WithMessage(message).WithMessage($"*{path}*");
    }
}
