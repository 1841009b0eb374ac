using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// An array of unsigned bytes in the IDX format, the format in which MNIST and its relatives are distributed.
/// </summary>
/// <remarks>
/// <para>The format: two zero bytes, the element type (0x08: unsigned byte, the only one read here), the number of dimensions, the
/// dimensions as big-endian 32-bit integers, then the elements, last dimension fastest. A file may be compressed with gzip, which is
/// recognised by its content, not by its name.</para>
/// <para>Magic number and sizes are checked before memory is allocated for the elements, and the file has to end where its header
/// says.</para>
/// </remarks>
internal sealed class IdxFile
{
    private const byte UnsignedByte = 0x08;

    /// <summary>Deflate cannot expand a byte to more than this many, so a header that claims more is wrong.</summary>
    private const long LargestDeflateRatio = 1032;

    private IdxFile(int[] dimensions, byte[] data)
    {
        Dimensions = dimensions;
        Data = data;
    }

    /// <summary>The sizes of the array, slowest first: <c>[images, rows, columns]</c> or <c>[labels]</c>.</summary>
    public IReadOnlyList<int> Dimensions { get; }

    /// <summary>The elements in row-major order; their number is the product of <see cref="Dimensions"/>.</summary>
    public ReadOnlyMemory<byte> Data { get; }

    /// <summary>Reads a file, plain or compressed with gzip.</summary>
    /// <param name="path">The file.</param>
    /// <param name="dimensions">How many dimensions the array must have: 3 for images, 1 for labels.</param>
    /// <returns>The sizes and the elements.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="dimensions"/> is not between 1 and 255.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not in the IDX format, has another type or number of dimensions, or is
    /// shorter or longer than its header says. The message names the file, what was found and what would be right.</exception>
    public static IdxFile Read(string path, int dimensions)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentOutOfRangeException.ThrowIfLessThan(dimensions, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(dimensions, byte.MaxValue);

        using FileStream file = File.OpenRead(path);
        bool compressed = IsGzip(file);
        using Stream content = compressed ? new GZipStream(file, CompressionMode.Decompress) : file;
        try
        {
            int headerLength = 4 + 4 * dimensions;
            int[] sizes = ReadHeader(path, content, dimensions, headerLength);
            long count = CountElements(path, sizes);

            // What can be known about the length before anything of that length is allocated.
            if (compressed && count > file.Length * LargestDeflateRatio)
                throw new InvalidDataException($"'{path}' announces {Text(count)} bytes of data ({Text(sizes)}), more than a gzip " +
                    $"file of {Text(file.Length)} bytes can hold.");
            if (!compressed && headerLength + count != file.Length)
                throw WrongLength(path, sizes, headerLength + count, file.Length);

            byte[] data = new byte[count];
            int read = content.ReadAtLeast(data, data.Length, throwOnEndOfStream: false);
            if (read < data.Length)
                throw WrongLength(path, sizes, headerLength + count, headerLength + read);
            if (content.ReadByte() >= 0)
                throw new InvalidDataException($"'{path}' goes on after the {Text(headerLength + count)} bytes that its header " +
                    $"announces ({Text(sizes)}).");
            return new IdxFile(sizes, data);
        }
        catch (InvalidDataException e) when (!e.Message.Contains(path, StringComparison.Ordinal))
        {
            throw new InvalidDataException($"'{path}' is a damaged or incomplete gzip file: {e.Message}", e);
        }
    }

    /// <summary>True where the stream starts with gzip's two identifying bytes; the stream is left at its start.</summary>
    internal static bool IsGzip(FileStream file)
    {
        int first = file.ReadByte();
        int second = file.ReadByte();
        file.Position = 0;
        return first == 0x1f && second == 0x8b;
    }

    private static int[] ReadHeader(string path, Stream content, int dimensions, int length)
    {
        Span<byte> header = new byte[length];
        int read = content.ReadAtLeast(header, length, throwOnEndOfStream: false);
        int expected = UnsignedByte << 8 | dimensions;
        if (read >= 4)
        {
            int magic = BinaryPrimitives.ReadInt32BigEndian(header);
            if (magic != expected)
                throw new InvalidDataException($"'{path}' starts with 0x{magic:X8}{Describe(magic)}; an IDX file of unsigned bytes " +
                    $"with {dimensions} dimension{(dimensions == 1 ? "" : "s")} starts with 0x{expected:X8}.");
        }
        if (read < length)
            throw new InvalidDataException($"'{path}' ends after {read} bytes; the header of an IDX file with {dimensions} " +
                $"dimension{(dimensions == 1 ? "" : "s")} has {length}.");

        int[] sizes = new int[dimensions];
        for (int i = 0; i < dimensions; i++)
        {
            sizes[i] = BinaryPrimitives.ReadInt32BigEndian(header[(4 + 4 * i)..]);
            if (sizes[i] < 0)
                throw new InvalidDataException($"'{path}' has size {Text(sizes[i])} in dimension {i}; sizes are not negative.");
        }
        return sizes;
    }

    private static long CountElements(string path, int[] sizes)
    {
        long count = 1;
        foreach (int size in sizes)
        {
            count *= size;
            if (count > Array.MaxLength)
                throw new InvalidDataException($"'{path}' announces an array of {Text(sizes)} bytes; at most " +
                    $"{Text(Array.MaxLength)} can be read.");
        }
        return count;
    }

    private static InvalidDataException WrongLength(string path, int[] sizes, long expected, long actual) =>
        new($"'{path}' has {Text(actual)} bytes{(actual < expected ? " and seems cut off" : "")}; its header ({Text(sizes)}) asks " +
            $"for {Text(expected)}.");

    private static string Describe(int magic) => (magic >> 8) switch
    {
        UnsignedByte => $" (unsigned bytes, {magic & 0xff} dimensions)",
        0x09 or 0x0B or 0x0C or 0x0D or 0x0E => " (an IDX file of another element type)",
        _ => "",
    };

    private static string Text(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    private static string Text(int[] sizes) => string.Join(" × ", sizes.Select(s => Text(s)));
}
