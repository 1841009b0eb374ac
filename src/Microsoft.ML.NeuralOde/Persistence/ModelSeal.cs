using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;

namespace Microsoft.ML.NeuralOde.Persistence;

/// <summary>
/// The seal of a model archive: one more entry, with the SHA-256 of each of the others. Its own SHA-256 stands for the content of the whole
/// model, whatever the archive's time stamps and compression.
/// </summary>
/// <remarks>
/// The entry is text, UTF-8, as the program sha256sum reads it: a line with the format's version, then a line an entry, “hash, two blanks,
/// name”, in the order of the names. There is one way to write a seal, so that no byte of it can change unnoticed.
/// </remarks>
internal sealed class ModelSeal
{
    public const string EntryName = "NeuralOde.sha256";

    private const string FirstLine = "# Microsoft.ML.NeuralOde seal 1";
    private const string Blanks = "  ";
    private const int HashDigits = 2 * SHA256.HashSizeInBytes;

    private readonly SortedDictionary<string, string> _hashes = new(StringComparer.Ordinal);

    /// <summary>The entries and their SHA-256, in lower-case hexadecimal digits.</summary>
    public IReadOnlyDictionary<string, string> Hashes => _hashes;

    public static string Hash(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private byte[] ToBytes()
    {
        var text = new StringBuilder(FirstLine).Append('\n');
        foreach ((string name, string hash) in _hashes)
            text.Append(hash).Append(Blanks).Append(name).Append('\n');
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    /// <summary>Reads a seal; null where the bytes are none.</summary>
    public static ModelSeal? Parse(ReadOnlySpan<byte> bytes)
    {
        string[] lines = Encoding.UTF8.GetString(bytes).Split('\n');
        var seal = new ModelSeal();
        foreach (string line in lines.AsSpan(1, Math.Max(0, lines.Length - 2)))
            if (line.Length <= HashDigits + Blanks.Length || !seal._hashes.TryAdd(line[(HashDigits + Blanks.Length)..], line[..HashDigits]))
                return null;
        return bytes.SequenceEqual(seal.ToBytes()) ? seal : null;
    }

    /// <summary>Writes an archive anew, with its seal.</summary>
    /// <returns>The SHA-256 of the seal.</returns>
    public static string Write(Stream archive, Stream target)
    {
        var seal = new ModelSeal();
        using var source = new ZipArchive(archive, ZipArchiveMode.Read, leaveOpen: true);
        using var copy = new ZipArchive(target, ZipArchiveMode.Create, leaveOpen: true);
        foreach (ZipArchiveEntry entry in source.Entries)
        {
            using Stream from = entry.Open(), to = copy.CreateEntry(entry.FullName).Open();
            using var bytes = new MemoryStream();
            from.CopyTo(bytes);
            bytes.WriteTo(to);
            seal._hashes.Add(entry.FullName, Hash(bytes.GetBuffer().AsSpan(0, (int)bytes.Length)));
        }
        byte[] text = seal.ToBytes();
        using Stream last = copy.CreateEntry(EntryName).Open();
        last.Write(text);
        return Hash(text);
    }
}
