using System.Buffers;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace Microsoft.ML.NeuralOde.Service.Models;

/// <summary>
/// Reads a model file. What counts is its content: time and length stay the same when a volume exchanges a symbolic link (as Kubernetes
/// does with <c>..data</c>), or when a copy keeps the time of its source.
/// </summary>
internal static partial class ModelFile
{
    private const int BufferBytes = 1 << 17;

    /// <summary>The SHA-256 of the content, in hexadecimal digits.</summary>
    /// <exception cref="ModelFileException">There is no such file, it is no regular one, or it is too large.</exception>
    public static string Hash(string path, long maximum) => Guarded(path, () =>
    {
        using SafeFileHandle file = Open(path);
        long length = Length(file, path, maximum);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            int count;
            for (long offset = 0; offset < length && (count = RandomAccess.Read(file, buffer, offset)) > 0; offset += count)
                hash.AppendData(buffer, 0, (int)Math.Min(count, length - offset));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    });

    /// <summary>The content; what was hashed and what is loaded are the same bytes even if the file changes meanwhile.</summary>
    /// <exception cref="ModelFileException">There is no such file, it is no regular one, or it is too large.</exception>
    public static byte[] Read(string path, long maximum) => Guarded(path, () =>
    {
        using SafeFileHandle file = Open(path);
        byte[] bytes = new byte[Length(file, path, maximum)];
        int total = 0;
        for (int count; total < bytes.Length && (count = RandomAccess.Read(file, bytes.AsSpan(total), total)) > 0;)
            total += count;
        return total == bytes.Length ? bytes : bytes[..total];
    });

    public static string Hash(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));

    /// <summary>Opens without waiting: opening a pipe would wait for its writer, for ever if there is none.</summary>
    private static SafeFileHandle Open(string path)
    {
        if (Directory.Exists(path))
            throw Unreadable($"'{path}' is a folder; a model file would be right.");
        if (OperatingSystem.IsWindows())
            return File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Write | FileShare.Delete);
        int flags = OperatingSystem.IsMacOS() ? 0x4 | 0x1000000 : 0x800 | 0x80000; // O_NONBLOCK | O_CLOEXEC
        int descriptor = OpenDescriptor(path, flags);
        return descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true)
            : throw Unreadable($"'{path}' cannot be opened: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}.");
    }

    /// <summary>Pipes and sockets have no length, devices none but zero.</summary>
    private static long Length(SafeFileHandle file, string path, long maximum)
    {
        long length;
        try
        {
            length = RandomAccess.GetLength(file);
        }
        catch (NotSupportedException exception)
        {
            throw Unreadable($"'{path}' is a pipe or the like; a regular file would be right.", exception);
        }
        return length == 0 ? throw Unreadable($"'{path}' is empty or a device; a model file would be right.")
            : length > Math.Min(maximum, Array.MaxLength)
            ? throw Unreadable($"'{path}' has {length:N0} bytes; at most {maximum:N0} are allowed (Model:MaximumModelBytes).")
            : length;
    }

    private static T Guarded<T>(string path, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw Unreadable($"'{path}' cannot be read: {exception.Message}", exception);
        }
    }

    private static ModelFileException Unreadable(string message, Exception? inner = null) =>
        inner is null
        ? new ModelFileException(message) { IsUnreadable = true } : new ModelFileException(message, inner) { IsUnreadable = true };

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int OpenDescriptor(string path, int flags);
}
