using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Microsoft.ML.NeuralOde.Core.Tests.Torch;

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
    [InlineData("libc10.so", false)]
    [InlineData("libtorch_cpu.so", false)]
    [InlineData("libtorch.so", false)]
    [InlineData("libc10.so", true)]
    [InlineData("libtorch_cpu.so", true)]
    [InlineData("libtorch.so", true)]
    public void A_lost_file_of_libtorch_is_named(string file, bool systemHasAnother)
    {
        CopyProbe();
        LinkLibTorch();
        File.Delete(Path.Combine(_folder, NativeFolder, file));

        (int code, string output) = RunProbe("ensure", ("LD_LIBRARY_PATH", systemHasAnother ? OtherTorch() : null));

        code.Should().Be(3);
        output.Should().StartWith("TorchRuntimeException|").And.ContainAll(file, Path.Combine(_folder, NativeFolder));
    }

    /// <summary>Without a list of what belongs to the program, .NET looks for torch where the system's libraries are.</summary>
    [LinuxX64Theory]
    [InlineData("ensure", true)]
    [InlineData("module", true)]
    [InlineData("ensure", false)]
    [InlineData("module", false)]
    public void A_libtorch_of_the_system_does_not_take_the_place_of_the_programs(string what, bool isListed)
    {
        CopyProbe();
        LinkLibTorch();
        if (!isListed)
            File.Delete(Path.Combine(_folder, "Microsoft.ML.NeuralOde.TorchProbe.deps.json"));

        RunProbe(what, ("LD_LIBRARY_PATH", OtherTorch())).Should().Be((0, "sum 6"));
    }

    [LinuxX64Fact]
    public void Beside_a_libtorch_that_is_loaded_another_is_refused_by_name()
    {
        CopyProbe();
        LinkLibTorch();
        string other = Path.Combine(OtherTorch(), "libtorch_cpu.so");

        (int code, string output) = RunProbe(["beside another", other]);

        code.Should().Be(3);
        output.Should().StartWith("TorchRuntimeException|").And.ContainAll("another libtorch", other, "EnsureAvailable");
    }

    [LinuxX64Fact]
    public void The_programs_own_libtorch_may_be_loaded_before()
    {
        CopyProbe();
        LinkLibTorch();

        RunProbe(["beside another", Path.Combine(_folder, NativeFolder, "libtorch_cpu.so")]).Should().Be((0, ""));
    }

    /// <summary>A folder of libraries that have libtorch's names and nothing of it.</summary>
    private string OtherTorch()
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder, "other")).FullName;
        string library = Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "libSystem.Native.so");
        foreach (string name in new[] { "libc10.so", "libtorch_cpu.so", "libtorch.so" })
            File.Copy(library, Path.Combine(folder, name), overwrite: true);
        return folder;
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

    [LinuxX64Theory]
    [InlineData("module")]
    [InlineData("tensor")]
    public void A_program_that_asks_nothing_works_as_well(string what)
    {
        CopyProbe();
        LinkLibTorch();

        RunProbe(what).Should().Be((0, "sum 6"));
    }

    [LinuxX64Fact]
    public void A_module_without_a_libtorch_package_says_what_is_missing_without_being_asked()
    {
        CopyProbe();

        (int code, string output) = RunProbe("module");

        code.Should().Be(3);
        output.Should().StartWith("TorchRuntimeException|").And.Contain("<PackageReference Include=\"libtorch-cpu-linux-x64\" Version=\"");
    }

    [LinuxX64Theory]
    [InlineData(null, "1000")]
    [InlineData("77", "77")]
    public void The_first_use_of_the_library_shortens_the_waiting_of_torchs_threads_and_loads_nothing(string? given, string expected)
    {
        CopyProbe();
        LinkLibTorch();

        RunProbe("start", ("GOMP_SPINCOUNT", given)).Should().Be((0, $"{expected} not loaded"));
    }

    [OldLibstdcxxTheory]
    [InlineData("ensure")]
    [InlineData("module")]
    [InlineData("tensor")]
    [SupportedOSPlatform("linux")]
    public void Where_the_build_step_did_not_come_a_copy_in_the_users_cache_is_loaded(string what)
    {
        CopyProbe(relaxed: false);
        LinkLibTorch();

        RunProbe(what).Should().Be((0, "sum 6"));

        CachedFiles().Should().ContainSingle();
        File.GetUnixFileMode(CachedFiles()[0]).Should().Be(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.GetUnixFileMode(Path.GetDirectoryName(CachedFiles()[0])!)
            .Should().Be(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        DateTime written = File.GetLastWriteTimeUtc(CachedFiles()[0]);
        RunProbe(what).Should().Be((0, "sum 6"));
        File.GetLastWriteTimeUtc(CachedFiles()[0]).Should().Be(written, "a good copy is kept");
    }

    [OldLibstdcxxTheory]
    [InlineData("cut off")]
    [InlineData("changed")]
    [InlineData("empty")]
    [InlineData("open to others")]
    [InlineData("link")]
    [SupportedOSPlatform("linux")]
    public void A_copy_in_the_cache_that_is_not_what_it_should_be_is_written_anew(string what)
    {
        CopyProbe(relaxed: false);
        LinkLibTorch();
        RunProbe().Should().Be((0, "sum 6"));
        string cached = CachedFiles().Should().ContainSingle().Subject;
        byte[] good = File.ReadAllBytes(cached);
        switch (what)
        {
            case "cut off":
                File.WriteAllBytes(cached, good[..(good.Length / 2)]);
                break;
            case "changed":
                File.WriteAllBytes(cached, [.. good[..5000], (byte)(good[5000] ^ 1), .. good[5001..]]);
                break;
            case "empty":
                File.WriteAllBytes(cached, []);
                break;
            case "open to others":
                File.SetUnixFileMode(cached, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherWrite);
                break;
            default:
                string elsewhere = Path.Combine(_folder, "elsewhere.so");
                File.Move(cached, elsewhere);
                File.CreateSymbolicLink(cached, elsewhere);
                break;
        }

        RunProbe().Should().Be((0, "sum 6"));

        CachedFiles().Should().Equal(cached);
        File.ReadAllBytes(cached).AsSpan().SequenceEqual(good).Should().BeTrue();
        File.GetUnixFileMode(cached).Should().Be(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        new FileInfo(cached).LinkTarget.Should().BeNull();
    }

    [OldLibstdcxxFact]
    public void Programs_that_start_at_once_share_one_copy()
    {
        CopyProbe(relaxed: false);
        LinkLibTorch();
        var results = new (int, string)[4];

        Parallel.For(0, results.Length, i => results[i] = RunProbe("module"));

        results.Should().AllBeEquivalentTo((0, "sum 6"));
        CachedFiles().Should().ContainSingle();
    }

    [OldLibstdcxxFact]
    public void Without_a_cache_that_can_be_written_a_temporary_copy_serves_and_is_gone_afterwards()
    {
        CopyProbe(relaxed: false);
        LinkLibTorch();
        string temporary = Directory.CreateDirectory(Path.Combine(_folder, "temporary")).FullName;

        // A file in the place of a folder stops the superuser as well.
        RunProbe("module", ("XDG_CACHE_HOME", Path.Combine(_folder, "Microsoft.ML.NeuralOde.TorchProbe.dll")), ("TMPDIR", temporary))
            .Should().Be((0, "sum 6"));

        Directory.GetFileSystemEntries(temporary, "neuralode-*").Should().BeEmpty();
    }

    [OldLibstdcxxTheory]
    [InlineData("ensure")]
    [InlineData("module")]
    public void Where_no_copy_can_be_made_the_exception_names_symbol_version_and_remedy(string what)
    {
        CopyProbe(relaxed: false);
        LinkLibTorch();
        string file = Path.Combine(_folder, "Microsoft.ML.NeuralOde.TorchProbe.dll");

        (int code, string output) = RunProbe(what, ("XDG_CACHE_HOME", file), ("TMPDIR", file));

        code.Should().Be(3);
        output.Should().StartWith("TorchRuntimeException|DllNotFoundException|")
            .And.ContainAll("libstdc++.so.6", "GLIBCXX_3.4.32", "NeuralOdeNativeCompatibility", "GCC 13", "at run time");
    }

    private string CacheFolder => Path.Combine(_folder, "cache");

    private string[] CachedFiles() => Directory.GetFiles(CacheFolder, "*", SearchOption.AllDirectories);

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

    private (int Code, string Output) RunProbe(string what = "ensure", params (string Name, string? Value)[] environment) =>
        RunProbe([what], environment);

    private (int Code, string Output) RunProbe(string[] arguments, params (string Name, string? Value)[] environment)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet")
        {
            ArgumentList = { Path.Combine(_folder, "Microsoft.ML.NeuralOde.TorchProbe.dll") },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        // TorchSharp's last resort is the package cache, and it would copy half a gigabyte from there.
        start.Environment["NUGET_PACKAGES"] = Path.Combine(_folder, "no-packages");
        start.Environment["XDG_CACHE_HOME"] = CacheFolder;
        start.Environment.Remove("GOMP_SPINCOUNT");
        foreach ((string name, string? value) in environment)
            start.Environment[name] = value;
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

    private sealed class OldLibstdcxxTheoryAttribute : TheoryAttribute
    {
        public OldLibstdcxxTheoryAttribute() => Skip = NoOldLibstdcxx();
    }
}
