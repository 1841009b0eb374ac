using System.Text.RegularExpressions;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Documents;

/// <summary>The page that explains messages says what the sources say.</summary>
public sealed partial class TroubleshootingTests
{
    private static readonly string Repository = Find();

    // What is known by these names elsewhere.
    private static readonly string[] Foreign =
    [
        "ReplaceMissingValues", "<PublishAot>false</PublishAot>", "IncludeNativeLibrariesForSelfExtract", "apt-get install mpich",
        "mpiexec", "backward", "OwnsTransformer = false",
    ];

    private static readonly Lazy<string> Sources = new(() => string.Concat(
        new[] { "src", "build" }.Select(folder => Path.Combine(Repository, folder))
            .SelectMany(folder => Directory.GetFiles(folder, "*.*", SearchOption.AllDirectories))
            .Where(file => Path.GetExtension(file) is ".cs" or ".targets" && !file.Split(Path.DirectorySeparatorChar).Contains("obj"))
            .Select(File.ReadAllText)));

    public static TheoryData<string> Rows =>
    [
        .. File.ReadLines(Path.Combine(Repository, "docs", "troubleshooting.md")).Where(line => line.StartsWith('|')
            && !line.StartsWith("| message", StringComparison.Ordinal) && !line.StartsWith("|---", StringComparison.Ordinal)),
    ];

    [Fact]
    public void There_are_rows() => Rows.Should().HaveCountGreaterThan(20);

    [Theory]
    [MemberData(nameof(Rows))]
    public void Messages_and_names_of_a_row_are_those_of_the_sources(string row)
    {
        foreach (Match message in Message().Matches(row.Split('|')[1]))
            Sources.Value.Should().Contain(message.Groups[1].Value, "a message says so");
        foreach (Match name in Name().Matches(row))
            if (!Foreign.Contains(name.Groups[1].Value))
                foreach (Match word in Word().Matches(name.Groups[1].Value))
                    Sources.Value.Should().Contain(word.Value, $"`{name.Groups[1].Value}` is spoken of");
    }

    [Fact]
    public void Every_kind_of_failure_of_a_solve_is_explained()
    {
        string page = File.ReadAllText(Path.Combine(Repository, "docs", "troubleshooting.md"));
        foreach (SolverFailure failure in Enum.GetValues<SolverFailure>())
            page.Should().Contain($"`{failure}`");
    }

    private static string Find()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "docs", "troubleshooting.md")))
            folder = Path.GetDirectoryName(folder)!;
        return folder;
    }

    [GeneratedRegex("“([^”]*)”")]
    private static partial Regex Message();

    [GeneratedRegex("`([^`]*)`")]
    private static partial Regex Name();

    [GeneratedRegex("[A-Za-z_][A-Za-z_0-9]{2,}")]
    private static partial Regex Word();
}
