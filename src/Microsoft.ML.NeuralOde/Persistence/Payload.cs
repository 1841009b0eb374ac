using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Interop;

namespace Microsoft.ML.NeuralOde.Persistence;

/// <summary>A named array of a model: its weights, or statistics of its training data.</summary>
internal sealed record NamedArray(string Name, long[] Shape, float[] Values);

/// <summary>What a model file holds: a description of the model's kind and structure, and arrays.</summary>
/// <remarks>
/// The bytes: “NODE”, format version (int32), length of the description (int32), the description (JSON, UTF-8), the number of arrays
/// (int32), each array as name, rank, dimensions, float32 values, and at the end the SHA-256 of all that. Little-endian.
/// </remarks>
internal sealed record Payload<T>(T Description, IReadOnlyList<NamedArray> Arrays)
{
    public byte[] ToBytes()
    {
        using var stream = new MemoryStream();
        PayloadWriter.Write(stream, Description, Arrays.Count, Arrays);
        return stream.ToArray();
    }
}

/// <summary>Writes a <see cref="Payload{T}"/> piece by piece: what is written need not be in memory at once.</summary>
internal static class PayloadWriter
{
    private const int Piece = 1 << 18;

    /// <param name="stream">Where to.</param>
    /// <param name="description">What stands in front.</param>
    /// <param name="count">The number of arrays.</param>
    /// <param name="arrays">The arrays, each asked for when the one before is written.</param>
    public static void Write<T>(Stream stream, T description, int count, IEnumerable<NamedArray> arrays)
    {
        using SHA256 hash = SHA256.Create();
        using (var hashed = new CryptoStream(stream, hash, CryptoStreamMode.Write, leaveOpen: true))
        using (var writer = new BinaryWriter(hashed))
        {
            writer.Write(PayloadReader.Magic);
            writer.Write(PayloadReader.FormatVersion);
            byte[] text = JsonSerializer.SerializeToUtf8Bytes(description, PayloadReader.Json);
            writer.Write(text.Length);
            writer.Write(text);
            writer.Write(count);
            foreach (NamedArray array in arrays)
            {
                writer.Write(array.Name);
                writer.Write(array.Shape.Length);
                foreach (long size in array.Shape)
                    writer.Write(size);
                for (int start = 0; start < array.Values.Length; start += Piece)
                    writer.Write(MemoryMarshal.AsBytes(array.Values.AsSpan(start, Math.Min(Piece, array.Values.Length - start))));
            }
        }
        stream.Write(hash.Hash);
    }
}

/// <summary>Reads a <see cref="Payload{T}"/> and refuses what is not one.</summary>
internal static class PayloadReader
{
    public const int FormatVersion = 1;

    public static readonly JsonSerializerOptions Json =
        new() { RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    private const int HashLength = 32;

    /// <summary>A span of bytes reaches over 2 GiB at most.</summary>
    private const int Piece = 1 << 28;

    /// <summary>Bytes of an array without name, dimensions or values.</summary>
    private const int SmallestArray = 1 + sizeof(int);

    public static ReadOnlySpan<byte> Magic => "NODE"u8;

    /// <exception cref="InvalidDataException">The bytes are damaged, or of a newer version.</exception>
    public static Payload<T> Read<T>(byte[] bytes) => Read<T>(new MemoryStream(bytes, writable: false));

    /// <param name="stream">A seekable stream from its beginning to its end.</param>
    /// <exception cref="InvalidDataException">What it holds is damaged, or of a newer version.</exception>
    public static Payload<T> Read<T>(Stream stream) => Read<T, Payload<T>>(stream, static (description, reader) =>
    {
        var arrays = new NamedArray[ReadSize(reader, SmallestArray)];
        for (int i = 0; i < arrays.Length; i++)
            arrays[i] = ReadArray(reader);
        if (Remaining(reader) != 0)
            throw Damaged($"{Remaining(reader)} bytes are left over");
        if (arrays.DistinctBy(array => array.Name).Count() != arrays.Length)
            throw Damaged("two of its arrays have the same name");
        return new Payload<T>(description, arrays);
    });

    /// <summary>The description alone; the checksum is that of the whole.</summary>
    /// <inheritdoc cref="Read{T}(Stream)"/>
    public static T ReadDescription<T>(Stream stream) => Read<T, T>(stream, static (description, _) => description);

    private static TResult Read<T, TResult>(Stream stream, Func<T, BinaryReader, TResult> read)
    {
        var reader = new BinaryReader(stream);
        if (stream.Length < Magic.Length + 2 * sizeof(int) + HashLength || !reader.ReadBytes(Magic.Length).AsSpan().SequenceEqual(Magic))
            throw Damaged("it does not begin as such a model does");
        int version = reader.ReadInt32();
        if (version > FormatVersion)
            throw new InvalidDataException(
                $"The neural ODE model has format {version}, but this version of Microsoft.ML.NeuralOde reads formats up to "
                + $"{FormatVersion}. Update the package.");
        if (!IsWhole(stream))
            throw Damaged("its checksum is wrong");
        stream.Position = Magic.Length + sizeof(int);
        try
        {
            T description = JsonSerializer.Deserialize<T>(reader.ReadBytes(ReadSize(reader, 1)), Json)
                ?? throw Damaged("it has no description");
            return read(description, reader);
        }
        catch (Exception exception)
            when (exception is EndOfStreamException or JsonException or OverflowException or ArgumentException or FormatException)
        {
            throw Damaged(exception.Message, exception);
        }
    }

    private static bool IsWhole(Stream stream)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        stream.Position = 0;
        byte[] piece = new byte[(int)Math.Min(stream.Length - HashLength, 1 << 20)];
        for (long left = stream.Length - HashLength; left > 0;)
        {
            int read = stream.Read(piece, 0, (int)Math.Min(piece.Length, left));
            if (read == 0)
                return false;
            hash.AppendData(piece, 0, read);
            left -= read;
        }
        byte[] expected = new byte[HashLength];
        stream.ReadExactly(expected);
        return hash.GetHashAndReset().AsSpan().SequenceEqual(expected);
    }

    /// <inheritdoc cref="ModelFile.Damaged"/>
    public static InvalidDataException Damaged(string what, Exception? inner = null) => ModelFile.Damaged(what, inner);

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
        for (int start = 0; start < values.Length; start += Piece)
            reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan(start, Math.Min(Piece, values.Length - start))));
        return new NamedArray(name, shape, values);
    }

    /// <summary>
    /// Reads a number of things, each of which takes some bytes, and refuses more than the file has room for: before anything is allocated.
    /// </summary>
    private static int ReadSize(BinaryReader reader, int bytesEach)
    {
        int count = reader.ReadInt32();
        if (count < 0 || count > Remaining(reader) / bytesEach)
            throw Damaged($"it declares {count} items, for which it has no room");
        return count;
    }

    /// <summary>The bytes in front of the checksum.</summary>
    private static long Remaining(BinaryReader reader) => reader.BaseStream.Length - HashLength - reader.BaseStream.Position;
}
