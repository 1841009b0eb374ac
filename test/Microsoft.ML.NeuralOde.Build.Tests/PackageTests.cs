using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Diagnostics;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using System.Xml.Linq;

namespace Microsoft.ML.NeuralOde.Build.Tests;

/// <summary>
/// The packages as a user gets them: packed from a copy of the sources below a folder named “src”, restored by a program outside the
/// repository that trains, saves and scores, in two versions whose model files go both ways. Needs the SDK alone.
/// </summary>
public sealed class PackageTests : IDisposable
{
    private const string First = "9.0.1-first", Second = "9.0.2-second";
    private const string Library = "Microsoft.ML.NeuralOde", Core = "Microsoft.ML.NeuralOde.Core", Onnx = "Microsoft.ML.NeuralOde.Onnx",
        Plots = "Microsoft.ML.NeuralOde.Plots",
        Distributed = "Microsoft.ML.NeuralOde.Distributed";

    // The kind of a source file in a portable PDB (its specification).
    private static readonly Guid EmbeddedSource = new("0E8A571B-6926-466E-B4AD-8AB04611F5FE");

    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(4);
    private static readonly string[] Libraries = [Core, Library, Onnx, Plots, Distributed];

    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-packages-").FullName;

    private static string Repository { get; } = Path.GetFullPath(Known("RepositoryFolder"));

    private string Clone => Path.Combine(_folder, "src", "clone");

    private string Feed => Path.Combine(_folder, "feed");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_program_outside_the_repository_trains_saves_and_scores_and_models_go_both_ways_between_two_versions()
    {
        CopySources();
        Pack(First, Core, Library, Onnx);
        Pack(Second, Core, Library);
        foreach (string library in new[] { Core, Library, Onnx })
            ShouldBeComplete(library, First);
        Dependencies(Library, First)
            .Should().Contain(new KeyValuePair<string, string>("Microsoft.ML", $"[{Known("MicrosoftMLVersion")}, 6.0.0)"))
            .And.ContainKeys("System.Numerics.Tensors", Core);
        Dependencies(Onnx, First).Should().ContainKeys(Library, "Google.Protobuf");

        string consumer = Directory.CreateDirectory(Path.Combine(_folder, "consumer")).FullName;
        string sources = Path.Combine(AppContext.BaseDirectory, "Consumer");
        File.Copy(Path.Combine(sources, "Program.txt"), Path.Combine(consumer, "Program.cs"));
        File.Copy(Path.Combine(sources, "Project.txt"), Path.Combine(consumer, "Consumer.csproj"));
        DotNet(consumer, "build", "-c", "Release", "-o", "out", $"-p:LibraryVersion={First}", $"-p:Feed={Feed}",
            $"-p:MachinePackages={Known("NuGetPackageRoot")}",
            $"-p:LibTorchVersion={Known("LibTorchVersion")}");

        string ofFirst = DotNet(consumer, "out/Consumer.dll", "train", "first.zip");
        DotNet(consumer, "out/Consumer.dll", "score", "first.zip").Should().Be(ofFirst);
        ofFirst.Should().MatchRegex("^(setosa|versicolor|virginica) 0[.]");
        if (RuntimeInformation.RuntimeIdentifier is "linux-x64" or "win-x64" or "osx-arm64")
            AsSingleFile(consumer, "score", "first.zip").Should().Be(ofFirst, "one file holds all that the folder does");

        // An update of the library in the program's folder, as its users make it.
        foreach (string assembly in new[] { Core, Library })
            using (ZipArchive package = ZipFile.OpenRead(PackageOf(assembly, Second)))
                package.GetEntry(
                    $"lib/net10.0/{assembly}.dll")!.ExtractToFile(Path.Combine(consumer, "out", $"{assembly}.dll"), overwrite: true);
        FileVersionInfo.GetVersionInfo(Path.Combine(consumer, "out", $"{Library}.dll")).ProductVersion.Should().StartWith(Second);
        DotNet(consumer, "out/Consumer.dll", "score", "first.zip").Should().Be(ofFirst, "a newer version reads the file of an older one");
        string ofSecond = DotNet(consumer, "out/Consumer.dll", "train", "second.zip");

        foreach (string assembly in new[] { Core, Library })
            using (ZipArchive package = ZipFile.OpenRead(PackageOf(assembly, First)))
                package.GetEntry(
                    $"lib/net10.0/{assembly}.dll")!.ExtractToFile(Path.Combine(consumer, "out", $"{assembly}.dll"), overwrite: true);
        DotNet(consumer, "out/Consumer.dll", "score", "second.zip").Should().Be(ofSecond, "an older version reads the file of a newer one");
    }

