using System.Buffers.Binary;
using System.Collections.ObjectModel;
using System.IO.Compression;
using System.Text;

namespace Microsoft.ML.NeuralOde.Persistence;

/// <summary>
/// Checks a sealed archive and copies it: ML.NET is given an archive that was written here, from entries whose hashes are right, and never
/// the file itself. What a file declares about sizes is compared with what it holds, and costs no memory.
/// </summary>
/// <remarks>
/// ML.NET itself takes what its entries declare: <c>TransformerChain</c> allocates as many places as its Model.key says transforms, every
/// one-to-one transform as many pairs of columns as its own says (2³⁰ of them are 17 GB), and no checksum is compared, not even the zip
/// archive's. Only the hashes keep such numbers from it, because the format of an entry is known to its class alone.
/// </remarks>
internal sealed class SealedArchive
{
    private const string Remedy = "Copy the file again, or save the model again with SaveSealed.";
    private const int MostSealBytes = 4 << 20;

    // The header of ML.NET's model entries says where in the entry the name of the assembly stands that reads it.
    private const string ModelEntry = "Model.key";
    private const int HeaderLength = 0x100, NameOffset = 0x90, NameLength = 0x98;
    private const string OwnAssemblies = "Microsoft.ML.";

    private readonly string _file;
    private readonly SealedModelOptions _options;
    private readonly byte[] _buffer = new byte[81920];

    private SealedArchive(string file, SealedModelOptions options)
    {
        _file = file;
        _options = options;
    }

    /// <param name="stream">The archive.</param>
    /// <param name="file">What messages call it.</param>
    /// <param name="options">What it may be.</param>
    /// <returns>An archive of the same content.</returns>
    /// <exception cref="InvalidDataException">It is no archive, has no seal, or is not what its seal says or the options want.</exception>
    public static MemoryStream Open(Stream stream, string file, SealedModelOptions options) =>
        new SealedArchive(file, options).Copy(stream);

    private MemoryStream Copy(Stream stream)
    {
        using ZipArchive source = OfZip(null, () => new ZipArchive(stream, ZipArchiveMode.Read, leaveOpen: true));
        Dictionary<string, ZipArchiveEntry> entries = Index(OfZip(null, () => source.Entries));
        ModelSeal seal = ReadSeal(entries);
        var copy = new MemoryStream();
        using (var target = new ZipArchive(copy, ZipArchiveMode.Create, leaveOpen: true))
            foreach ((string name, string hash) in seal.Hashes)
            {
                if (!entries.Remove(name, out ZipArchiveEntry? entry))
                    throw Damaged(name, "it is missing, though the seal lists it");
                ReadOnlySpan<byte> bytes = Unpack(entry);
                string found = ModelSeal.Hash(bytes);
                if (found != hash)
                    throw Damaged(name, $"its SHA-256 is {found}, by the seal it must be {hash}");
                // Whatever stands before it: ML.NET takes both slashes for the end of a folder.
                if (name.EndsWith(ModelEntry, StringComparison.OrdinalIgnoreCase))
                    CheckAssembly(name, bytes);
                using Stream to = target.CreateEntry(name, CompressionLevel.NoCompression).Open();
                to.Write(bytes);
            }
        if (entries.Count > 0)
            throw Damaged(entries.Keys.First(), "the seal does not list it");
        copy.Position = 0;
        return copy;
    }

    /// <summary>The entries by name: each once, also for a reader that takes both slashes, or both cases, for the same.</summary>
    private Dictionary<string, ZipArchiveEntry> Index(ReadOnlyCollection<ZipArchiveEntry> entries)
    {
        if (entries.Count > _options.MaximumEntries)
            throw new InvalidDataException(
                $"{_file} has {entries.Count} entries; at most {_options.MaximumEntries} are allowed (MaximumEntries).");
        var names = new HashSet<string>();
        long total = 0;
        foreach (ZipArchiveEntry entry in entries)
        {
            if (!names.Add(entry.FullName.Replace('\\', '/').ToUpperInvariant()))
                throw Damaged(entry.FullName, "there are two of this name");
            if (entry.Length > _options.MaximumBytes - total)
                throw Damaged(entry.FullName,
                    $"it declares {entry.Length:N0} bytes; all entries together may have {_options.MaximumBytes:N0} (MaximumBytes)");
            total += entry.Length;
        }
        return entries.ToDictionary(entry => entry.FullName);
    }

