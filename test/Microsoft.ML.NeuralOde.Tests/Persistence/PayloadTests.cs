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
}