    /// <summary>Publishes the program as one file with its native libraries, and runs it from a folder that holds nothing else.</summary>
    private string AsSingleFile(string consumer, params string[] arguments)
    {
        string published = Path.Combine(_folder, "published"), alone = Directory.CreateDirectory(Path.Combine(_folder, "alone")).FullName;
        DotNet(consumer, "publish", "-c", "Release", "-o", published, "-r", RuntimeInformation.RuntimeIdentifier, "--self-contained",
            "false", "-p:PublishSingleFile=true",
            "-p:IncludeNativeLibrariesForSelfExtract=true", $"-p:LibraryVersion={First}", $"-p:Feed={Feed}",
            $"-p:MachinePackages={Known("NuGetPackageRoot")}",
            $"-p:LibTorchVersion={Known("LibTorchVersion")}");
        string[] libraries = [.. Directory.GetFiles(published).Where(file => Path.GetExtension(file) is ".dll" or ".so" or ".dylib")];
        libraries.Should().BeEmpty("all of them are in the one file");
        string name = OperatingSystem.IsWindows() ? "Consumer.exe" : "Consumer", program = Path.Combine(alone, name);
        File.Move(Path.Combine(published, name), program);
        return Run(program, consumer, arguments);
    }

    [Fact]
    public void Every_library_keeps_its_assembly_version_whatever_the_packages_version()
    {
        Parallel.ForEach(Libraries, new ParallelOptions { MaxDegreeOfParallelism = 2 }, library =>
        {
            Dictionary<string, string> found = Properties(Path.Combine(Repository, "src", library, $"{library}.csproj"), "AssemblyVersion",
                "FileVersion", "PackageVersion", "IsPackable");
            found.Should()
                .BeEquivalentTo(new Dictionary<string, string>
                {
                    ["AssemblyVersion"] = "1.0.0.0",
                    ["FileVersion"] = "7.8.9",
                    ["PackageVersion"] = "7.8.9-rc",
                    ["IsPackable"] = "true"
                });
        });
    }

    [Fact]
    public void Below_a_folder_named_src_tests_and_samples_are_no_libraries()
    {
        CopySources();
        foreach (string project in new[] { "test/Microsoft.ML.NeuralOde.ModelHost", "samples/Microsoft.ML.NeuralOde.Samples",
            "test/Microsoft.ML.NeuralOde.Core.Tests" })
        {
            string file = Directory.GetFiles(Path.Combine(Repository, project), "*.csproj").Single();
            string copy = Path.Combine(Directory.CreateDirectory(Path.Combine(Clone, project)).FullName, Path.GetFileName(file));
            File.Copy(file, copy);
            foreach (string folder in new[] { "test", "samples" })
                File.Copy(Path.Combine(Repository, folder, "Directory.Build.props"),
                    Path.Combine(Directory.CreateDirectory(Path.Combine(Clone, folder)).FullName, "Directory.Build.props"),
                    overwrite: true);
            Dictionary<string, string> found = Properties(copy, "IsPackable", "NoWarn");
            found["IsPackable"].Should().Be("false", project);
            found["NoWarn"].Should().Contain("CS1591", project);
        }
    }

