// Mutation tests of one room, see docs/testing.md: Stryker compiles all mutants of a copy of the
// working tree together, MutantHost.cs tries them, and the counts go into the table there.
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

const string Table = "docs/testing.md";
const int BlockLines = 12;
// Told to MutantHost.cs by a letter before the number.
const string MutantOfOnce = "s";

var rooms = new List<string>();
string? tests = null;
int share = 100, seed = 1;
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--sample": share = int.Parse(args[++i], CultureInfo.InvariantCulture); break;
        case "--seed": seed = int.Parse(args[++i], CultureInfo.InvariantCulture); break;
        case "--tests": tests = args[++i]; break;
        case not null when !args[i].StartsWith('-'): rooms.Add(args[i]); break;
        default: return Usage($"'{args[i]}' is not understood.");
    }
}
if (rooms.Count == 0 || share is < 1 or > 100)
    return Usage("A room is needed, and a sample is a share from 1 to 100 percent.");
foreach (string name in rooms)
    if (!Directory.Exists(Folder(name)))
        return Usage($"There is no folder {Folder(name)}.");

string root = Directory.GetCurrentDirectory();
string work = Path.Combine(Path.GetTempPath(), "neuralode-mutate"), tree = Path.Combine(work, "tree");
// A test that tries so many takes a minute, and then no mutant has the time for it.
Environment.SetEnvironmentVariable("NEURALODE_WRONG_USES", "100");
// Stryker puts changed assemblies where the tests look for them: not in the tree that people work in.
CopyTree(tree);
foreach (IGrouping<string, string> group in rooms.GroupBy(Project))
{
    string project = group.Key, library = $"{project}.dll";
    string bin = Path.Combine(tree, "test", $"{project}.Tests", "bin", "Release", "net10.0");
    // What Stryker compiled serves as long as the library is the same, whatever becomes of its tests.
    string prepared = Path.Combine(work, $"{project}-{Fingerprint()}");
    if (!File.Exists(Path.Combine(prepared, "mutants.json")) && !Prepare(project, bin, prepared))
        return 1;
    if (Run(tree, "dotnet", ["build", "-c", "Release", "-p:RunAnalyzers=false", "-v", "quiet", $"-p:MutantHost={project}.Tests",
        $"test/{project}.Tests"]) != 0)
        return 1;
    File.Copy(Path.Combine(prepared, library), Path.Combine(bin, library), overwrite: true);
    foreach (string name in group)
        Try(name, project, bin, prepared);
}
return 0;

