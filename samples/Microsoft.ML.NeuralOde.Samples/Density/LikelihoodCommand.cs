using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>The command <c>likelihood</c>: exact log-likelihoods after flow matching and after maximum likelihood, at equal time.</summary>
internal static class LikelihoodCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    private static readonly string[] Planes = ["8gaussians", "moons", "checkerboard"];

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> data = CommandOptions.Path("--data", "FOLDER",
            $"A folder with the rows of MINIBOONE (default: the one that {DigitSource.EnvironmentVariable} names; without it, known densities "
            + "only).");
        Option<double> seconds = CommandOptions.Positive("--seconds", 60.0, "Seconds of a processor for each training.");
        Option<int> seed = CommandOptions.Seed(1);
        Option<string?> markdown = CommandOptions.Product("--markdown", "Write the table of results into this document.");
        Option<string?> json = CommandOptions.Json();
        var command = new System.CommandLine.Command(
            "likelihood", "Compare log-likelihoods after flow matching and after maximum likelihood, at equal time.")
        {
            data, seconds, seed, markdown, json,
        };
        command.SetAction((result, token) => Task.Run(
            () => Run(
                Sets(DigitSource.Folder(result.GetValue(data)), result.GetValue(seed)),
                result.GetValue(seconds), result.GetValue(seed), OutputFile.At("--markdown", result.GetValue(markdown)),
                OutputFile.At("--json", result.GetValue(json)), display, token),
            token));
        return command;
    }

    private static LikelihoodSet[] Sets(string? folder, int seed)
    {
        string? rows = folder is null ? null : new[] { Path.Combine(folder, "density"), folder }
            .Select(place => Path.Combine(place, "miniboone_first1523.csv")).FirstOrDefault(File.Exists);
        List<LikelihoodSet> sets = [.. Planes.Select(name => LikelihoodSet.Of(ToyDensity.Parse(name), seed))];
        if (rows is not null)
            sets.Add(LikelihoodSet.Of("MINIBOONE, 1,000 rows", rows));
        return [.. sets];
    }

    private static void Run(
        LikelihoodSet[] sets, double seconds, int seed, OutputFile? markdown, OutputFile? json, Display display,
        CancellationToken cancellationToken)
    {
        DensityMethod[] methods = Enum.GetValues<DensityMethod>();
        LikelihoodResult[] results = display.Progress("Training", report => sets.SelectMany((set, i) => methods.Select((method, k) =>
        {
            report((i + k / (double)methods.Length) / sets.Length);
            return LikelihoodStory.Run(set, method, seconds, seed, cancellationToken);
        })).ToArray());
        display.Line(
            string.Create(CultureInfo.InvariantCulture, $"Each training took {seconds:G4} seconds of a processor; log-likelihoods of test points in nats, ")
            + "exact to the solver's tolerance of 1e-5.");
        Table table = new Table().Border(TableBorder.Simple).AddColumn("density");
        foreach (string name in new[] { "flow matching", "steps", "maximum likelihood", "steps", "the density's own" })
            table.AddColumn(new TableColumn(name).RightAligned());
        var text = new StringBuilder(
            "| density | flow matching | steps | maximum likelihood | steps | the density's own |\n|---|---|---|---|---|---|\n");
        foreach (LikelihoodResult[] pair in results.Chunk(methods.Length))
        {
            string[] cells =
            [
                pair[0].Set,
                .. pair.SelectMany(one => new[] { Nats(one.LogLikelihood), one.Steps.ToString("N0", CultureInfo.InvariantCulture) }),
                Nats(pair[0].Limit),
            ];
            table.AddRow([.. cells.Select(Markup.Escape)]);
            text.Append('|').AppendJoin("", cells.Select(cell => $" {cell} |")).Append('\n');
        }
        display.Table(table);
        if (markdown is not null)
            DocumentSection.Write(markdown.FullPath, "likelihood", text.ToString());
        json?.WriteJson(new { seconds, seed, results }, Format);
    }

    private static string Nats(double? value) => value?.ToString("F3", CultureInfo.InvariantCulture) ?? "–";
}
