using System.Reflection;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Recipes;

/// <summary>A program of docs/recipes: one file with a title and a sentence in its first comment, as `dotnet run` takes it.</summary>
internal sealed class Recipe
{
    private static readonly string[] Directives = ["#:project ", "#:package ", "#:property PublishAot=false"];

    // What ImplicitUsings of the SDK gives to a console program.
    private const string ImplicitUsings = """
        global using System;
        global using System.Collections.Generic;
        global using System.IO;
        global using System.Linq;
        global using System.Net.Http;
        global using System.Threading;
        global using System.Threading.Tasks;
        """;

    // Read once for all programs.
    private static readonly PortableExecutableReference[] References =
        [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Select(assembly => MetadataReference.CreateFromFile(assembly))];

    private readonly string _file;
    private readonly string[] _lines;

    private Recipe(string file)
    {
        _file = file;
        _lines = File.ReadAllLines(file);
        Name = $"{Path.GetFileName(Path.GetDirectoryName(file))}/{Path.GetFileName(file)}";
        string comment = _lines.FirstOrDefault(line => line.StartsWith("// ", StringComparison.Ordinal))
            ?? throw new InvalidDataException($"{Name} has no comment with its title and sentence.");
        int colon = comment.IndexOf(": ", StringComparison.Ordinal);
        if (colon < 0)
            throw new InvalidDataException($"The first comment of {Name} has no colon between title and sentence.");
        (Title, Sentence) = (comment[3..colon], comment[(colon + 2)..]);
    }

    public static string Folder { get; } = Path.GetFullPath(
        typeof(Recipe).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(entry => entry.Key == "Recipes").Value!);

    /// <summary>Folder and file, as links name it.</summary>
    public string Name { get; }

    public string Title { get; }

    public string Sentence { get; }

    /// <summary>The lines that a reader has to read: neither blank ones nor those that every program begins with.</summary>
    public int Lines =>
        _lines.Count(line => line.Trim().Length > 0
            && !line.StartsWith("#:", StringComparison.Ordinal) && !line.StartsWith("using Micro", StringComparison.Ordinal));

    public static IReadOnlyList<Recipe> All() =>
        [.. Directory.EnumerateFiles(Folder, "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains("/obj/") && !file.Contains("/bin/"))
            .Order(StringComparer.Ordinal).Select(file => new Recipe(file))];

    /// <summary>Compiles the program as it stands, runs it, and returns what it prints.</summary>
    public string Run()
    {
        using var image = new MemoryStream();
        var result = Compile().Emit(image);
        string[] errors =
            [.. result.Diagnostics.Where(found => found.Severity == DiagnosticSeverity.Error).Select(found => found.ToString())];
        if (errors.Length > 0)
            throw new InvalidOperationException($"{Name} does not compile: {string.Join('\n', errors)}");
        MethodInfo main = Assembly.Load(image.ToArray()).EntryPoint!;
        using RoutedConsole console = RoutedConsole.Capture();
        if (main.Invoke(null, main.GetParameters().Length == 0 ? null : [Array.Empty<string>()]) is Task task)
            task.GetAwaiter().GetResult();
        return console.Text.TrimEnd().Replace("\r\n", "\n");
    }

    private CSharpCompilation Compile()
    {
        foreach (string line in _lines.Where(line => line.StartsWith("#:", StringComparison.Ordinal)))
        {
            if (!Directives.Any(known => line.StartsWith(known, StringComparison.Ordinal)))
                throw new InvalidDataException($"{Name}: this test does not know '{line}'.");
            if (line.StartsWith("#:project ", StringComparison.Ordinal)
                && !Directory.Exists(Path.Combine(Path.GetDirectoryName(_file)!, line[10..])))
                throw new InvalidDataException($"{Name} names a project that is not there: '{line}'.");
        }
        // The compiler proper does not know the lines for `dotnet run`.
        string source = string.Join('\n', _lines.Select(line => line.StartsWith("#:", StringComparison.Ordinal) ? "" : line));
        var language = new CSharpParseOptions(LanguageVersion.Latest);
        return CSharpCompilation.Create(
            $"recipe-{Guid.NewGuid():N}",
            [CSharpSyntaxTree.ParseText(source, language, _file), CSharpSyntaxTree.ParseText(ImplicitUsings, language)],
            References,
            new CSharpCompilationOptions(OutputKind.ConsoleApplication, nullableContextOptions: NullableContextOptions.Enable));
    }
}