void Try(string name, string project, string bin, string prepared)
{
    List<Mutant> mutants = Draw(name, prepared);
    string filter = tests ?? string.Join('|', TestedBy(name));
    string host = Path.Combine(bin, $"{project}.Tests.dll"), reachFile = Path.Combine(work, "reach.json");
    Console.WriteLine($"{name}: {mutants.Count} mutants, tests {filter}");
    var clock = Stopwatch.StartNew();
    if (Run(bin, "dotnet", [host, "reach", project, filter, reachFile]) != 0)
        throw new InvalidOperationException("The tests could not be run without a mutant.");
    // How many tests reach a mutant.
    var reached = new Dictionary<int, int>();
    HashSet<int> once = [];
    int count = 0;
    double slowest = 0;
    using (JsonDocument document = JsonDocument.Parse(File.ReadAllText(reachFile)))
        foreach (JsonElement test in document.RootElement.EnumerateArray())
        {
            count++;
            slowest = Math.Max(slowest, test.GetProperty("Milliseconds").GetDouble());
            foreach (JsonElement id in test.GetProperty("Mutants").EnumerateArray())
                reached[id.GetInt32()] = reached.GetValueOrDefault(id.GetInt32()) + 1;
            once.UnionWith(test.GetProperty("Static").EnumerateArray().Select(id => id.GetInt32()));
        }
    // A type's static values are made in whatever test comes first, and may serve any. What a single test reaches may be one of them, made
    // by a method.
    once.UnionWith(mutants.Where(mutant => reached.TryGetValue(mutant.Id, out int tests) && (mutant.IsStatic || tests == 1))
        .Select(mutant => mutant.Id));
    foreach (int id in once)
        reached.TryAdd(id, 0);
    Console.WriteLine($"{count} tests in {clock.Elapsed.TotalSeconds:F0} s");

    var fates = mutants.Where(mutant => !reached.ContainsKey(mutant.Id)).ToDictionary(mutant => mutant.Id, _ => "uncovered");
    var waiting = new Queue<int>(mutants.Select(mutant => mutant.Id).Where(reached.ContainsKey));
    while (waiting.Count > 0)
    {
        // Those that a process meets once come alone; of the others one process takes many, until one of them spoils it.
        bool alone = once.Contains(waiting.Peek());
        int[] batch = [.. waiting.TakeWhile((id, index) => index == 0 || (!alone && !once.Contains(id))).Take(100)];
        int before = fates.Count;
        string[] ids = Array.ConvertAll(batch, id =>
            alone ? $"{MutantOfOnce}{id}:{mutants.First(mutant => mutant.Id == id).File}" : id.ToString(CultureInfo.InvariantCulture));
        Watch([host, "try", project, filter, reachFile, .. ids], batch, fates,
            patience: TimeSpan.FromMilliseconds(15_000 + 5 * slowest));
        for (int i = fates.Count - before; i > 0; i--)
            waiting.Dequeue();
        Console.Error.WriteLine($"{waiting.Count} left after {clock.Elapsed.TotalSeconds:F0} s");
    }
    foreach (Mutant mutant in mutants)
        if (fates[mutant.Id] is "survived" or "uncovered")
            Console.WriteLine($"{fates[mutant.Id]} {mutant}");

    int killed = Count("killed"), timeouts = Count("timeout"), survived = Count("survived"), uncovered = Count("uncovered");
    string result = mutants.Count == 0 ? "–"
        : string.Create(CultureInfo.InvariantCulture, $"{100.0 * (killed + timeouts) / mutants.Count:F0} %");
    string date = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
    string of = share == 100 ? "all" : string.Create(CultureInfo.InvariantCulture, $"{share} % of lines, seed {seed}");
    string commit = Output("git", "rev-parse", "--short", "HEAD");
    string row = $"| {name} | {killed} | {timeouts} | {survived} | {uncovered} | {result} | {of} | {date} | {commit} |";
    if (tests is null)
        WriteRow(name, row);
    Console.WriteLine($"{row} {clock.Elapsed.TotalSeconds:F0} s");

    int Count(string fate) => fates.Values.Count(one => one == fate);
}

