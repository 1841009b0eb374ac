using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Everything;

/// <summary>What became of a story.</summary>
internal sealed record StoryResult(string Command, bool Succeeded, double Seconds);

/// <summary>The command <c>all</c>: every other command, one after the other.</summary>
internal static class AllCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    /// <param name="run">Runs a command line and gives its exit code.</param>
    /// <param name="display">What the user sees.</param>
    public static System.CommandLine.Command Create(Func<string[], CancellationToken, Task<int>> run, Display display)
    {
        var quick = new Option<bool>("--quick") { Description = "In small form: minutes in place of hours, and figures that say nothing." };
        Option<string?> output =
            CommandOptions.Path("--out", "FOLDER", "Write models, pictures and figures to this folder (default: work/all).");
        Option<int?> seed = new("--seed") { Description = "Seed of all commands that draw random numbers (default: that of each)." };
        Option<string?> json = CommandOptions.Json("Write durations to this file.");
        var command = new System.CommandLine.Command("all", "Run every other command but load.") { quick, output, seed, json };
        command.SetAction(async (result, token) =>
        {
            string folder = Path.GetFullPath(result.GetValue(output) ?? Path.Combine("work", "all"));
            OutputFile.EnsureFolder("--out", folder);
            OutputFile? file = OutputFile.At("--json", result.GetValue(json));
            var results = new List<StoryResult>();
            foreach (Story story in Story.All(folder))
            {
                string[] seeded = story.IsRandom && result.GetValue(seed) is { } number
                    ? ["--seed", number.ToString(CultureInfo.InvariantCulture)] : [];
                string[] line = [.. story.Args(), .. result.GetValue(quick) ? story.Quick : [], .. seeded];
                display.Line($"== {string.Join(' ', line)}");
                long started = Stopwatch.GetTimestamp();
                int code = await run(line, token).ConfigureAwait(false);
                token.ThrowIfCancellationRequested();
                results.Add(new StoryResult(line[0], code == 0, Stopwatch.GetElapsedTime(started).TotalSeconds));
                display.Line();
            }
            display.Table(Table(results));
            file?.WriteJson(results, Format);
            return results.TrueForAll(one => one.Succeeded) ? 0 : 1;
        });
        return command;
    }

    private static Table Table(IEnumerable<StoryResult> results)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumns("command", "result").AddColumn(new TableColumn("s").RightAligned());
        foreach (StoryResult result in results)
            table.AddRow(result.Command, result.Succeeded ? "done" : "FAILED", result.Seconds.ToString("F1", CultureInfo.InvariantCulture));
        return table;
    }
}
