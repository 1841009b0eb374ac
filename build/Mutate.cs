// Mutation tests of one room, see docs/testing.md: runs Stryker on a copy of the working tree and writes the counts into the table there.
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

const string Table = "docs/testing.md";
const int BlockLines = 12;

string? name = null;
string? tests = null;
int share = 100, seed = 1;
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--sample": share = int.Parse(args[++i], CultureInfo.InvariantCulture); break;
        case "--seed": seed = int.Parse(args[++i], CultureInfo.InvariantCulture); break;
        case "--tests": tests = args[++i]; break;
        case not null when name is null && !args[i].StartsWith('-'): name = args[i]; break;
        default: return Usage($"'{args[i]}' is not understood.");
    }
}
if (name is null || share is < 1 or > 100)
    return Usage("A room is needed, and a sample is a share from 1 to 100 percent.");

string root = Directory.GetCurrentDirectory();
string[] parts = name.Split('/', 2);
string project = parts.Length == 1 ? "Microsoft.ML.NeuralOde" : $"Microsoft.ML.NeuralOde.{parts[0]}";
string room = parts[^1];
string folder = room == "." ? $"src/{project}" : $"src/{project}/{room}";
if (!Directory.Exists(folder))
    return Usage($"There is no folder {folder}.");
string testProject = $"{project}.Tests";
tests ??= string.Join('|', TestedBy(project, room).Select(one => $"(FullyQualifiedName~{testProject}.{one}&Category!=Slow)"));

// Stryker puts changed assemblies where the tests look for them: not in the tree that people work in.
string work = Path.Combine(Path.GetTempPath(), "neuralode-mutate");
string tree = Path.Combine(work, "tree"), output = Path.Combine(work, "output");
CopyTree(tree);
if (Directory.Exists(output))
    Directory.Delete(output, recursive: true);

List<string> command =
[
    "stryker", "--skip-version-check", "--configuration", "Release", "--project", $"{project}.csproj", "--test-case-filter", tests,
        "--concurrency", "1",
    "--reporter", "Json", "--reporter", "Progress", "--output", output, "--config-file", Path.Combine(tree, "build", "stryker.json"),
];
SearchOption depth = room == "." ? SearchOption.TopDirectoryOnly : SearchOption.AllDirectories;
foreach (string pattern in share == 100 ? Files(folder, depth).Select(file => $"**/{file}") : Sample(Files(folder, depth), share, seed))
    command.AddRange(["--mutate", pattern]);
int code = Run(Path.Combine(tree, "test", testProject), "dotnet", command);
string report = Path.Combine(output, "reports", "mutation-report.json");
if (!File.Exists(report))
{
    Console.Error.WriteLine($"Stryker ended with {code} and without a report.");
    return 1;
}

var counts = new Dictionary<string, int>();
using (JsonDocument document = JsonDocument.Parse(File.ReadAllText(report)))
    foreach (JsonProperty file in document.RootElement.GetProperty("files").EnumerateObject())
    {
        string source = file.Value.GetProperty("source").GetString()!;
        foreach (JsonElement mutant in file.Value.GetProperty("mutants").EnumerateArray())
        {
            string status = mutant.GetProperty("status").GetString()!;
            counts[status] = counts.GetValueOrDefault(status) + 1;
            if (status is "Survived" or "NoCoverage")
                Console.WriteLine(Describe(file.Name, source, mutant, status));
        }
    }

int killed = Count("Killed"), timeouts = Count("Timeout"), survived = Count("Survived"), uncovered = Count("NoCoverage");
int all = killed + timeouts + survived + uncovered;
string result = all == 0 ? "–" : string.Create(CultureInfo.InvariantCulture, $"{100.0 * (killed + timeouts) / all:F0} %");
string date = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
string of = share == 100 ? "all" : string.Create(CultureInfo.InvariantCulture, $"{share} % of lines, seed {seed}");
string commit = Output("git", "rev-parse", "--short", "HEAD");
string row = $"| {name} | {killed} | {timeouts} | {survived} | {uncovered} | {result} | {of} | {date} | {commit} |";
WriteRow(name, row);
Console.WriteLine(row);
return 0;

int Count(string status) => counts.GetValueOrDefault(status);

static int Usage(string problem)
{
    Console.Error.WriteLine($"{problem}\nbuild/mutate [Core/]ROOM [--sample PERCENT [--seed N]] [--tests FILTER]");
    return 2;
}

