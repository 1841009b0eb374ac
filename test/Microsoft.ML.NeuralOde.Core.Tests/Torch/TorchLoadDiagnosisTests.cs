namespace Microsoft.ML.NeuralOde.Core.Tests.Torch;

/// <summary>The loaders' messages are those of the systems; here they meet folders with files of no content.</summary>
public sealed class TorchLoadDiagnosisTests : IDisposable
{
    private const string GlibcTries = """
        Unable to load shared library 'LibTorchSharp' or one of its dependencies. In order to help diagnose loading problems, consider …
        /app/native/LibTorchSharp.so: cannot open shared object file: No such file or directory
        {0}
        /app/LibTorchSharp: cannot open shared object file: No such file or directory
        """;

    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_missing_GLIBCXX_version_names_library_version_and_the_build_step()
    {
        string message = Describe("linux-x64", Glibc(
            "/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /app/native/libLibTorchSharp.so)"));

        message.Should().ContainAll("/lib/libstdc++.so.6", "GLIBCXX_3.4.32", "/app/native/libLibTorchSharp.so",
            "NeuralOdeNativeCompatibility", "GCC 13");
    }

    [Fact]
    public void A_version_that_the_build_step_cannot_relax_asks_for_a_newer_system()
    {
        string message = Describe("linux-x64", Glibc(
            "/lib/libc.so.6: version `GLIBC_2.34' not found (required by /app/native/libLibTorchSharp.so)"));

        message.Should().ContainAll("/lib/libc.so.6", "GLIBC_2.34", "newer system").And.NotContain("NeuralOdeNativeCompatibility");
    }

    [Theory]
    [InlineData("linux-x64", "libLibTorchSharp.so", "TorchSharp-cuda-linux")]
    [InlineData("win-x64", "LibTorchSharp.dll", "TorchSharp-cuda-windows")]
    [InlineData("osx-arm64", "libLibTorchSharp.dylib", null)]
    public void No_libtorch_at_all_names_the_package_of_the_platform(string platform, string native, string? cuda)
    {
        Create(native);

        string message = Describe(platform, "Unable to load DLL 'LibTorchSharp' or one of its dependencies (0x8007007E)");

        message.Should().ContainAll("libtorch is missing", _folder,
            $"<PackageReference Include=\"libtorch-cpu-{platform}\" Version=\"2.0.0\" />");
        if (cuda != null)
            message.Should().Contain(cuda + " 1.0.0");
    }

    [Theory]
    [InlineData("linux-x64", "libLibTorchSharp.so", "libtorch_cpu.so",
        "libc10.so: cannot open shared object file: No such file or directory", "libc10.so")]
    [InlineData("osx-arm64", "libLibTorchSharp.dylib", "libtorch_cpu.dylib", "Library not loaded: @rpath/libc10.dylib", "libc10.dylib")]
    public void One_missing_file_of_libtorch_is_named(string platform, string native, string libTorch, string loader, string missing)
    {
        Create(native);
        Create(libTorch);

        Describe(platform, Glibc(loader)).Should().ContainAll(missing + " is missing", _folder, "delete bin and obj");
    }

    [Fact]
    public void A_missing_system_library_is_not_blamed_on_a_package()
    {
        Create("libLibTorchSharp.so");
        Create("libtorch_cpu.so");

        Describe("linux-x64", Glibc("libstdc++.so.6: cannot open shared object file: No such file or directory"))
            .Should().Contain("system library libstdc++.so.6").And.NotContain("PackageReference");
    }

    [Fact]
    public void A_missing_native_library_of_TorchSharp_is_named_with_where_it_was_looked_for()
    {
        Create("libtorch_cpu.so");

        Describe("linux-x64", Glibc("/app/libLibTorchSharp.so: cannot open shared object file: No such file or directory"))
            .Should().ContainAll("libLibTorchSharp.so was not found", _folder, "TorchSharp 1.0.0").And.NotContain("PackageReference");
    }

    [Fact]
    public void What_else_the_loader_says_is_passed_on_without_its_list_of_attempts()
    {
        Create("libLibTorchSharp.so");
        Create("libtorch_cpu.so");

        string message = Describe("linux-x64", Glibc("/app/native/libLibTorchSharp.so: file too short"));

        message.Should().Contain("could not be loaded: /app/native/libLibTorchSharp.so: file too short")
            .And.NotContain("No such file");
    }

    [Theory]
    [InlineData("linux-musl-x64")]
    [InlineData("linux-arm64")]
    [InlineData("osx-x64")]
    [InlineData("win-x86")]
    public void A_platform_without_libtorch_is_said_to_be_one(string platform)
    {
        Describe(platform, "whatever").Should().ContainAll(platform, "linux-x64", "win-x64", "osx-arm64");
    }

    [Fact]
    public void A_native_library_of_another_version_is_suspected_where_a_function_is_missing()
    {
        var failure = new TypeInitializationException("torch", new EntryPointNotFoundException("Unable to find an entry point named 'X'."));

        new TorchLoadDiagnosis("linux-x64", "1.0.0", "2.0.0", [_folder]).Describe(failure)
            .Should().ContainAll("'X'", "does not belong to TorchSharp 1.0.0");
    }

    private static string Glibc(string line) => GlibcTries.Replace("{0}", line, StringComparison.Ordinal);

    private void Create(string file) => File.WriteAllBytes(Path.Combine(_folder, file), []);

    private string Describe(string platform, string loaderMessage) =>
        new TorchLoadDiagnosis(platform, "1.0.0", "2.0.0", [_folder]).Describe(new DllNotFoundException(loaderMessage));
}
