using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Microsoft.ML.NeuralOde.Build;

namespace Microsoft.ML.NeuralOde.Torch;

/// <summary>Turns what the operating system's loader said about torch's native libraries into what is missing and what to do.</summary>
/// <param name="platform">The process's platform as in package names, such as <c>linux-x64</c>.</param>
/// <param name="torchSharpVersion">The version of TorchSharp in use.</param>
/// <param name="libTorchVersion">The version of libtorch that belongs to it.</param>
/// <param name="searchFolders">Where .NET looks for native libraries.</param>
internal sealed partial class TorchLoadDiagnosis(
    string platform, string torchSharpVersion, string libTorchVersion, IReadOnlyList<string> searchFolders)
{
    private const string Opening = "torch cannot be used: ";

    // The only version that TorchSharp's library can do without.
    private const string RelaxableVersion = LibstdcxxRequirement.Version;

    private static readonly string[] SupportedPlatforms = ["linux-x64", "osx-arm64", "win-arm64", "win-x64"];

    // What the libtorch packages carry, CUDA's included; anything else that is missing belongs to the system.
    private static readonly string[] LibTorchPrefixes = ["libtorch", "libc10", "libshm", "libgomp-", "libcu", "libnv"];

    /// <summary>Whether a system library was found but is too old.</summary>
    public static bool NamesMissingVersion(string loaderMessage) => MissingVersion().IsMatch(loaderMessage);

    /// <summary>Whether it is the version that TorchSharp's library can do without.</summary>
    public static bool NamesRelaxableVersion(string loaderMessage) =>
        MissingVersion().Match(loaderMessage).Groups["version"].Value == RelaxableVersion;

    /// <summary>The platform of this process as package names spell it; <c>linux-musl-…</c> where libc is not glibc.</summary>
    public static string CurrentPlatform()
    {
        string system = OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : OperatingSystem.IsLinux() ? "linux"
            : RuntimeInformation.OSDescription;
        if (RuntimeInformation.RuntimeIdentifier is string rid
            && (rid.Contains("musl", StringComparison.Ordinal) || rid.StartsWith("alpine", StringComparison.Ordinal)))
            system = "linux-musl";
        return $"{system}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}";
    }

    /// <summary>The folders in which .NET looks for the native libraries of an assembly, in its order.</summary>
    public static IReadOnlyList<string> CurrentSearchFolders(Assembly assembly)
    {
        string host = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "";
        IEnumerable<string> folders = host.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        string beside = Path.GetDirectoryName(assembly.Location) is { Length: > 0 } folder ? folder : AppContext.BaseDirectory;
        string runtime = Path.TrimEndingDirectorySeparator(RuntimeEnvironment.GetRuntimeDirectory());
        return [.. folders.Append(beside).Select(Path.TrimEndingDirectorySeparator).Distinct().Where(f => f != runtime)];
    }

    /// <summary>One message: what is missing, where it was looked for, what to do.</summary>
    /// <param name="failure">What the loader said.</param>
    /// <param name="copyFailure">Why a copy without the requirement on a version did not help; null where none was tried.</param>
    public string Describe(Exception failure, string? copyFailure = null)
    {
        string message = failure.Message;
        if (Array.IndexOf(SupportedPlatforms, platform) < 0)
        {
            return $"{Opening}TorchSharp {torchSharpVersion} has native libraries for {string.Join(", ", SupportedPlatforms)}; this " +
                $"process is {platform}. Run it as one of those (Linux with glibc, a 64-bit process).";
        }
        if (MissingVersion().Match(message) is { Success: true } version)
            return DescribeMissingVersion(version, copyFailure);
        if (failure is not DllNotFoundException)
            return DescribeOther(failure);

        string native = NativeName("LibTorchSharp");
        if (FolderOf(native) is not string nativeFolder)
        {
            string libTorchToo = FolderOf(NativeName("torch_cpu")) == null ? " libtorch is not there either. " + PackageRemedy() : "";
            return $"{Opening}TorchSharp's native library {native} was not found ({LookedIn()}). It comes with the package TorchSharp " +
                $"{torchSharpVersion} for {platform}: build the program again, and when it is published or copied, take the folder " +
                $"'runtimes' along or publish for this platform (-r {platform}).{libTorchToo}";
        }

        string libTorch = NativeName("torch_cpu");
        if (MissingDependency().Match(message) is { Success: true } dependency)
        {
            string name = dependency.Groups["name"].Value;
            if (!Array.Exists(LibTorchPrefixes, p => name.StartsWith(p, StringComparison.Ordinal)))
            {
                return $"{Opening}the system library {name}, which torch's native libraries need, is not installed. Install it with the " +
                    "system's package manager.";
            }
            if (FolderOf(libTorch) is string libTorchFolder && name != libTorch)
            {
                return $"{Opening}{name} is missing, though other files of libtorch are in {libTorchFolder}. The program's folder is " +
                    $"incomplete: delete bin and obj and build again, or copy all of its files. {PackageRemedy()}";
            }
            return DescribeMissingPackage(name);
        }
        if (FolderOf(libTorch) == null)
            return DescribeMissingPackage(libTorch);
        return $"{Opening}{Path.Combine(nativeFolder, native)} could not be loaded: {Reason(message)}" +
            (OperatingSystem.IsWindows() ? " Where a module is not found, install the current Visual C++ redistributable." : "");
    }

    /// <summary>What to say where another libtorch is loaded than the program's.</summary>
    /// <param name="loaded">The file that is loaded.</param>
    /// <param name="own">The program's.</param>
    public static string DescribeConflict(string loaded, string own) =>
        $"{Opening}another libtorch is in this process already, {loaded}, beside which the program's, {own}, must not be loaded: two end the "
        + "process. Call TorchRuntime.EnsureAvailable() before anything else uses torch; where a host such as Python has loaded its own, "
        + "use a process without it.";

    private static string DescribeMissingVersion(Match match, string? copyFailure)
    {
        string version = match.Groups["version"].Value;
        string system = match.Groups["library"].Value;
        string asking = match.Groups["asking"].Value;
        string remedy = version == RelaxableVersion
            ? "Either let the build make the program's copy loadable: that is what the build step of the package " +
              "Microsoft.ML.NeuralOde.Core does by default where it is needed, unless it is switched off " +
              "(NeuralOdeNativeCompatibility=never) or the program was built on another system (then build it with " +
              "-p:NeuralOdeNativeCompatibility=always). Or run it where libstdc++ is that of GCC 13 or later (Debian 13, Ubuntu 24.04)."
            : "Run the program on a newer system (Debian 12, Ubuntu 22.04 or later).";
        string copy = copyFailure is null
            ? "" : $" A copy without this requirement could not be made and loaded at run time: {copyFailure.Trim()}";
        return $"{Opening}the system's {system} lacks the symbol version {version}, which {asking} requires. {remedy}{copy}";
    }

    private string DescribeMissingPackage(string file) =>
        $"{Opening}libtorch is missing: {file}, which TorchSharp {torchSharpVersion} needs, was not found ({LookedIn()}). {PackageRemedy()}";

    private string DescribeOther(Exception failure)
    {
        Exception root = failure.GetBaseException();
        string hint = root is EntryPointNotFoundException
            ? $" The native library does not belong to TorchSharp {torchSharpVersion}: delete bin and obj and build again."
            : "";
        return $"{Opening}{root.Message.Trim()}{hint}";
    }

    private string PackageRemedy()
    {
        string cuda = platform switch
        {
            "linux-x64" => $", or TorchSharp-cuda-linux {torchSharpVersion} for an NVIDIA GPU",
            "win-x64" => $", or TorchSharp-cuda-windows {torchSharpVersion} for an NVIDIA GPU",
            _ => "",
        };
        return $"The program's project chooses the libtorch: add <PackageReference Include=\"libtorch-cpu-{platform}\" " +
            $"Version=\"{libTorchVersion}\" />{cuda}.";
    }

    private string LookedIn() => "looked in " + string.Join(", ", searchFolders);

    private string? FolderOf(string file) => searchFolders.FirstOrDefault(folder => File.Exists(Path.Combine(folder, file)));

    private string NativeName(string library) => platform.Split('-')[0] switch
    {
        "win" => $"{library}.dll",
        "osx" => $"lib{library}.dylib",
        _ => $"lib{library}.so",
    };

    /// <summary>
    /// The lines that tell something. .NET reports every spelling of the name in every folder; "no such file" for those is not news.
    /// </summary>
    private static string Reason(string message)
    {
        string[] lines = message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        string[] telling = [.. lines.Skip(1).Where(line => !line.EndsWith("No such file or directory", StringComparison.Ordinal)
            && !line.Contains("(no such file)", StringComparison.Ordinal))];
        return string.Join(" ", telling.Length > 0 ? telling : lines);
    }

    // glibc: "/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /app/libLibTorchSharp.so)".
    [GeneratedRegex(@"^(?<library>[^\r\n]+): version [`'](?<version>[^']+)' not found \(required by (?<asking>[^\r\n]+)\)",
        RegexOptions.Multiline)]
    private static partial Regex MissingVersion();

    // glibc: "libtorch.so: cannot open shared object file: …", a name without a folder, which tells it from the spellings .NET tries.
    // macOS: "Library not loaded: @rpath/libtorch.dylib".
    [GeneratedRegex(@"^(?<name>[^/:\s]+): cannot open shared object file|Library not loaded: (?:\S*/)?(?<name>[^/\s]+)",
        RegexOptions.Multiline)]
    private static partial Regex MissingDependency();
}
