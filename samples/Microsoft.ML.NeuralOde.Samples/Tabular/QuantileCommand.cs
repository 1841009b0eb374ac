using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Tabular;

/// <summary>The command <c>quantiles</c>: distributions of numbers, predicted by a conditional flow and by boosted trees.</summary>
internal static class QuantileCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> data = CommandOptions.Path("--data", "FOLDER",
            $"A folder with public tables (default: the one that {DigitSource.EnvironmentVariable} names; without it, a generated one "
            + "only).");
        Option<int?> epochs = CommandOptions.Positive("--epochs", "Epochs of the flow; the estimator's default where it is left out.");
        Option<int> seed = CommandOptions.Seed(1, "Seed of the division of the rows and of the trainings.");
        Option<string?> markdown = CommandOptions.Product("--markdown", "Write the table of results into this document.");
        Option<string?> json = CommandOptions.Json("Write all figures to this file.");
        var command = new System.CommandLine.Command(
            "quantiles", "Predict distributions of numbers by a conditional flow, beside LightGBM with residuals and quantiles of FastForest.")
        {
            data, epochs, seed, markdown, json,
        };
        command.SetAction((result, token) => Task.Run(
            () => Run(
                TabularSets.LoadNumbers(DigitSource.Folder(result.GetValue(data))), result.GetValue(seed), result.GetValue(epochs),
                OutputFile.At("--markdown", result.GetValue(markdown)), OutputFile.At("--json", result.GetValue(json)), display, token),
            token));
        return command;
    }

    private static void Run(
        IReadOnlyList<TabularSet> sets, int seed, int? epochs, OutputFile? markdown, OutputFile? json, Display display,
        CancellationToken cancellationToken)
    {
        QuantileResult[] results = display.Progress("Training", report => sets.Select((set, i) =>
            QuantileComparison.Run(set, seed, epochs, done => report((i + done) / sets.Count), cancellationToken)).ToArray());
        display.Line(
            "Three in ten rows are predicted. CRPS and width in the number's units; the smaller, the better. Intervals of 90 % should hold 90 %.");
        Table table = new Table().Border(TableBorder.Simple).AddColumn("table").AddColumn("method");
        foreach (string name in new[] { "CRPS", "in 90 % interval", "its width", "seconds" })
            table.AddColumn(new TableColumn(name).RightAligned());
        var text = new StringBuilder(
            "| table | rows | features | method | CRPS | in 90 % interval | its width | seconds |\n|---|---|---|---|---|---|---|---|\n");
        foreach (QuantileResult result in results)
            foreach (QuantileFigures figures in result.Methods)
            {
                string[] numbers =
                [
                    Number(figures.Crps), figures.Coverage.ToString("P1", CultureInfo.InvariantCulture), Number(figures.Width),
                    figures.Seconds.ToString("F1", CultureInfo.InvariantCulture),
                ];
                table.AddRow([result.Set, figures.Method, .. numbers]);
                text.Append(CultureInfo.InvariantCulture, $"| {result.Set} | {result.Rows} | {result.Features} | {figures.Method} |")
                    .AppendJoin("", numbers.Select(number => $" {number} |")).Append('\n');
            }
        display.Table(table);
        if (markdown is not null)
            DocumentSection.Write(markdown.FullPath, "quantiles", text.ToString());
        json?.WriteJson(new { seed, sets = results }, Format);
    }

    private static string Number(double value) => value.ToString("G4", CultureInfo.InvariantCulture);
}