// One process, until it has tried all of a batch, hangs, or dies: then the mutant that was on is done.
void Watch(IEnumerable<string> arguments, int[] batch, Dictionary<int, string> fates, TimeSpan patience)
{
    // Mutants may ask for memory without end.
    const long MemoryLimit = 6L << 30;
    var start = new ProcessStartInfo("dotnet", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
    start.WorkingDirectory = Path.GetDirectoryName(start.ArgumentList[0])!;
    using Process process = Process.Start(start)!;
    long heard = Environment.TickCount64;
    int begun = 0, done = 0;
    process.ErrorDataReceived += (_, _) => { };
    process.OutputDataReceived += (_, line) =>
    {
        Interlocked.Exchange(ref heard, Environment.TickCount64);
        string[] words = line.Data?.Split(' ', 3) ?? [];
        if (words is ["#begin", ..])
            Interlocked.Increment(ref begun);
        if (words is ["#killed" or "#survived", var id, ..])
        {
            lock (fates)
                fates[int.Parse(id, CultureInfo.InvariantCulture)] = words[0][1..];
            Interlocked.Increment(ref done);
        }
    };
    process.BeginOutputReadLine();
    process.BeginErrorReadLine();
    string? end = null;
    while (!process.WaitForExit(500))
    {
        end = Environment.TickCount64 - Interlocked.Read(ref heard) > patience.TotalMilliseconds ? "timeout"
            : Memory(process) > MemoryLimit ? "killed" : null;
        if (end is null)
            continue;
        process.Kill(entireProcessTree: true);
        break;
    }
    process.WaitForExit();
    if (done == batch.Length || (end is null && process.ExitCode == 3))
        return;
    // What a mutant has spoiled in native memory may end its process later, between two others or in another: that one gets a new process.
    if (end is null && done > 0)
        return;
    // A process that meets a mutant when it finds its tests has not begun to try it.
    if (begun == done && batch.Length > 1)
        throw new InvalidOperationException(
            $"The tests ended with {process.ExitCode} before the first of {batch.Length} mutants was tried.");
    fates[batch[done]] = end ?? "killed";
}

// 0 for a process that ended while it was looked at.
static long Memory(Process process)
{
    try
    {
        process.Refresh();
        return process.WorkingSet64;
    }
    catch (InvalidOperationException)
    {
        return 0;
    }
}

bool Prepare(string project, string bin, string prepared)
{
    Console.WriteLine($"Stryker changes {project} …");
    string output = Path.Combine(work, "output"), library = $"{project}.dll", caught = Path.Combine(work, library);
    foreach (string old in new[] { output, prepared }.Where(Directory.Exists))
        Directory.Delete(old, recursive: true);
    // What a run left that was ended before its time.
    string[] leftovers = [caught, Path.Combine(bin, library + ".stryker-unchanged"), Path.Combine(bin, library)];
    foreach (string old in leftovers.Where(File.Exists))
        File.Delete(old);
    List<string> command =
    [
        "stryker", "--skip-version-check", "--configuration", "Release", "--project", $"{project}.csproj", "--concurrency", "1",
        "--test-case-filter", "FullyQualifiedName~MutantHostTests", "--reporter", "Json", "--output", output,
        "--config-file", Path.Combine(tree, "build", "stryker.json"),
    ];
    using var over = new CancellationTokenSource();
    // Stryker puts the unchanged library back when it ends.
    Task watch = Task.Run(async () =>
    {
        string kept = Path.Combine(bin, library + ".stryker-unchanged"), changed = Path.Combine(bin, library);
        for (; !over.IsCancellationRequested; await Task.Delay(200))
            if (File.Exists(kept) && new FileInfo(changed) is { Exists: true, Length: var length }
                && length > new FileInfo(kept).Length * 5 / 4
                && (!File.Exists(caught) || new FileInfo(caught).Length != length))
                File.Copy(changed, caught, overwrite: true);
    });
    int code = Run(Path.Combine(tree, "test", $"{project}.Tests"), "dotnet", command,
        ("MutantHost", $"{project}.Tests"), ("RunAnalyzers", "false"));
    over.Cancel();
    watch.Wait();
    string report = Path.Combine(output, "reports", "mutation-report.json");
    if (!File.Exists(report) || !File.Exists(caught))
    {
        Console.Error.WriteLine($"Stryker ended with {code} and without {(File.Exists(report) ? "its library" : "a report")}.");
        return false;
    }
    Directory.CreateDirectory(prepared);
    File.Move(caught, Path.Combine(prepared, library));
    File.Move(report, Path.Combine(prepared, "mutants.json"));
    return true;
}

// The mutants of a room that compile, in the blocks of lines that were drawn.
List<Mutant> Draw(string name, string prepared)
{
    string folder = Folder(name);
    var blocks = Files(folder, name.EndsWith('.') ? SearchOption.TopDirectoryOnly : SearchOption.AllDirectories).ToDictionary(
        file => file, _ => new List<bool>());
    var random = new Random(seed);
    foreach ((string file, List<bool> drawn) in blocks)
        for (int line = 0; line < File.ReadAllLines(file).Length; line += BlockLines)
            drawn.Add(random.Next(100) < share);
    var mutants = new List<Mutant>();
    using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(prepared, "mutants.json")));
    foreach (JsonProperty file in document.RootElement.GetProperty("files").EnumerateObject())
    {
        string path = file.Name.Replace('\\', '/');
        path = path[path.IndexOf("src/", StringComparison.Ordinal)..];
        if (!blocks.TryGetValue(path, out List<bool>? drawn))
            continue;
        string[] lines = file.Value.GetProperty("source").GetString()!.Split('\n');
        int[] all = [.. file.Value.GetProperty("mutants").EnumerateArray().Select(Number)];
        string span = all.Length == 0 ? "" : $"{all.Min()}-{all.Max()}";
        foreach (JsonElement mutant in file.Value.GetProperty("mutants").EnumerateArray())
        {
            int line = mutant.GetProperty("location").GetProperty("start").GetProperty("line").GetInt32();
            if (mutant.GetProperty("status").GetString() is not ("CompileError" or "Ignored") && drawn[(line - 1) / BlockLines])
                mutants.Add(new(
                    Number(mutant), Describe(path, lines, mutant),
                    mutant.TryGetProperty("static", out JsonElement isStatic) && isStatic.ValueKind == JsonValueKind.True, span));
        }
    }
    return mutants;

    static int Number(JsonElement mutant) => int.Parse(mutant.GetProperty("id").GetString()!, CultureInfo.InvariantCulture);
}

