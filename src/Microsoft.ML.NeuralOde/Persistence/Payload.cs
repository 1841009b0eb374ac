using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;

namespace Microsoft.ML.NeuralOde.Persistence;

/// <summary>A named array of a model: its weights, or statistics of its training data.</summary>
internal sealed record NamedArray(string Name, long[] Shape, float[] Values);

/// <summary>What a model file holds: a description of the model's kind and structure, and arrays.</summary>
/// <remarks>
/// The bytes: “NODE”, format version (int32), length of the description (int32), the description (JSON, UTF-8), the number of arrays (int32),
/// each array as name, rank, dimensions, float32 values, and at the end the SHA-256 of all that. Little-endian.
/// </remarks>
internal sealed record Payload<T>(T Description, IReadOnlyList<NamedArray> Arrays)
{
    public byte[] ToBytes()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(PayloadReader.Magic);
        writer.Write(PayloadReader.FormatVersion);
        byte[] description = JsonSerializer.SerializeToUtf8Bytes(Description, PayloadReader.Json);
        writer.Write(description.Length);
        writer.Write(description);
        writer.Write(Arrays.Count);
        foreach (NamedArray array in Arrays)
        {
            writer.Write(array.Name);
            writer.Write(array.Shape.Length);
            foreach (long size in array.Shape)
                writer.Write(size);
            writer.Write(MemoryMarshal.AsBytes(array.Values.AsSpan()));
        }
        writer.Flush();
        writer.Write(SHA256.HashData(stream.GetBuffer().AsSpan(0, (int)stream.Length)));
        return stream.ToArray();
    }
}

/// <summary>Reads a <see cref="Payload{T}"/> and refuses what is not one.</summary>
internal static class PayloadReader
{
    public const int FormatVersion = 1;

    public static readonly JsonSerializerOptions Json = new() { RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    private const int HashLength = 32;

    /// <summary>Bytes of an array without name, dimensions or values.</summary>
    private const int SmallestArray = 1 + sizeof(int);

    public static ReadOnlySpan<byte> Magic => "NODE"u8;

    /// <exception cref="InvalidDataException">The bytes are damaged, or of a newer version.</exception>
    public static Payload<T> Read<T>(byte[] bytes)
    {
        if (bytes.Length < Magic.Length + 2 * sizeof(int) + HashLength || !bytes.AsSpan(0, Magic.Length).SequenceEqual(Magic))
            throw Damaged("it does not begin as such a model does");
        int version = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(Magic.Length));
        if (version > FormatVersion)
            throw new InvalidDataException(
                $"The neural ODE model has format {version}, but this version of Microsoft.ML.NeuralOde reads formats up to {FormatVersion}. Update the package.");
        ReadOnlySpan<byte> body = bytes.AsSpan(0, bytes.Length - HashLength);
        if (!SHA256.HashData(body).AsSpan().SequenceEqual(bytes.AsSpan(bytes.Length - HashLength)))
            throw Damaged("its checksum is wrong");
        try
        {
            using var reader = new BinaryReader(new MemoryStream(bytes, Magic.Length + sizeof(int), body.Length - Magic.Length - sizeof(int)));
            T description = JsonSerializer.Deserialize<T>(reader.ReadBytes(ReadSize(reader, 1)), Json) ?? throw Damaged("it has no description");
            var arrays = new NamedArray[ReadSize(reader, SmallestArray)];
            for (int i = 0; i < arrays.Length; i++)
                arrays[i] = ReadArray(reader);
            if (Remaining(reader) != 0)
                throw Damaged($"{Remaining(reader)} bytes are left over");
            if (arrays.DistinctBy(array => array.Name).Count() != arrays.Length)
                throw Damaged("two of its arrays have the same name");
            return new Payload<T>(description, arrays);
        }
        catch (Exception exception) when (exception is EndOfStreamException or JsonException or OverflowException or ArgumentException or FormatException)
        {
            throw Damaged(exception.Message, exception);
        }
    }

    public static InvalidDataException Damaged(string what, Exception? inner = null) =>
        new($"The neural ODE model in the file is damaged: {what}. Save the model again, or copy the file again.", inner);

    private static NamedArray ReadArray(BinaryReader reader)
    {
        string name = reader.ReadString();
        var shape = new long[ReadSize(reader, sizeof(long))];
        long count = 1;
        for (int i = 0; i < shape.Length; i++)
        {
            shape[i] = reader.ReadInt64();
            count = checked(count * shape[i]);
            if (shape[i] < 0)
                throw Damaged($"the array '{name}' has size {shape[i]}");
        }
        if (count > Remaining(reader) / sizeof(float))
            throw Damaged($"the array '{name}' of {count} numbers does not fit into it");
        var values = new float[count];
        reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        return new NamedArray(name, shape, values);
    }

    /// <summary>Reads a number of things, each of which takes some bytes, and refuses more than the file has room for: before anything is allocated.</summary>
    private static int ReadSize(BinaryReader reader, int bytesEach)
    {
        int count = reader.ReadInt32();
        if (count < 0 || count > Remaining(reader) / bytesEach)
            throw Damaged($"it declares {count} items, for which it has no room");
        return count;
    }

    private static long Remaining(BinaryReader reader) => reader.BaseStream.Length - reader.BaseStream.Position;
}