    private ModelSeal ReadSeal(Dictionary<string, ZipArchiveEntry> entries)
    {
        if (!entries.Remove(ModelSeal.EntryName, out ZipArchiveEntry? entry))
            throw new InvalidDataException(
                $"{_file} has no seal, the entry '{ModelSeal.EntryName}': LoadSealed reads what SaveSealed wrote. "
                + "Save the model again with SaveSealed; a file without a seal that you trust is read by mlContext.Model.Load.");
        if (entry.Length > MostSealBytes)
            throw Damaged(entry.FullName, $"it declares {entry.Length:N0} bytes; a seal has at most {MostSealBytes:N0}");
        ReadOnlySpan<byte> bytes = Unpack(entry);
        string found = ModelSeal.Hash(bytes);
        if (_options.ExpectedSeal is { } expected && !string.Equals(expected.Trim(), found, StringComparison.OrdinalIgnoreCase))
            throw new InvalidDataException(
                $"{_file} bears the seal {found}; expected is {expected.Trim()} (ExpectedSeal). "
                + "It is another model, or somebody changed it.");
        return ModelSeal.Parse(bytes) ?? throw Damaged(entry.FullName, "it is no seal as SaveSealed writes it");
    }

    private ReadOnlySpan<byte> Unpack(ZipArchiveEntry entry)
    {
        var bytes = new MemoryStream();
        using Stream from = OfZip(entry, entry.Open);
        for (int count; (count = OfZip(entry, () => from.Read(_buffer))) > 0 && bytes.Length <= entry.Length;)
            bytes.Write(_buffer, 0, count);
        if (bytes.Length != entry.Length)
            throw Damaged(entry.FullName,
                $"it declares {entry.Length:N0} bytes, but holds {(bytes.Length > entry.Length ? "more" : $"{bytes.Length:N0}")}");
        return bytes.GetBuffer().AsSpan(0, (int)bytes.Length);
    }

    /// <summary>A model entry names the assembly whose class reads it, and ML.NET loads that.</summary>
    private void CheckAssembly(string entry, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < HeaderLength)
            throw Damaged(entry, $"it has {bytes.Length} bytes; the header of a model alone has {HeaderLength}");
        long offset = BinaryPrimitives.ReadInt64LittleEndian(bytes[NameOffset..]);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(bytes[NameLength..]);
        if (offset < 0 || offset > bytes.Length || length > bytes.Length - offset)
            throw Damaged(entry, $"it declares {length:N0} bytes at {offset:N0} of its {bytes.Length:N0}");
        string assembly = Encoding.Unicode.GetString(bytes.Slice((int)offset, (int)length)).Split(',')[0].Trim();
        if (assembly.Length > 0
            && !assembly.StartsWith(OwnAssemblies, StringComparison.Ordinal) && !_options.TrustedAssemblies.Contains(assembly))
            throw new InvalidDataException(
                $"{_file}, entry '{entry}': it is to be read by the assembly '{assembly}', which is neither ML.NET's nor this library's. "
                + "Add it to TrustedAssemblies if the model may use it.");
    }

    /// <summary>Runs what may find that the archive is none.</summary>
    private T OfZip<T>(ZipArchiveEntry? entry, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception exception) when (
            exception is InvalidDataException or EndOfStreamException or NotSupportedException or ArgumentException or OverflowException)
        {
            throw entry is not null ? Damaged(entry.FullName, exception.Message.TrimEnd('.'), exception)
                : new InvalidDataException($"{_file} is no zip archive that can be read: {exception.Message} {Remedy}", exception);
        }
    }

    private InvalidDataException Damaged(string entry, string what, Exception? inner = null) =>
        new($"{_file}, entry '{entry}': {what}. {Remedy}", inner);
}