string Fingerprint()
{
    using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    foreach (string file in Directory.EnumerateFiles(root, "*.props").Append(Path.Combine(root, "build", "stryker.json"))
        .Concat(Directory.EnumerateFiles(Path.Combine(root, "src"), "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Replace('\\', '/').Contains("/obj/"))).Order(StringComparer.Ordinal))
    {
        hash.AppendData(Encoding.UTF8.GetBytes(file));
        hash.AppendData(File.ReadAllBytes(file));
    }
    return Convert.ToHexString(hash.GetHashAndReset())[..12];
}

static string Project(string name) =>
    name.IndexOf('/') is var slash && slash < 0 ? "Microsoft.ML.NeuralOde" : $"Microsoft.ML.NeuralOde.{name[..slash]}";

static string Folder(string name) => $"src/{Project(name)}/{name[(name.IndexOf('/') + 1)..]}".Replace("/.", "");

static int Usage(string problem)
{
    Console.Error.WriteLine($"{problem}\nbuild/mutate [Core/]ROOM… [--sample PERCENT [--seed N]] [--tests NAME|NAME…]");
    return 2;
}

// The rooms of a test project whose tests look at a room: its own, and others where those alone would say little.
static string[] TestedBy(string name) => name switch
{
    "Core/." => ["OdeBlockTests", "StateAugmentationTests", "AdamOptimizerTests", "NullArgumentTests", "StepControl", "Fitting",
        "PathIntegrals", "Solving.OptionAmountTests", "Solving.OptionTextTests", "Solving.FailureTests", "Solving.WrongInputTests",
        "Solving.EventTests", "Solving.EventFailureTests", "Solving.EventAmountTests", "Solving.SolveTests", "Solving.RowTimesTests",
        "Solving.TupleStateTests", "Solving.CitationTests", "Solving.TimeResolutionTests", "Gradients.AdjointOptionTests",
        "Gradients.UnnamedParameterTests", "Gradients.RandomDynamicsTests", "Methods.OwnTableauTests", "Methods.SymplecticTests",
        "Methods.ConvergenceTests", "Native.NativeFailureTests", "Native.NativeSolveTests", "Native.NativeEventTests",
        "Dynamics.LayeredDynamicsTests", "Paths.ControlledSolveTests"],
    "Core/StepControl" => ["StepControl", "Solving.OptionAmountTests", "Solving.StepGuessTests"],
    "Core/Stepping" => ["Stepping", "Solving.SolveTests", "Solving.PerRowTests", "Solving.TimeResolutionTests",
        "Solving.OptionAmountTests"],
    "Core/Solving" => ["Solving", "Native.NativeEventTests", "Native.NativeResetTests", "Paths.ControlledSolveTests",
        "PathIntegrals.StepPenaltyTests", "Methods.ReversibleCouplingTests", "Methods.ImplicitTests"],
    "Core/Gradients" => ["Gradients", "Solving.PerRowTests", "Solving.DiscontinuityTests", "Solving.RowTimesTests",
        "Solving.TupleStateTests", "Solving.WrongInputTests", "Methods.ReversibleCouplingTests", "Methods.ImplicitTests",
        "PathIntegrals.PathIntegrationTests", "PathIntegrals.StepPenaltyTests"],
    "Core/Kernels" => ["Kernels", "Dynamics", "Series.LinearCdeTests", "Solving.SolveTests", "Solving.StateTypeTests",
        "Solving.OptionAmountTests", "Inference.DenseRowSolverTests"],
    "Core/Methods" => ["Methods", "Solving.OptionAmountTests", "Solving.SolveTests", "Solving.StateTypeTests",
        "PathIntegrals.StepPenaltyTests", "Native.NativeSolveTests"],
    "Core/Dynamics" => ["Dynamics", "Gradients.RandomDynamicsTests", "OdeBlockTests", "Inference.DenseRowSolverTests", "PathIntegrals",
        "Solving.WrongInputTests"],
    "Core/PathIntegrals" => ["PathIntegrals", "Dynamics.PathRateTests", "Dynamics.DensePathEvaluatorTests"],
    "Data" => ["Data", "Series.SeriesTrainingTests", "Training.StreamingTests", "Training.ValidationKeyTests"],
    "Anomaly" => ["Anomaly", "Prediction.ThresholdTests"],
    "Flows" => ["Density"],
    "Prediction" => ["Prediction", "Training.OptionBoundTests",
        "Data.SparseWayTests.A_solver_that_needs_tensors_scores_rows_with_their_zeros_as_without"],
    "Networks" => ["Networks", "Prediction", "Scoring.RowNetworkTests"],
    _ => [name[(name.IndexOf('/') + 1)..]],
};

static string[] Files(string folder, SearchOption depth) =>
    [.. Directory.EnumerateFiles(folder, "*.cs", depth).Select(file => file.Replace('\\', '/').Replace("/./", "/"))
        .Where(file => !file.Contains("/obj/"))
        .Order(StringComparer.Ordinal)];

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

static string Describe(string path, string[] lines, JsonElement mutant)
{
    JsonElement start = mutant.GetProperty("location").GetProperty("start"), end = mutant.GetProperty("location").GetProperty("end");
    int line = start.GetProperty("line").GetInt32();
    string original = line == end.GetProperty("line").GetInt32()
        ? lines[line - 1][(start.GetProperty("column").GetInt32() - 1)..(end.GetProperty("column").GetInt32() - 1)]
        : lines[line - 1].Trim() + " …";
    string replacement = Regex.Replace(mutant.GetProperty("replacement").GetString()!, @"\s+", " ");
    return $"{Path.GetFileName(path)}:{line} {mutant.GetProperty("mutatorName").GetString()}: {original} → {replacement}";
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

static int Run(string directory, string program, IEnumerable<string> arguments, params (string Name, string Value)[] environment)
{
    var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = directory };
    foreach ((string name, string value) in environment)
        start.Environment[name] = value;
    using Process process = Process.Start(start)!;
    process.WaitForExit();
    return process.ExitCode;
}

// File: the first and the last number of its file.
internal sealed record Mutant(int Id, string Text, bool IsStatic, string File)
{
    public override string ToString() => Text;
}
