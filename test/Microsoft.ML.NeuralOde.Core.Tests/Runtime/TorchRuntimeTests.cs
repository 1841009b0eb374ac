using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Core.Tests.Runtime;

/// <summary>
/// torch loads once a process: what happens where something is missing is seen by a small program (TorchProbe) that runs in a
/// folder of its own, in which libtorch's files are links to those of this test's folder.
/// </summary>
public sealed class TorchRuntimeTests : IDisposable
{
    private const string NativeFolder = "runtimes/linux-x64/native";
    private const string TorchSharpLibrary = "libLibTorchSharp.so";

    private static readonly string OwnNative = Path.Combine(AppContext.BaseDirectory, NativeFolder);
    private static readonly string ProbeFolder = typeof(TorchRuntimeTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(a => a.Key == "TorchProbeFolder").Value!;

    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Torch_is_available_here_however_often_one_asks()
    {
        Action ask = TorchRuntime.EnsureAvailable;

        ask.Should().NotThrow();
        ask.Should().NotThrow();
    }

    [LinuxX64Fact]
    public void A_complete_folder_works()
    {
        CopyProbe();
        LinkLibTorch();

        (int code, string output) = RunProbe();

        output.Should().Be("sum 6");
        code.Should().Be(0);
    }

    [LinuxX64Fact]
    public void Without_a_libtorch_package_the_exception_names_the_one_to_add()
    {
        CopyProbe();

        (int code, string output) = RunProbe();

        code.Should().Be(3);
        output.Should().StartWith("TorchRuntimeException|TypeInitializationException|")
            .And.Contain("<PackageReference Include=\"libtorch-cpu-linux-x64\" Version=\"");
    }

    [LinuxX64Theory]
    [InlineData("libc10.so")]
    [InlineData("libtorch_cpu.so")]
    [InlineData("libtorch.so")]
    public void A_lost_file_of_libtorch_is_named(string file)
    {
        CopyProbe();
        LinkLibTorch();
        File.Delete(Path.Combine(_folder, NativeFolder, file));

        (int code, string output) = RunProbe();

        code.Should().Be(3);
        output.Should().StartWith("TorchRuntimeException|").And.ContainAll(file, Path.Combine(_folder, NativeFolder));
    }

    [LinuxX64Fact]
    public void A_lost_native_library_of_TorchSharp_is_named()
    {
        CopyProbe();
        LinkLibTorch();
        File.Delete(Path.Combine(_folder, NativeFolder, TorchSharpLibrary));

        (int code, string output) = RunProbe();

        code.Should().Be(3);
        output.Should().StartWith("TorchRuntimeException|").And.Contain(TorchSharpLibrary + " was not found");
    }

    [LinuxX64Fact]
    public void A_damaged_native_library_is_named_with_the_loaders_reason()
    {
        CopyProbe();
        LinkLibTorch();
        string damaged = Path.Combine(_folder, NativeFolder, TorchSharpLibrary);
        File.Delete(damaged);
        File.WriteAllText(damaged, string.Concat(Enumerable.Repeat("not a library\n", 100)));

        (int code, string output) = RunProbe();

        code.Should().Be(3);
        output.Should().StartWith("TorchRuntimeException|").And.ContainAll(damaged, "invalid ELF header");
    }

    [OldLibstdcxxFact]
    public void Without_the_compatibility_step_the_exception_names_symbol_version_and_remedy()
    {
        CopyProbe(relaxed: false);
        LinkLibTorch();

        (int code, string output) = RunProbe();

        code.Should().Be(3);
        output.Should().StartWith("TorchRuntimeException|DllNotFoundException|")
            .And.ContainAll("libstdc++.so.6", "GLIBCXX_3.4.32", "NeuralOdeNativeCompatibility", "GCC 13");
    }

    /// <summary>Copies the program; with the native library of this test's folder, which loads here, or with the package's own.</summary>
    private void CopyProbe(bool relaxed = true)
    {
        foreach (string file in Directory.GetFiles(ProbeFolder))
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
        Directory.CreateDirectory(Path.Combine(_folder, NativeFolder));
        string from = Path.Combine(relaxed ? OwnNative : Path.Combine(ProbeFolder, NativeFolder), TorchSharpLibrary);
        File.Copy(from, Path.Combine(_folder, NativeFolder, TorchSharpLibrary));
    }

    private void LinkLibTorch()
    {
        foreach (string file in Directory.GetFiles(OwnNative, "*.so*"))
        {
            string link = Path.Combine(_folder, NativeFolder, Path.GetFileName(file));
            if (!File.Exists(link))
                File.CreateSymbolicLink(link, file);
        }
    }

    private (int Code, string Output) RunProbe()
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet")
        {
            ArgumentList = { Path.Combine(_folder, "Microsoft.ML.NeuralOde.TorchProbe.dll") },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // TorchSharp's last resort is the package cache, and it would copy half a gigabyte from there.
        start.Environment["NUGET_PACKAGES"] = Path.Combine(_folder, "no-packages");
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, (process.ExitCode == 0 ? output.Result : errors).Trim());
    }

    private static string? NotLinuxX64() =>
        OperatingSystem.IsLinux() && RuntimeInformation.OSArchitecture == Architecture.X64 ? null : "Needs 64-bit Intel Linux.";

    private static string? NoOldLibstdcxx()
    {
        if (NotLinuxX64() is string reason)
            return reason;
        string[] folders = ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib"];
        string? library = folders.Select(f => Path.Combine(f, "libstdc++.so.6")).FirstOrDefault(File.Exists);
        return library != null && File.ReadAllBytes(library).AsSpan().IndexOf("GLIBCXX_3.4.32\0"u8) < 0
            ? null
            : "Needs a system whose libstdc++ is older than GCC 13's.";
    }

    private sealed class LinuxX64FactAttribute : FactAttribute
    {
        public LinuxX64FactAttribute() => Skip = NotLinuxX64();
    }

    private sealed class LinuxX64TheoryAttribute : TheoryAttribute
    {
        public LinuxX64TheoryAttribute() => Skip = NotLinuxX64();
    }

    private sealed class OldLibstdcxxFactAttribute : FactAttribute
    {
        public OldLibstdcxxFactAttribute() => Skip = NoOldLibstdcxx();
    }
}
