using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using Microsoft.ML.NeuralOde.Build;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>
/// A copy of libLibTorchSharp.so without its requirement on the libstdc++ of GCC 13, for programs that the build step did not reach:
/// scripts, single-file bundles, images built on a newer system.
/// </summary>
[SupportedOSPlatform("linux")]
internal static class RelaxedCopy
{
    private const string FolderName = "Microsoft.ML.NeuralOde";
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode PrivateFolder = Private | UnixFileMode.UserExecute;

    /// <summary>Loads a relaxed copy of a library: the one that this user's cache keeps, or one that is gone once it is loaded.</summary>
    /// <exception cref="IOException">The copy cannot be written, or the library is not what it should be.</exception>
    /// <exception cref="UnauthorizedAccessException">It must not be.</exception>
    /// <exception cref="DllNotFoundException">It cannot be loaded.</exception>
    public static nint Load(string library)
    {
        byte[] image = File.ReadAllBytes(library);
        string name = Convert.ToHexStringLower(SHA256.HashData(image)) + ".so";
        try
        {
            LibstdcxxRequirement.Relax(image);
        }
        catch (InvalidDataException e)
        {
            throw new IOException($"{library} is not the library that can be relaxed: {e.Message}", e);
        }
        if (CacheFolder() is { } folder)
        {
            try
            {
                return NativeLibrary.Load(Keep(folder, name, image));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or DllNotFoundException)
            {
                // A home that cannot be written to, or from which nothing may be executed.
            }
        }
        return LoadOnce(name, image);
    }

    /// <summary>This user's cache; null where there is none that only this user can write to.</summary>
    internal static string? CacheFolder()
    {
        // Under sudo the home may still be another user's.
        if (Environment.IsPrivilegedProcess && Environment.GetEnvironmentVariable("SUDO_UID") is not null)
            return null;
        string? caches = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (!Path.IsPathRooted(caches))
        {
            string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            caches = home.Length > 0 ? Path.Combine(home, ".cache") : null;
        }
        return caches is null ? null : Path.Combine(caches, FolderName);
    }

    /// <summary>The path of a file with this content in a folder of this user alone; written where it is missing or differs.</summary>
    internal static string Keep(string folder, string name, byte[] content)
    {
        Directory.CreateDirectory(folder, PrivateFolder);
        // Fails where the folder is another user's.
        File.SetUnixFileMode(folder, PrivateFolder);
        string path = Path.Combine(folder, name);
        if (Holds(path, content))
            return path;
        string temporary = Path.Combine(folder, $"{Guid.NewGuid():N}.tmp");
        try
        {
            using (var stream = new FileStream(
                temporary, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = Private }))
                stream.Write(content);
            // In one step: whoever reads meanwhile has the old file or the new one.
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
        return path;
    }

    private static bool Holds(string path, byte[] content)
    {
        var file = new FileInfo(path);
        return file.Exists && file.LinkTarget is null && file.UnixFileMode == Private && file.Length == content.Length
            && File.ReadAllBytes(path).AsSpan().SequenceEqual(content);
    }

    private static nint LoadOnce(string name, byte[] content)
    {
        // A folder of a new name, open to this user alone.
        string folder = Directory.CreateTempSubdirectory("neuralode-").FullName;
        try
        {
            return NativeLibrary.Load(Keep(folder, name, content));
        }
        finally
        {
            // What is loaded stays mapped.
            Directory.Delete(folder, recursive: true);
        }
    }
}
