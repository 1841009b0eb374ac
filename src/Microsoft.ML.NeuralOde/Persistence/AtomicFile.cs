namespace Microsoft.ML.NeuralOde.Persistence;

/// <summary>
/// Replaces files at once: whoever reads sees the whole old file or the whole new one, also after a crash. Several writers of one file do
/// not disturb each other: each writes beside it under a name of its own, and the last one to finish stays.
/// </summary>
internal static class AtomicFile
{
    private const string Extension = ".new";

    /// <summary>No file takes as long to write: what is older was left by a process that ended in the middle.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromHours(1);

    public static void Write(string file, ReadOnlySpan<byte> bytes)
    {
        using FileStream stream = Create(file, out string temporary);
        try
        {
            stream.Write(bytes);
            Complete(stream, temporary, file);
        }
        catch
        {
            Discard(stream, temporary);
            throw;
        }
    }

    /// <param name="file">The file to be replaced.</param>
    /// <param name="write">Writes the content.</param>
    public static void Write(string file, Action<Stream> write)
    {
        using FileStream stream = Create(file, out string temporary);
        try
        {
            write(stream);
            Complete(stream, temporary, file);
        }
        catch
        {
            Discard(stream, temporary);
            throw;
        }
    }

    /// <summary>Removes what processes that ended in the middle of a write left beside a file.</summary>
    public static void RemoveLeftovers(string file)
    {
        string full = Path.GetFullPath(file);
        string folder = Path.GetDirectoryName(full)!, name = Path.GetFileName(full);
        if (!Directory.Exists(folder))
            return;
        foreach (FileInfo leftover in new DirectoryInfo(folder).EnumerateFiles($"*{Extension}"))
            if (IsTemporaryOf(leftover.Name, name) && DateTime.UtcNow - leftover.LastWriteTimeUtc > Longest)
                TryDelete(leftover.FullName);
    }

    private static bool IsTemporaryOf(string candidate, string name) =>
        candidate.StartsWith(name + ".", StringComparison.Ordinal)
        && Guid.TryParseExact(candidate[(name.Length + 1)..^Extension.Length], "N", out _);

    /// <exception cref="IOException">The file cannot be written where it is to be; the message names it.</exception>
    private static FileStream Create(string file, out string temporary)
    {
        string full = Path.GetFullPath(file);
        if (Directory.Exists(full))
            throw new IOException($"'{file}' is a folder; a file is to be written under that name.");
        if (!Directory.Exists(Path.GetDirectoryName(full)))
            throw new DirectoryNotFoundException($"'{file}' cannot be written: there is no folder '{Path.GetDirectoryName(full)}'.");
        RemoveLeftovers(full);
        temporary = $"{full}.{Guid.NewGuid():N}{Extension}";
        return new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None);
    }

    private static void Complete(FileStream stream, string temporary, string file)
    {
        // The bytes are to lie on the disk before the name does.
        stream.Flush(flushToDisk: true);
        stream.Dispose();
        File.Move(temporary, file, overwrite: true);
    }

    private static void Discard(FileStream stream, string temporary)
    {
        stream.Dispose();
        TryDelete(temporary);
    }

    /// <summary>What cannot be deleted now, the next writer will find; the error at hand is the one to tell.</summary>
    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
        }
    }
}
