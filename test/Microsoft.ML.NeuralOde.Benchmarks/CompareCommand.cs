using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Benchmarks.Report;
using Microsoft.ML.NeuralOde.Benchmarks.Workloads;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Benchmarks;

/// <summary>The command <c>compare</c>: whole workloads, ours and the peer's in turn on the same machine.</summary>
internal static class CompareCommand
{
    private const int PlainWidth = 200;

    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create()
    {
        Option<string?> python = Path("--peer-python", "EXE", "Python with torch, for the peer's side.");
        Option<string?> script = Path("--peer-script", "FILE", "The peer's side: a script that prints one JSON object a measurement.");
        Option<string?> torchdiffeq = Path("--torchdiffeq", "DIR", "A checkout of torchdiffeq.");
        Option<string?> diffraxPython = Path("--diffrax-python", "EXE", "Python with JAX and Diffrax, for a second peer's side.");
        Option<string?> diffraxScript =
            Path("--diffrax-script", "FILE", "Its side: a script that prints a line 'diffrax NAME: NUMBER ms' a measurement.");
        Option<string?> mnist = Path("--mnist", "DIR", "MNIST's four files; without it, random images of the same shape.");
        Option<string?> json = Path("--json", "FILE", "Write the results to this file.");
        Option<string?> markdown = Path("--markdown", "FILE", "Write the results as a document to this file.");
        var only = new Option<string?>("--only") { HelpName = "TEXT", Description = "Only workloads whose name contains this." };
        var skip = new Option<string?>(
            "--skip")
        {
            HelpName = "TEXT",
            Description = "No workloads whose name contains this, such as bfloat16 where the processor emulates it."
        };
        var rounds = new Option<int>(
            "--rounds")
        { Description = "How often each side runs, in turn; the median counts.", DefaultValueFactory = _ => 1 };
        var threads = new Option<int[]>("--threads")
        {
            Description = "Numbers of threads to try on both sides; the best counts.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => Environment.ProcessorCount > 1 ? [1, Environment.ProcessorCount] : [1],
        };
        var quick = new Option<bool>("--quick") { Description = "A few batches only: shows that everything runs, measures nothing." };
        var merge = new Option<bool>(
            "--merge")
        { Description = "Keep what the file of --json holds of workloads that this run leaves out." };
        var command = new System.CommandLine.Command("compare", "Measure whole workloads, beside torchdiffeq where it is given.")
        {
            python, script, torchdiffeq, diffraxPython, diffraxScript, mnist, json, markdown, only, skip, rounds, threads, quick, merge,
        };
        rounds.Validators.Add(result => RequirePositive(result, [result.GetValueOrDefault<int>()]));
        threads.Validators.Add(result => RequirePositive(result, result.GetValueOrDefault<int[]>()));
        command.Validators.Add(result =>
        {
            int given = new[] { python, script, torchdiffeq }.Count(option => result.GetValue(option) is not null);
            if (given is not (0 or 3))
                result.AddError("--peer-python, --peer-script and --torchdiffeq belong together: give all three or none.");
            else if (given == 3 && result.GetValue(mnist) is null)
                result.AddError("The peer's side reads MNIST: give --mnist too.");
            if (result.GetValue(diffraxPython) is null != result.GetValue(diffraxScript) is null)
                result.AddError("--diffrax-python and --diffrax-script belong together: give both or none.");
        });
        command.SetAction(result =>
        {
            Peer? peer = result.GetValue(python) is { } exe
                ? new Peer(exe, result.GetValue(script)!, result.GetValue(torchdiffeq)!, result.GetValue(mnist)!) : null;
            DiffraxPeer? diffrax = result.GetValue(diffraxPython) is { } other
                ? new DiffraxPeer(other, result.GetValue(diffraxScript)!) : null;
            Run(peer, diffrax, result.GetValue(mnist), name => IsChosen(name, result.GetValue(only), result.GetValue(skip)), result.GetValue(rounds),
                result.GetValue(threads)!, result.GetValue(quick),
                result.GetValue(merge), result.GetValue(json), result.GetValue(markdown));
        });
        return command;
    }

    private static Option<string?> Path(string name, string helpName, string description) =>
        new(name) { HelpName = helpName, Description = description };

    private static bool IsChosen(string name, string? only, string? skip) =>
        (only is null || name.Contains(only, StringComparison.OrdinalIgnoreCase))
        && (skip is null || !name.Contains(skip, StringComparison.OrdinalIgnoreCase));

    private static void RequirePositive(OptionResult result, int[] numbers)
    {
        if (numbers.Length == 0 || numbers.Any(number => number < 1))
            result.AddError($"{result.Option.Name} must be positive.");
    }

