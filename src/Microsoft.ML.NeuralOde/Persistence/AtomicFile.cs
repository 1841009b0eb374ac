namespace Microsoft.ML.NeuralOde.Persistence;

/// <summary>Replaces files at once: whoever reads sees the whole old file or the whole new one, also after a crash.</summary>
internal static class AtomicFile
{
    /// <summary>The file that is written to before it takes the name.</summary>
    public static string TemporaryName(string file) => file + ".new";

    public static void Write(string file, ReadOnlySpan<byte> bytes)
    {
        string temporary = TemporaryName(file);
        try
        {
            using (FileStream stream = File.Create(temporary))
            {
                stream.Write(bytes);
                // The bytes are to lie on the disk before the name does.
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, file, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }
}
