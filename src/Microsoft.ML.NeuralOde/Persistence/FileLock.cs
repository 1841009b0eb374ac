namespace Microsoft.ML.NeuralOde.Persistence;

/// <summary>
/// A file that one holder at a time has, in all processes of the machine. The operating system takes it back from a process that ends in
/// whatever way: what such a process leaves is a file that anybody may take.
/// </summary>
internal sealed class FileLock : IDisposable
{
    private readonly string _path;
    private readonly FileStream _file;

    private FileLock(string path, FileStream file)
    {
        _path = path;
        _file = file;
    }

    /// <summary>Takes a file, which is made where it is missing.</summary>
    /// <returns>Null where somebody has it.</returns>
    public static FileLock? TryTake(string path)
    {
        while (true)
        {
            FileStream file;
            try
            {
                file = new FileStream(path, new FileStreamOptions
                {
                    Mode = FileMode.OpenOrCreate,
                    Access = FileAccess.ReadWrite,
                    Share = FileShare.None,
                    // Where open files cannot be deleted, the system deletes them itself.
                    Options = OperatingSystem.IsWindows() ? FileOptions.DeleteOnClose : FileOptions.None,
                    BufferSize = 0,
                });
            }
            catch (IOException exception) when (exception.GetType() == typeof(IOException) && (IsTaken(exception) || File.Exists(path)))
            {
                return null;
            }
            if (OperatingSystem.IsWindows() || Owns(file, path))
                return new FileLock(path, file);
            file.Dispose();
        }
    }

    public void Dispose()
    {
        // Before it is given back: later it may be somebody else's.
        if (!OperatingSystem.IsWindows())
            File.Delete(_path);
        _file.Dispose();
    }

    /// <summary>
    /// Whether somebody had the file when it was asked for, who may have deleted it by now: Windows' sharing violation, EWOULDBLOCK on Linux
    /// and on macOS.
    /// </summary>
    private static bool IsTaken(IOException exception) => exception.HResult is unchecked((int)0x80070020) or 11 or 35;

    /// <summary>
    /// Whether an open file is the one under a path: the last holder may have deleted it after it was opened here, and another may have
    /// made a new one.
    /// </summary>
    private static bool Owns(FileStream file, string path)
    {
        // Whole even seconds, which every file system keeps.
        DateTime stamp = new DateTime(2000, 1, 1, 0, 0, 0, DateTimeKind.Utc).AddSeconds(2 * Random.Shared.Next(1 << 28));
        File.SetLastWriteTimeUtc(file.SafeFileHandle, stamp);
        return File.GetLastWriteTimeUtc(path) == stamp;
    }
}
