using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Tests.Persistence;

/// <summary>The format of models and checkpoints, written and read piece by piece.</summary>
public class PayloadTests
{
    [Fact]
    public void Each_array_is_asked_for_when_the_one_before_is_written()
    {
        using var stream = new MemoryStream();
        long[] written = new long[4];

        PayloadWriter.Write(stream, "description", 4, Arrays());

        // What is not yet written fits into a buffer.
        for (int i = 1; i < 4; i++)
            (written[i] - written[i - 1]).Should().BeInRange(sizeof(float) * 600_000 - 100_000, sizeof(float) * 600_000 + 100_000);
        stream.Position = 0;
        Payload<string> read = PayloadReader.Read<string>(stream);
        read.Description.Should().Be("description");
        read.Arrays.Select(array => array.Name).Should().Equal("0", "1", "2", "3");
        foreach (NamedArray array in read.Arrays)
            array.Values.AsSpan().SequenceEqual(Values(array.Name)).Should().BeTrue();
        new Payload<string>("description", [.. Arrays()]).ToBytes().Should().Equal(stream.ToArray());

        IEnumerable<NamedArray> Arrays()
        {
            for (int i = 0; i < 4; i++)
            {
                written[i] = stream.Length;
                yield return new NamedArray($"{i}", [2, 300_000], Values($"{i}"));
            }
        }

        static float[] Values(string name) => [.. Enumerable.Range(0, 600_000).Select(n => n + (name[0] - '0') / 4f)];
    }

    [Fact]
    public void A_description_is_read_alone_and_only_of_a_whole_file()
    {
        byte[] bytes = new Payload<string>("description", [new NamedArray("a", [3], [1, 2, 3])]).ToBytes();
        PayloadReader.ReadDescription<string>(new MemoryStream(bytes)).Should().Be("description");
        for (int at = 0; at < bytes.Length; at += 5)
        {
            byte[] damaged = [.. bytes];
            damaged[at] ^= 4;
            Action read = () => PayloadReader.ReadDescription<string>(new MemoryStream(damaged));
            read.Should().Throw<InvalidDataException>();
            Action cut = () => PayloadReader.ReadDescription<string>(new MemoryStream(bytes[..at]));
            cut.Should().Throw<InvalidDataException>();
        }
    }

    /// <summary>
    /// Versions against the one of this library: earlier ones and this one are read, the very next one is refused by its number.
    /// </summary>
    [Theory]
    [InlineData(-1, true)]
    [InlineData(0, true)]
    [InlineData(1, false)]
    [InlineData(8, false)]
    [InlineData(1 << 30, false)]
    public void Formats_up_to_this_one_are_read_and_the_next_one_is_not(int later, bool isRead)
    {
        int version = PayloadReader.FormatVersion + later;
        byte[] bytes = new Payload<string>("description", [new NamedArray("a", [3], [1, 2, 3])]).ToBytes();
        BitConverter.GetBytes(version).CopyTo(bytes, PayloadReader.Magic.Length);
        System.Security.Cryptography.SHA256.HashData(bytes.AsSpan(0, bytes.Length - 32)).CopyTo(bytes, bytes.Length - 32);
        foreach (Func<string> read in new Func<string>[]
        {
            () => PayloadReader.Read<string>(bytes).Description, () => PayloadReader.ReadDescription<string>(new MemoryStream(bytes)),
        })
            if (isRead)
                read().Should().Be("description");
            else
                read.Should().Throw<InvalidDataException>()
                    .WithMessage($"*has format {version}, *reads formats up to {PayloadReader.FormatVersion}. Update the package.");
    }

    /// <summary>Arrays of no dimension, no number, and as many numbers as fit in one piece and one more.</summary>
    [Fact]
    public void Arrays_of_every_size_come_back_as_they_were()
    {
        int piece = 1 << 18;
        NamedArray[] arrays =
        [
            new("scalar", [], [7]), new("empty", [0, 5], []), new("one", [1], [float.NaN]), new("piece", [piece], Values(piece)),
                new("more", [piece + 1], Values(piece + 1)),
            new("two pieces", [2, piece], Values(2 * piece)), new("last", [3], [1, -2, float.PositiveInfinity]),
        ];
        byte[] bytes = new Payload<int>(5, arrays).ToBytes();
        IReadOnlyList<NamedArray> read = PayloadReader.Read<int>(bytes).Arrays;
        read.Select(array => array.Name).Should().Equal(arrays.Select(array => array.Name));
        for (int i = 0; i < arrays.Length; i++)
        {
            read[i].Shape.Should().Equal(arrays[i].Shape);
            read[i].Values.AsSpan().SequenceEqual(arrays[i].Values).Should().BeTrue(arrays[i].Name);
        }

        static float[] Values(int count) => [.. Enumerable.Range(0, count).Select(i => i / 3f)];
    }

    /// <summary>What is wrong with a payload whose checksum is right, in words.</summary>
    [Fact]
    public void What_does_not_fit_is_named()
    {
        Refused([new("a", [2], [1, 2]), new("a", [1], [3])], "two of its arrays have the same name");
        Refused([new("a", [3], [1, 2])], "the array 'a' of 3 numbers does not fit into it");
        Refused([new("a", [-1], [])], "the array 'a' has size -1");
        Refused([new("a", [1], [1, 2])], "4 bytes are left over");
        Refused([new("a", [long.MaxValue, 2], [])], "damaged");

        static void Refused(NamedArray[] arrays, string what) =>
            FluentActions.Invoking(() => PayloadReader.Read<int>(new Payload<int>(5, arrays).ToBytes()))
            .Should().Throw<InvalidDataException>()
                .WithMessage($"*damaged*{what}*".Replace("damaged*damaged", "damaged", StringComparison.Ordinal));
    }
}
