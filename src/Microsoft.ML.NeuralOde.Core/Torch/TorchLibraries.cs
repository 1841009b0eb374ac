using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Runtime.Versioning;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>
/// Finds torch's native libraries where .NET does not, and makes TorchSharp's loadable where the system's libstdc++ is too old for it.
/// </summary>
internal static class TorchLibraries
{
    private const string Native = "LibTorchSharp";

    private static readonly Assembly TorchSharp = typeof(torch).Assembly;
    private static readonly Lazy<(nint Handle, TorchRuntimeException? Failure)> Found = new(Find);

    [ThreadStatic]
    private static bool _isAsking;

    /// <summary>
    /// Offers help whenever .NET does not find the library, whether TorchSharp loads it or one of its functions is called.
    /// </summary>
    public static void Watch()
    {
        if (AssemblyLoadContext.GetLoadContext(TorchSharp) is { } context)
            context.ResolvingUnmanagedDll += (assembly, name) => assembly == TorchSharp && name == Native && !_isAsking ? Handle() : 0;
    }

    /// <summary>Loads torch's libraries in TorchSharp's own order.</summary>
    /// <exception cref="TorchRuntimeException">They cannot be loaded; the message says why.</exception>
    public static nint Handle()
    {
        (nint handle, TorchRuntimeException? failure) = Found.Value;
        return failure is null ? handle : throw new TorchRuntimeException(failure.Message, failure.InnerException!);
    }

    /// <summary>What is missing and what to do, from what a loader said.</summary>
    /// <param name="telling">The failure that tells most.</param>
    /// <param name="cause">The failure that the exception carries.</param>
    /// <param name="copyFailure">Why a relaxed copy did not help; null where none was tried.</param>
    public static TorchRuntimeException Describe(Exception telling, Exception cause, string? copyFailure = null)
    {
        var diagnosis = new TorchLoadDiagnosis(
            TorchLoadDiagnosis.CurrentPlatform(), TorchSharp.GetName().Version?.ToString(3) ?? "", LibTorchVersion(),
            TorchLoadDiagnosis.CurrentSearchFolders(TorchSharp));
        return new TorchRuntimeException(diagnosis.Describe(telling, copyFailure), cause);
    }

    private static (nint, TorchRuntimeException?) Find()
    {
        Exception plain;
        try
        {
            return (LoadPlainly(), null);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            plain = e;
        }

        string? copyFailure = null;
        if (OperatingSystem.IsLinux())
        {
            try
            {
                if (LoadByPath() is { } handle)
                    return (handle, null);
            }
            catch (Exception e) when (e is DllNotFoundException or BadImageFormatException or IOException or UnauthorizedAccessException)
            {
                copyFailure = e.Message;
            }
        }
        return (0, Describe(plain, plain, copyFailure));
    }

    private static nint LoadPlainly()
    {
        _isAsking = true;
        try
        {
            // Where the two packages lie in different folders, the second finds the first by its name.
            NativeLibrary.TryLoad("torch_cpu", TorchSharp, null, out _);
            return NativeLibrary.Load(Native, TorchSharp, null);
        }
        finally
        {
            _isAsking = false;
        }
    }

    /// <summary>
    /// Loads the files by their paths, TorchSharp's as a relaxed copy where it must be; null where they are not all there.
    /// </summary>
    [SupportedOSPlatform("linux")]
    private static nint? LoadByPath()
    {
        IReadOnlyList<string> folders = [.. TorchLoadDiagnosis.CurrentSearchFolders(TorchSharp), .. PackageFolders()];
        string? library = FileIn(folders, $"lib{Native}.so"), libTorch = FileIn(folders, "libtorch_cpu.so");
        if (library is null || libTorch is null)
            return null;
        // Libraries that are loaded are found by their names from now on, by TorchSharp as well.
        NativeLibrary.Load(libTorch);
        NativeLibrary.Load(Path.Combine(Path.GetDirectoryName(libTorch)!, "libtorch.so"));
        try
        {
            return NativeLibrary.Load(library);
        }
        catch (DllNotFoundException e) when (TorchLoadDiagnosis.NamesRelaxableVersion(e.Message))
        {
            return RelaxedCopy.Load(library);
        }
    }

    /// <summary>
    /// Where the natives lie when assemblies are taken from the package cache itself, as F# Interactive and notebooks do.
    /// </summary>
    private static IEnumerable<string> PackageFolders()
    {
        string platform = TorchLoadDiagnosis.CurrentPlatform();
        string natives = Path.Combine("runtimes", platform, "native");
        if (TorchSharp.Location.Length == 0)
            return [];
        // packages/torchsharp/version/lib/framework
        string beside = Path.GetDirectoryName(TorchSharp.Location)!;
        string package = Path.GetFullPath(Path.Combine(beside, "..", "..")), packages = Path.GetFullPath(Path.Combine(package, "..", ".."));
        return [Path.Combine(beside, natives), Path.Combine(package, natives),
            Path.Combine(packages, $"libtorch-cpu-{platform}", LibTorchVersion(), natives)];
    }

    private static string? FileIn(IEnumerable<string> folders, string file) =>
        folders.Select(folder => Path.Combine(folder, file)).FirstOrDefault(File.Exists);

    /// <summary>The version of libtorch that goes with our TorchSharp, as the build knows it.</summary>
    private static string LibTorchVersion() =>
        typeof(TorchLibraries).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == "LibTorchVersion").Value!;
}
