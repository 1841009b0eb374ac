using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>Files that are mapped into this process.</summary>
[SupportedOSPlatform("linux")]
internal static partial class LoadedFile
{
    /// <summary>The path of one whose name begins so, as versions follow it; null for none.</summary>
    public static string? WhoseNameBegins(string name) => File.ReadLines("/proc/self/maps")
        .Where(line => line.Contains('/'))
        .Select(line => line[line.IndexOf('/')..])
        .FirstOrDefault(path => Path.GetFileName(path).StartsWith(name, StringComparison.Ordinal));

    /// <summary>Whether a file is one that is loaded, whose path has no links in it.</summary>
    public static bool Is(string path, string loaded)
    {
        nint real = RealPath(path, 0);
        try
        {
            return Marshal.PtrToStringUTF8(real) == loaded;
        }
        finally
        {
            Free(real);
        }
    }

    [LibraryImport("libc", EntryPoint = "realpath", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint RealPath(string path, nint memory);

    [LibraryImport("libc", EntryPoint = "free")]
    private static partial void Free(nint memory);
}
