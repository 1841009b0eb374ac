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

    private const string TorchLibrary = "libtorch_cpu.so";

    /// <summary>Linux's names of the files of libtorch that TorchSharp's library needs, each behind those that it needs itself.</summary>
    private static readonly string[] TorchNames = ["libc10.so", TorchLibrary, "libtorch.so"];

    private static readonly Assembly TorchSharp = typeof(torch).Assembly;
    private static readonly Lazy<(nint Handle, TorchRuntimeException? Failure)> Found = new(Find);

    /// <summary>Where the files of libtorch are, in the order of their names; null for one that is nowhere.</summary>
    private static readonly Lazy<string?[]> TorchFiles = new(() => Array.ConvertAll(TorchNames, name => FileIn(Folders(), name)));

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

    /// <summary>Whether files of libtorch belong to the program, so that no other libtorch may take their place.</summary>
    public static bool HasTorch => OperatingSystem.IsLinux() && Array.Exists(TorchFiles.Value, path => path is not null);

    private static (nint, TorchRuntimeException?) Find()
    {
        try
        {
            LoadTorch();
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            return (0, Describe(e, e));
        }
        catch (TorchRuntimeException conflict)
        {
            return (0, conflict);
        }

        Exception plain;
        try
        {
            return (LoadNative(), null);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            plain = e;
        }

        string? copyFailure = null;
        if (OperatingSystem.IsLinux() && HasTorch && FileIn(Folders(), $"lib{Native}.so") is { } library)
        {
            try
            {
                return (LoadByPath(library), null);
            }
            catch (Exception e) when (e is DllNotFoundException or BadImageFormatException or IOException or UnauthorizedAccessException)
            {
                copyFailure = e.Message;
            }
        }
        return (0, Describe(plain, plain, copyFailure));
    }

    /// <summary>
    /// Loads libtorch: on Linux that of the program where it has one, whatever the system has. A system's own would be found by the same
    /// names, would stand in for a file that is lost, and two in one process end it.
    /// </summary>
    /// <exception cref="DllNotFoundException">A file of it is lost.</exception>
    /// <exception cref="TorchRuntimeException">Another one is loaded already.</exception>
    private static void LoadTorch()
    {
        if (!OperatingSystem.IsLinux() || !HasTorch)
        {
            // Where the two packages lie in different folders, the second finds the first by its name.
            NativeLibrary.TryLoad("torch_cpu", TorchSharp, null, out _);
            return;
        }
        string?[] files = TorchFiles.Value;
        int lost = Array.IndexOf(files, null);
        if (lost >= 0)
            throw new DllNotFoundException($"{TorchNames[lost]}: cannot open shared object file: it is not where others of libtorch are.");
        string own = files[Array.IndexOf(TorchNames, TorchLibrary)]!;
        if (LoadedFile.WhoseNameBegins(TorchLibrary) is { } loaded && !LoadedFile.Is(own, loaded))
        {
            string message = TorchLoadDiagnosis.DescribeConflict(loaded, own);
            throw new TorchRuntimeException(message, new DllNotFoundException(message));
        }
        foreach (string? file in files)
            NativeLibrary.Load(file!);
    }

    private static nint LoadNative()
    {
        _isAsking = true;
        try
        {
            return NativeLibrary.Load(Native, TorchSharp, null);
        }
        finally
        {
            _isAsking = false;
        }
    }

    /// <summary>Loads TorchSharp's library from its file, as a relaxed copy where it must be.</summary>
    [SupportedOSPlatform("linux")]
    private static nint LoadByPath(string library)
    {
        try
        {
            return NativeLibrary.Load(library);
        }
        catch (DllNotFoundException e) when (TorchLoadDiagnosis.NamesRelaxableVersion(e.Message))
        {
            return RelaxedCopy.Load(library);
        }
    }

    private static string[] Folders() => [.. TorchLoadDiagnosis.CurrentSearchFolders(TorchSharp), .. PackageFolders()];

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
