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

    /// <summary>Declared sizes at the bound of what the file has room for: the last that fits is read on, the next one is named.</summary>
    [Theory]
    // Arrays of five bytes at least; with as many, what is wrong is found in the arrays.
    [InlineData(2, 10, false)]
    [InlineData(2, 9, true)]
    [InlineData(3, 10, true)]
    [InlineData(1, 4, true)]
    [InlineData(-1, 100, true)]
    [InlineData(int.MinValue, 100, true)]
    [InlineData(int.MaxValue, 100, true)]
    public void As_many_arrays_as_there_is_room_for_are_read(int count, int room, bool isTooMany)
    {
        string message = Refusal(Payload(writer =>
        {
            writer.Write(count);
            writer.Write(new byte[room]);
        }));
        message.Contains($"it declares {count} items, for which it has no room", StringComparison.Ordinal).Should().Be(isTooMany, message);
    }

    [Theory]
    [InlineData(1, 8, false)]
    [InlineData(2, 16, false)]
    [InlineData(2, 15, true)]
    [InlineData(1, 7, true)]
    [InlineData(-1, 64, true)]
    public void As_many_dimensions_as_there_is_room_for_are_read(int rank, int room, bool isTooMany)
    {
        byte[] bytes = Payload(writer =>
        {
            writer.Write(1);
            writer.Write("a");
            writer.Write(rank);
            writer.Write(new byte[room]);
        });
        if (isTooMany)
            Refusal(bytes).Should().Contain($"it declares {rank} items, for which it has no room");
        else
            PayloadReader.Read<int>(bytes).Arrays.Single().Shape.Should().Equal(new long[rank]);
    }

    [Theory]
    [InlineData(0, "does not begin as such a model does")]
    [InlineData(3, "does not begin as such a model does")]
    [InlineData(43, "does not begin as such a model does")]
    [InlineData(44, "checksum is wrong")]
    [InlineData(45, "checksum is wrong")]
    public void A_file_without_room_for_the_numbers_of_its_head_and_its_checksum_is_none(int length, string what)
    {
        byte[] bytes = new byte[length];
        "NODE"u8[..Math.Min(4, length)].CopyTo(bytes);
        Refusal(bytes).Should().Contain(what);
    }

    [Fact]
    public void A_checksum_covers_more_than_one_piece_and_a_description_alone_is_read_in_front_of_arrays_that_are_none()
    {
        byte[] bytes = new Payload<int>(5, [new NamedArray("a", [3 << 18], new float[3 << 18])]).ToBytes();
        int last = bytes.Length - 1;
        foreach (int at in new[] { 60, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 2 << 20, last - 32, last - 31, last })
        {
            bytes[at] ^= 1;
            Refusal(bytes).Should().Contain("checksum is wrong");
            bytes[at] ^= 1;
        }
        PayloadReader.Read<int>(bytes).Description.Should().Be(5);

        byte[] half = Payload(writer => writer.Write(77));
        PayloadReader.ReadDescription<int>(new MemoryStream(half)).Should().Be(5);
        Refusal(half).Should().Contain("it declares 77 items");
    }

    /// <summary>A description of a record that lacks what it must have.</summary>
    [Theory]
    [InlineData("""{"Name":"a","Size":2}""", true)]
    [InlineData("""{"Name":"a"}""", false)]
    [InlineData("""{"Name":null,"Size":2}""", false)]
    [InlineData("null", false)]
    [InlineData("""{"Name":"a","Size":2""", false)]
    public void A_description_has_all_of_its_parts(string json, bool isGood)
    {
        byte[] text = System.Text.Encoding.UTF8.GetBytes(json);
        byte[] bytes = [.. "NODE"u8, 1, 0, 0, 0, (byte)text.Length, 0, 0, 0, .. text, 0, 0, 0, 0];
        byte[] payload = [.. bytes, .. System.Security.Cryptography.SHA256.HashData(bytes)];
        if (isGood)
            PayloadReader.Read<Part>(payload).Description.Should().Be(new Part("a", 2));
        else
            FluentActions.Invoking(() => PayloadReader.Read<Part>(payload)).Should().Throw<InvalidDataException>()
                .WithMessage("*damaged*");
    }

    [Fact]
    public void Tensors_are_filled_by_name_and_shape_and_others_are_named()
    {
        using TorchSharp.DisposeScope scope = TorchSharp.torch.NewDisposeScope();
        TorchSharp.torch.Tensor matrix = TorchSharp.torch.zeros(2, 3), number = TorchSharp.torch.zeros([]);
        (string, TorchSharp.torch.Tensor)[] targets = [("matrix", matrix), ("number", number)];
        Dictionary<string, NamedArray> arrays = new NamedArray[]
        {
            new("in/matrix", [2, 3], [1, 2, 3, 4, 5, 6]), new("in/number", [], [7]),
            new("matrix", [3, 2], new float[6]), new("more", [0], []),
        }.ToDictionary(array => array.Name);

        NamedTensors.Fill(targets, arrays, "in/");
        NamedTensors.ToArray("m", matrix.t()).Should().BeEquivalentTo(new NamedArray("m", [3, 2], [1, 4, 2, 5, 3, 6]));
        NamedTensors.ToArrays(targets).Select(array => (array.Name, array.Values.Length)).Should().Equal(("matrix", 6), ("number", 1));
        number.item<float>().Should().Be(7);

        FluentActions.Invoking(() => NamedTensors.Fill(targets, arrays)).Should().Throw<InvalidDataException>()
            .WithMessage("*the weights 'matrix' have the shape [3, 2] instead of [2, 3]*");
        FluentActions.Invoking(() => NamedTensors.Fill(targets, arrays, "out/")).Should().Throw<InvalidDataException>()
            .WithMessage("*the weights 'matrix' are missing*");

        foreach ((float value, bool isFinite) in new[] { (1e38f, true), (float.NaN, false), (float.NegativeInfinity, false) })
            NamedTensors.IsFinite(TorchSharp.torch.tensor(new[] { -3, value, 2 })).Should().Be(isFinite);
        NamedTensors.IsFinite(TorchSharp.torch.zeros(0, 4)).Should().BeTrue();
    }

    private sealed record Part(string Name, int Size);

    private static string Refusal(byte[] bytes) =>
        FluentActions.Invoking(() => PayloadReader.Read<int>(bytes)).Should().Throw<InvalidDataException>().Which.Message;

    /// <summary>A payload of the description 5 with anything behind it, and the right checksum.</summary>
    private static byte[] Payload(Action<BinaryWriter> rest)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write("NODE"u8);
        writer.Write(1);
        writer.Write(1);
        writer.Write("5"u8);
        rest(writer);
        byte[] bytes = stream.ToArray();
        return [.. bytes, .. System.Security.Cryptography.SHA256.HashData(bytes)];
    }
}