    private void CopySources()
    {
        foreach (string file in Directory.GetFiles(Repository, "Directory.*")
            .Concat(new[] { "global.json", "nuget.config", "README.md", "LICENSE" }.Select(name => Path.Combine(Repository, name))))
            Copy(file);
        foreach (string folder in new[] { "src", "build" })
            foreach (string file in Directory.GetFiles(Path.Combine(Repository, folder), "*", SearchOption.AllDirectories))
                if (!Regex.IsMatch(Path.GetRelativePath(Repository, file), @"[/\\](bin|obj)[/\\]"))
                    Copy(file);

        void Copy(string file)
        {
            string target = Path.Combine(Clone, Path.GetRelativePath(Repository, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    private void Pack(string version, params string[] libraries)
    {
        string solution = Path.Combine(Clone, $"{version}.slnx");
        File.WriteAllText(solution,
            new XElement("Solution",
                libraries.Select(library =>
                    new XElement("Project", new XAttribute("Path", $"src/{library}/{library}.csproj")))).ToString());
        // Analyzers have seen the sources before.
        DotNet(Clone, "pack", solution, "-c", "Release", $"-p:Version={version}", $"-p:PackageOutputPath={Feed}", "-p:RunAnalyzers=false");
    }

    private string PackageOf(string library, string version) => Path.Combine(Feed, $"{library}.{version}.nupkg");

    /// <summary>What a feed shows and a debugger asks for.</summary>
    private void ShouldBeComplete(string library, string version)
    {
        using ZipArchive package = ZipFile.OpenRead(PackageOf(library, version));
        package.Entries.Select(entry => entry.FullName).Should().Contain(["README.md", "icon.png", $"lib/net10.0/{library}.xml"]);
        using (var readme = new StreamReader(package.GetEntry("README.md")!.Open()))
            readme.ReadToEnd()
            .Should().StartWith($"# {library}\n").And.NotMatchRegex(@"\]\((?!https?://)", "a feed has no folders for links to lead to");
        using (Stream stream = package.GetEntry($"{library}.nuspec")!.Open())
            XDocument.Load(stream)
            .Descendants().Where(element => !element.HasElements && element.Value.Length > 0).Select(element => element.Name.LocalName)
                .Should().Contain(["description", "authors", "license", "icon", "readme", "tags"]);
        using ZipArchive symbols = ZipFile.OpenRead(Path.ChangeExtension(PackageOf(library, version), ".snupkg"));
        symbols.Entries.Select(entry => entry.FullName).Should().Contain($"lib/net10.0/{library}.pdb");
        ShouldHoldItsSources(
            Bytes(package.GetEntry($"lib/net10.0/{library}.dll")!), Bytes(symbols.GetEntry($"lib/net10.0/{library}.pdb")!));
    }

    /// <summary>
    /// Symbols that need no repository: every file is in them, under a name that does not depend on where it was built, and the assembly is
    /// marked as one that is built alike from alike sources.
    /// </summary>
    private void ShouldHoldItsSources(byte[] assembly, byte[] symbols)
    {
        using var portable = new PEReader(ImmutableArray.Create(assembly));
        portable.ReadDebugDirectory().Select(entry => entry.Type).Should().Contain(DebugDirectoryEntryType.Reproducible);
        Encoding.UTF8.GetString(assembly).Should().NotContain(_folder);
        using MetadataReaderProvider provider = MetadataReaderProvider.FromPortablePdbImage(ImmutableArray.Create(symbols));
        MetadataReader reader = provider.GetMetadataReader();
        reader.Documents.Should().HaveCountGreaterThan(2);
        foreach (DocumentHandle document in reader.Documents)
        {
            string name = reader.GetString(reader.GetDocument(document).Name);
            name.Should().StartWith("/_/");
            reader.GetCustomDebugInformation(document).Select(handle => reader.GetCustomDebugInformation(handle))
                .Should().Contain(information => reader.GetGuid(information.Kind) == EmbeddedSource, name);
        }
    }

    private static byte[] Bytes(ZipArchiveEntry entry)
    {
        using Stream stream = entry.Open();
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }

    private Dictionary<string, string> Dependencies(string library, string version)
    {
        using ZipArchive package = ZipFile.OpenRead(PackageOf(library, version));
        using Stream stream = package.GetEntry($"{library}.nuspec")!.Open();
        return XDocument.Load(stream).Descendants().Where(element => element.Name.LocalName == "dependency")
            .ToDictionary(element => element.Attribute("id")!.Value, element => element.Attribute("version")!.Value);
    }

    private Dictionary<string, string> Properties(string project, params string[] names)
    {
        string json = DotNet(_folder, "msbuild", project, "-p:Version=7.8.9-rc", $"-getProperty:{string.Join(',', names)}");
        return JsonDocument.Parse(json).RootElement.GetProperty("Properties")
            .EnumerateObject().ToDictionary(property => property.Name, property => property.Value.GetString()!);
    }

    private string DotNet(string folder, params string[] arguments) =>
        Run(Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet", folder, arguments);

    private string Run(string program, string folder, params string[] arguments)
    {
        string said = $"{Path.GetFileName(program)} {string.Join(' ', arguments)}";
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // The test's own build must not speak through to this one.
        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase))
            .ToArray())
            start.Environment.Remove(name);
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["DOTNET_CLI_USE_MSBUILD_SERVER"] = "0";
        start.Environment["DOTNET_NOLOGO"] = "1";
        // A single file unpacks its libraries there.
        start.Environment["DOTNET_BUNDLE_EXTRACT_BASE_DIR"] = Path.Combine(_folder, "unpacked");
        start.Environment.TryAdd("DOTNET_ROOT",
            Path.GetDirectoryName(
                Path.GetDirectoryName(Path.GetDirectoryName(RuntimeEnvironment.GetRuntimeDirectory().TrimEnd('/', '\\')))));
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync(), output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(Longest))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{said} has not ended after {Longest}: {output.Result}{errors.Result}");
        }
        process.WaitForExit();
        process.ExitCode.Should().Be(0, $"{said} says: {output.Result}{errors.Result}");
        return output.Result.Trim();
    }

    private static string Known(string key) =>
        typeof(PackageTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == key).Value!;
}
