using System.CommandLine;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Plots;
using Microsoft.ML.NeuralOde.Samples.Data;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Reporting;

/// <summary>The command <c>report</c>: one page about a saved model.</summary>
internal static class ReportCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> model = CommandOptions.Path("--model", "FILE", "A model of any kind of this library, as SaveSealed writes it.");
        model.Required = true;
        var trust = new Option<bool>(
            "--trust")
        { Description = "Read a file without a seal, too, as ML.NET's Save writes it; only for files that you trust." };
        Option<string?> data = CommandOptions.Path("--data", "PATH",
            "Rows to judge the model by: a table with a header (.csv, .tsv), series (.ts), a data view that SaveAsBinary wrote (.idv), or a folder with MNIST's files.");
        var embedded = new Option<bool>("--embedded") { Description = "Judge the model by the embedded test digits." };
        Option<string?> label = CommandOptions.Path("--label", "COLUMN", "The column of what is true (default: that of the training).");
        Option<int> rows = CommandOptions.Positive("--rows", 10_000, "Use at most this many rows.");
        Option<string?> output =
            CommandOptions.Path("--out", "FILE", "The page (default: the model's name with .html, in the current folder).");
        Option<string?> json = CommandOptions.Json("Write the metrics to this file.");
        var command = new System.CommandLine.Command(
            "report", "Write one HTML page about a saved model: training, structure, and with rows how it does.")
        {
            model, trust, data, embedded, label, rows, output, json,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(embedded) && result.GetValue(data) is not null)
                result.AddError("--embedded excludes --data; one of them would be right.");
        });
        command.SetAction((result, token) => Task.Run(
            () =>
            {
                string file = result.GetRequiredValue(model)!;
                OutputFile page = OutputFile.At("--out", result.GetValue(output) ?? Path.ChangeExtension(Path.GetFileName(file), ".html"))!;
                OutputFile? figures = OutputFile.At("--json", result.GetValue(json));
                var mlContext = new MLContext(seed: 1);
                using var saved = SavedModel.Read(mlContext, file, result.GetValue(trust));
                ReportData? judges = result.GetValue(embedded)
                    ? ReportData.OfDigits(mlContext, saved, EmbeddedDigits.Load(), result.GetValue(rows))
                    : result.GetValue(data) is { } path ? ReportData.Open(mlContext, saved, path, result.GetValue(rows)) : null;
                (ReportPage report, OrderedDictionary<string, double> metrics) =
                    ModelReport.Create(mlContext, saved, judges, result.GetValue(label), token);
                page.Write(report.ToHtml());
                foreach ((string name, double value) in metrics)
                    display.Line($"{name}: {ModelReport.Number(value)}");
                display.Line($"Report: {page.FullPath}");
                figures?.WriteJson(new { model = file, metrics }, Format);
            },
            token));
        return command;
    }
}