// The rooms of a test project whose tests look at a room: its own, and others where those alone would say little.
static string[] TestedBy(string project, string room) => (project.EndsWith(".Core", StringComparison.Ordinal), room) switch
{
    (true, ".") => ["OdeBlockTests", "StateAugmentationTests", "StepControl", "Solving.OptionAmountTests", "Solving.OptionTextTests",
        "Solving.FailureTests", "Gradients.AdjointOptionTests"],
    (true, "StepControl") => ["StepControl", "Solving.OptionAmountTests", "Solving.StepGuessTests"],
    (true, "Stepping") => ["Solving.SolveTests", "Solving.PerRowTests", "Solving.TimeResolutionTests", "Solving.OptionAmountTests"],
    (true, "Kernels") => ["Kernels", "Dynamics"],
    (true, "Methods") => ["Methods", "Solving.OptionAmountTests", "Solving.SolveTests"],
    (true, "PathIntegrals") => ["PathIntegrals", "Dynamics"],
    (false, "Data") => ["Data", "Training.StreamingTests", "Training.ValidationKeyTests"],
    (false, "Anomaly") => ["Anomaly", "Prediction.ThresholdTests"],
    (false, "Flows") => ["Density"],
    (false, "Networks") => ["Prediction", "Scoring.RowNetworkTests"],
    (false, "Prediction") => ["Prediction", "Networks"],
    _ => [room],
};

static string[] Files(string folder, SearchOption depth) =>
    [.. Directory.EnumerateFiles(folder, "*.cs", depth).Select(file => file.Replace('\\', '/').Replace("/./", "/"))
        .Where(file => !file.Contains("/obj/"))
        .Order(StringComparer.Ordinal)];

// Blocks of lines, drawn file by file: the same seed draws the same ones.
static List<string> Sample(IEnumerable<string> files, int share, int seed)
{
    var random = new Random(seed);
    var patterns = new List<string>();
    foreach (string file in files)
    {
        string text = File.ReadAllText(file);
        var spans = new List<string>();
        for (int start = 0; start < text.Length;)
        {
            int end = start;
            for (int line = 0; line < BlockLines && end < text.Length; line++)
                end = text.IndexOf('\n', end) is var found && found < 0 ? text.Length : found + 1;
            if (random.Next(100) < share)
                spans.Add($"{{{start}..{end}}}");
            start = end;
        }
        if (spans.Count > 0)
            patterns.Add($"**/{file}{string.Concat(spans)}");
    }
    return patterns;
}

void CopyTree(string target)
{
    string[] files = [.. Output("git", "ls-files", "--cached", "--others", "--exclude-standard").Split('\n').Where(File.Exists)];
    var wanted = new HashSet<string>(files.Select(file => Path.Combine(target, file)));
    foreach (string file in files)
    {
        string copy = Path.Combine(target, file);
        Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
        if (!File.Exists(copy) || !File.ReadAllBytes(copy).AsSpan().SequenceEqual(File.ReadAllBytes(file)))
            File.Copy(file, copy, overwrite: true);
    }
    // What was deleted or renamed since must not be compiled; what was built may stay.
    foreach (string old in Directory.EnumerateFiles(target, "*", SearchOption.AllDirectories))
        if (!wanted.Contains(old) && !Regex.IsMatch(old[target.Length..], @"[\\/](bin|obj|StrykerOutput)[\\/]"))
            File.Delete(old);
}

string Describe(string path, string source, JsonElement mutant, string status)
{
    JsonElement start = mutant.GetProperty("location").GetProperty("start"), end = mutant.GetProperty("location").GetProperty("end");
    int line = start.GetProperty("line").GetInt32();
    string[] lines = source.Split('\n');
    string original = line == end.GetProperty("line").GetInt32()
        ? lines[line - 1][(start.GetProperty("column").GetInt32() - 1)..(end.GetProperty("column").GetInt32() - 1)]
        : lines[line - 1].Trim() + " …";
    string replacement = Regex.Replace(mutant.GetProperty("replacement").GetString()!, @"\s+", " ");
    return $"{status} {Path.GetFileName(path)}:{line} {mutant.GetProperty("mutatorName").GetString()}: {original} → {replacement}";
}

void WriteRow(string key, string text)
{
    string file = Path.Combine(root, Table);
    List<string> lines = [.. File.ReadAllLines(file)];
    int first = lines.FindIndex(line => line.StartsWith("| room |", StringComparison.Ordinal)) + 2;
    int last = lines.FindIndex(first, line => !line.StartsWith('|'));
    last = last < 0 ? lines.Count : last;
    List<string> rows = [.. lines[first..last].Where(line => !line.StartsWith($"| {key} |", StringComparison.Ordinal)), text];
    lines.RemoveRange(first, last - first);
    lines.InsertRange(first, rows.Order(StringComparer.Ordinal));
    File.WriteAllText(file, string.Join('\n', lines) + "\n");
}

static string Output(string program, params string[] arguments)
{
    var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true };
    using Process process = Process.Start(start)!;
    string text = process.StandardOutput.ReadToEnd();
    process.WaitForExit();
    return process.ExitCode == 0 ? text.Trim()
        : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}.");
}

static int Run(string directory, string program, IEnumerable<string> arguments)
{
    using Process process = Process.Start(new ProcessStartInfo(program, arguments) { WorkingDirectory = directory })!;
    process.WaitForExit();
    return process.ExitCode;
}
