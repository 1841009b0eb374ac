using System.CommandLine;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Tabular;

/// <summary>The command <c>tabular</c>: the trainers of this library among those of ML.NET, all with their defaults.</summary>
internal static class TabularCommand
{
    private const int DefaultSeeds = 5;

    private static readonly JsonSerializerOptions Format =
        new(JsonSerializerDefaults.Web) { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> data = CommandOptions.Path("--data", "FOLDER",
            $"A folder with public tables (default: the one that {DigitSource.EnvironmentVariable} names; without it, generated and embedded ones only).");
        Option<string?> set = CommandOptions.Path("--set", "NAMES", "Only these tables, separated by commas.");
        Option<int> seeds = CommandOptions.Positive("--seeds", DefaultSeeds, "Seeds, each of which splits the rows anew.");
        Option<int> seed = CommandOptions.Seed(1, "The first of them.");
        Option<string?> output = CommandOptions.Copy();
        Option<string?> json = CommandOptions.Json("Write all figures to this file.");
        var command = new System.CommandLine.Command(
            "tabular", "Compare neural ODEs with LightGBM, FastTree, SDCA and L-BFGS on tables.") { data, set, seeds, seed, output, json };
        command.SetAction((result, cancellationToken) => Task.Run(
            () =>
            {
                OutputFile? text = OutputFile.At("--out", result.GetValue(output)),
                    figures = OutputFile.At("--json", result.GetValue(json));
                TabularSet[] sets = Choose(TabularSets.Load(DigitSource.Folder(result.GetValue(data))), result.GetValue(set));
                display.Copy(
                    text, view => Run(sets, result.GetValue(seeds), result.GetValue(seed), figures, view, cancellationToken));
                return 0;
            }, cancellationToken));
        return command;
    }

    private static TabularSet[] Choose(IReadOnlyList<TabularSet> sets, string? names)
    {
        if (names is null)
            return [.. sets];
        return [.. names.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(name =>
            sets.FirstOrDefault(set => string.Equals(set.Name, name, StringComparison.OrdinalIgnoreCase))
            ?? throw new UserException(
                $"--set: there is no table '{name}'; the tables are {string.Join(", ", sets.Select(set => set.Name))}."
                + NearMiss.Hint(name, sets.Select(set => set.Name))))];
    }

    private static void Run(TabularSet[] sets, int seeds, int first, OutputFile? json, Display display, CancellationToken cancellationToken)
    {
        display.Line($"Mean ± standard deviation over {seeds} seeds; 70 % of the rows for training; all trainers with their defaults.");
        var results = new List<TabularSetResult>();
        foreach (TabularSet set in sets)
        {
            TabularSetResult result =
                display.Progress(set.Name, report => TabularComparison.Run(set, seeds, first, report, cancellationToken));
            results.Add(result);
            display.Table(Table(result));
        }
        json?.WriteJson(new { seeds, seed = first, sets = results }, Format);
    }

    private static Table Table(TabularSetResult result)
    {
        string[] figures = [.. result.Trainers[0].Figures.Keys];
        Table table = new Table().Border(TableBorder.Simple)
            .Title(Markup.Escape(string.Create(CultureInfo.InvariantCulture,
                $"{result.Set}: {result.Task.ToLowerInvariant()}, {result.Rows:N0} rows, {result.Features} features")))
            .AddColumn("trainer");
        foreach (string name in figures.Append("seconds"))
            table.AddColumn(new TableColumn(name).RightAligned());
        foreach (TabularResult trainer in result.Trainers)
            table.AddRow([trainer.Trainer, .. figures.Select(name => Text(trainer.Figures[name], "F4")), Text(trainer.FitSeconds, "F2")]);
        return table;
    }

    private static string Text(Spread spread, string format) =>
        $"{spread.Mean.ToString(format, CultureInfo.InvariantCulture)} ± {spread.Deviation.ToString(format, CultureInfo.InvariantCulture)}";
}