    private static void Run(
        Peer? peer, DiffraxPeer? diffrax, string? mnist, Func<string, bool> isChosen, int rounds, int[] threads, bool quick, bool merge,
        string? json, string? markdown)
    {
        Digits digits = mnist is null ? Digits.Random(quick ? 1200 : 60000) : Digits.Load(mnist);
        if (!digits.IsReal)
            Console.WriteLine("Without --mnist: random images of MNIST's shape. Losses mean nothing.");
        IReadOnlyDictionary<string, double>? compiled = diffrax?.Run(rounds);
        var results = new List<ComparedWorkload>();
        foreach (WorkloadGroup group in Groups(digits, quick))
        {
            Workload[] chosen = [.. group.Workloads.Where(workload => isChosen(workload.Name))];
            if (chosen.Length > 0)
                foreach (ComparedWorkload compared in Compare(group, chosen, peer, compiled, rounds, threads))
                {
                    results.Add(compared);
                    Console.WriteLine(Line(compared));
                }
        }
        // A file or a pipe has no width of its own.
        if (Console.IsOutputRedirected)
            AnsiConsole.Profile.Width = PlainWidth;
        AnsiConsole.Write(Table(results));
        if (merge && json is not null && File.Exists(json))
            results = Merge(JsonSerializer.Deserialize<Results>(File.ReadAllText(json), Format)!.Workloads, results);
        if (json is not null)
            File.WriteAllText(json, JsonSerializer.Serialize(new Results(Machine.Current, digits.IsReal, quick, results), Format) + "\n");
        if (markdown is not null)
            Document.Write(markdown, Machine.Current, results, digits.IsReal);
    }

    private static List<ComparedWorkload> Merge(IReadOnlyList<ComparedWorkload> old, List<ComparedWorkload> now) =>
        [.. old.Select(w => now.Find(measured => measured.Name == w.Name) ?? w), .. now.Where(w => old.All(known => known.Name != w.Name))];

    private static IEnumerable<WorkloadGroup> Groups(Digits digits, bool quick) =>
        [.. SeedWorkloads.Create(digits, quick), .. OdeNetWorkloads.Create(digits, quick), .. TrainerWorkloads.Create(digits, quick),
            .. FlowWorkloads.Create(quick), .. MemoryWorkloads.Create(quick)];

    private static IEnumerable<ComparedWorkload> Compare(
        WorkloadGroup group, Workload[] workloads, Peer? peer, IReadOnlyDictionary<string, double>? diffrax, int rounds, int[] threads)
    {
        var ours = new List<(int, Outcome)>[workloads.Length];
        var theirs = new List<(int, Outcome)>[workloads.Length];
        for (int i = 0; i < workloads.Length; i++)
            (ours[i], theirs[i]) = ([], []);
        for (int round = 0; round < rounds; round++)
            foreach (int count in threads)
            {
                IReadOnlyList<JsonElement> lines = peer is null || group.PeerArguments is null
                    ? [] : peer.Run(group.PeerArguments, count, group.UsesOwnScript);
                set_num_threads(count);
                for (int i = 0; i < workloads.Length; i++)
                {
                    foreach (JsonElement line in lines)
                        if (workloads[i].Peer(line) is { } outcome)
                            theirs[i].Add((count, outcome));
                    ours[i].Add((count, workloads[i].Ours()));
                }
            }
        return workloads.Select((workload, i) => ComparedWorkload.Of(workload, ours[i], theirs[i], diffrax));
    }

    private static string Line(ComparedWorkload w) =>
        string.Create(CultureInfo.InvariantCulture,
            $"{w.Name}: {w.Ours:G4} {w.Unit}{(w.Ratio is { } ratio ? $", peer {w.Peer:G4}, {ratio:F2}×" : "")}"
            + $"{(w.DiffraxRatio is { } other ? $", Diffrax {w.Diffrax:G4}, {other:F2}×" : "")}");

    private static Table Table(IEnumerable<ComparedWorkload> results)
    {
        Table table = new Table().Border(TableBorder.Simple)
            .AddColumns("workload", "ours", "peer", "ratio", "Diffrax", "ratio", "unit", "threads", "evaluations, ours", "peer", "loss, ours", "peer");
        foreach (ComparedWorkload w in results)
            table.AddRow([.. Document.Cells(w).Select(Markup.Escape)]);
        return table;
    }

    /// <summary>What the file of <c>--json</c> holds.</summary>
    private sealed record Results(Machine Machine, bool Mnist, bool Quick, IReadOnlyList<ComparedWorkload> Workloads);
}
