using System.Buffers.Binary;
using System.IO.Compression;

namespace Microsoft.ML.NeuralOde.Tests.Datasets;

/// <summary>Writes small files in the IDX format, right ones and wrong ones.</summary>
internal static class IdxFiles
{
    public static byte[] Encode(ReadOnlySpan<byte> data, params int[] dimensions) =>
        Encode((byte)0x08, data, dimensions);

    public static byte[] Encode(byte elementType, ReadOnlySpan<byte> data, params int[] dimensions)
    {
        byte[] file = new byte[4 + 4 * dimensions.Length + data.Length];
        file[2] = elementType;
        file[3] = (byte)dimensions.Length;
        for (int i = 0; i < dimensions.Length; i++)
            BinaryPrimitives.WriteInt32BigEndian(file.AsSpan(4 + 4 * i), dimensions[i]);
        data.CopyTo(file.AsSpan(4 + 4 * dimensions.Length));
        return file;
    }

    public static byte[] Gzip(byte[] content)
    {
        using var target = new MemoryStream();
        using (var gzip = new GZipStream(target, CompressionLevel.Fastest))
            gzip.Write(content);
        return target.ToArray();
    }

    /// <summary>Image i is filled with the value i + 1 (modulo 256); its label is i modulo 10.</summary>
    public static (byte[] Images, byte[] Labels) Digits(int count)
    {
        byte[] pixels = [.. Enumerable.Range(0, count * 784).Select(p => (byte)(p / 784 + 1))];
        byte[] labels = [.. Enumerable.Range(0, count).Select(i => (byte)(i % 10))];
        return (Encode(pixels, count, 28, 28), Encode(labels, count));
    }

    public static void WriteDataset(string folder, int train, int test)
    {
        Directory.CreateDirectory(folder);
        (byte[] images, byte[] labels) = Digits(train);
        File.WriteAllBytes(Path.Combine(folder, "train-images-idx3-ubyte.gz"), Gzip(images));
        File.WriteAllBytes(Path.Combine(folder, "train-labels-idx1-ubyte.gz"), Gzip(labels));
        (images, labels) = Digits(test);
        File.WriteAllBytes(Path.Combine(folder, "t10k-images-idx3-ubyte"), images);
        File.WriteAllBytes(Path.Combine(folder, "t10k-labels-idx1-ubyte"), labels);
    }
}
