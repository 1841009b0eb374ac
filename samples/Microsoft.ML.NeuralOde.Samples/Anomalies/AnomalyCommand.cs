using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Anomalies;

/// <summary>How well anomalies of a table were told from normal rows.</summary>
/// <param name="Name">The table.</param>
/// <param name="Auroc">The area under the ROC curve; null without labels.</param>
/// <param name="Anomalies">The scored rows that are anomalies to the model.</param>
/// <param name="Seconds">The time for training and scoring.</param>
internal sealed record AnomalyResult(string Name, double? Auroc, int Anomalies, double Seconds);

/// <summary>A row, how strange it is, and whether it is an anomaly to the model.</summary>
internal sealed record AnomalyFinding(AnomalyTable Table, AnomalyRow Row, float Score, bool IsAnomaly);

/// <summary>The command <c>anomaly</c>: a flow learns what is normal, the same options for every table.</summary>
internal static class AnomalyCommand
{
    private const int Shown = 10;

    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> data = CommandOptions.Path(
            "--data", "FILE-OR-FOLDER",
            "A CSV file with a header, whose last column may be 'label' (1 for anomalies), or a folder of files with that column.");
        data.Required = true;
        Option<int?> epochs = CommandOptions.Positive("--epochs", "Epochs of the training; the trainer's default where it is left out.");
        Option<int> seed = CommandOptions.Positive("--seed", 1, "Seed of the training.");
        Option<string?> output = CommandOptions.Path("--out", "FILE", "Write the scored rows to this CSV file, the strangest first.");
        Option<string?> json = CommandOptions.Path("--json", "FILE", "Write the results to this file.");
        var command = new System.CommandLine.Command("anomaly", "Detect anomalies in tables with continuous normalizing flows.") { data, epochs, seed, output, json };
        command.SetAction((result, token) => Task.Run(
            () => Run(
                result.GetValue(data)!, result.GetValue(epochs), result.GetValue(seed), OutputFile.At("--out", result.GetValue(output)),
                OutputFile.At("--json", result.GetValue(json)), display, token),
            token));
        return command;
    }

    private static void Run(string path, int? epochs, int seed, OutputFile? output, OutputFile? json, Display display, CancellationToken cancellationToken)
    {
        AnomalyTable[] tables = [.. AnomalyTable.Find(path).Select(AnomalyTable.Read)];
        BaselineTable? baselines = BaselineTable.Beside(path);
        var findings = new List<AnomalyFinding>();
        AnomalyResult[] results = display.Progress("Training", report => tables.Select((table, i) =>
            Evaluate(table, epochs, seed, findings, done => report((i + done) / tables.Length), cancellationToken)).ToArray());
        if (tables.Any(table => table.IsLabelled))
        {
            display.Line("Area under the ROC curve; of the normal rows three in five train, the others and all anomalies test.");
            display.Table(Table(results, baselines));
        }
        else
        {
            display.Line($"The model has learned from all {tables[0].Training.Count:N0} rows, since there are no labels, and takes {results[0].Anomalies:N0} of them for anomalies.");
            display.Line("The strangest rows:");
            foreach (AnomalyFinding finding in findings.OrderByDescending(finding => finding.Score).Take(Shown))
                display.Line($"  line {finding.Row.Line}: score {Number(finding.Score)}{(finding.IsAnomaly ? ", an anomaly" : "")}");
        }
        if (output is not null)
        {
            output.Write(Csv(findings));
            display.Line($"Scored rows: {output.FullPath}");
        }
        double?[] areas = [.. results.Select(result => result.Auroc).Where(area => area is not null)];
        json?.WriteJson(new { meanAuroc = areas.Length > 0 ? areas.Average() : null, datasets = results }, Format);
    }

    private static AnomalyResult Evaluate(
        AnomalyTable table, int? epochs, int seed, List<AnomalyFinding> findings, Action<double> report, CancellationToken cancellationToken)
    {
        long started = Stopwatch.GetTimestamp();
        var mlContext = new MLContext(seed);
        var options = new ContinuousFlowAnomalyTrainer.Options
        {
            CancellationToken = cancellationToken,
            EpochCallback = epoch => report((double)epoch.Epoch / epoch.NumberOfEpochs),
        };
        options.NumberOfEpochs = epochs ?? options.NumberOfEpochs;
        using ContinuousFlowAnomalyTransformer model = mlContext.AnomalyDetection.Trainers.ContinuousFlow(options).Fit(AnomalyTable.View(mlContext, table.Training));
        IDataView scored = model.Transform(AnomalyTable.View(mlContext, table.Test));
        double? auroc = table.IsLabelled ? mlContext.AnomalyDetection.Evaluate(scored, falsePositiveCount: 1).AreaUnderRocCurve : null;
        AnomalyFinding[] found = [.. mlContext.Data.CreateEnumerable<AnomalyPrediction>(scored, reuseRowObject: false)
            .Select((prediction, i) => new AnomalyFinding(table, table.Test[i], prediction.Score, prediction.PredictedLabel))];
        findings.AddRange(found);
        return new AnomalyResult(table.Name, auroc, found.Count(finding => finding.IsAnomaly), Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    private static string Csv(IEnumerable<AnomalyFinding> findings)
    {
        var text = new StringBuilder("data,line,score,anomaly,label\n");
        foreach (AnomalyFinding finding in findings.OrderByDescending(finding => finding.Score))
        {
            string label = finding.Table.IsLabelled ? Number(finding.Row.Label) : "";
            text.Append(CultureInfo.InvariantCulture, $"{Quoted(finding.Table.Name)},{finding.Row.Line},{Number(finding.Score)},{(finding.IsAnomaly ? 1 : 0)},{label}\n");
        }
        return text.ToString();

        static string Quoted(string name) => name.AsSpan().IndexOfAny(",\"\n") < 0 ? name : $"\"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
    }

    private static string Number(float value) => value.ToString(CultureInfo.InvariantCulture);

    private static Table Table(AnomalyResult[] results, BaselineTable? baselines)
    {
        string[] others = [.. baselines?.Names ?? []];
        Table table = new Table().Border(TableBorder.Simple).AddColumn("data").AddColumn(Right("flow"));
        foreach (string name in others)
            table.AddColumn(Right(name));
        table.AddColumn(Right("seconds"));
        foreach (AnomalyResult result in results)
            table.AddRow(
                [Markup.Escape(result.Name), Text(result.Auroc), .. others.Select((_, i) => Text(baselines![result.Name, i])), result.Seconds.ToString("F0", CultureInfo.InvariantCulture)]);
        table.AddRow(
            ["mean", Text(results.Average(result => result.Auroc)), .. others.Select((_, i) => Text(Mean(results, baselines!, i))),
            results.Sum(result => result.Seconds).ToString("F0", CultureInfo.InvariantCulture)]);
        return table;

        static TableColumn Right(string name) => new TableColumn(Markup.Escape(name)).RightAligned();
    }

    private sealed class AnomalyPrediction
    {
        public float Score { get; set; }

        public bool PredictedLabel { get; set; }
    }

    // A mean over other tables would not compare.
    private static double? Mean(AnomalyResult[] results, BaselineTable baselines, int detector) =>
        results.All(result => baselines[result.Name, detector] is not null) ? results.Average(result => baselines[result.Name, detector]) : null;

    private static string Text(double? value) => value?.ToString("F4", CultureInfo.InvariantCulture) ?? "–";
}
