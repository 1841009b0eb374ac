using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Output;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Anomalies;

/// <summary>How well anomalies of a table were told from normal rows.</summary>
/// <param name="Name">The table.</param>
/// <param name="Auroc">The area under the ROC curve.</param>
/// <param name="Seconds">The time for training and scoring.</param>
internal sealed record AnomalyResult(string Name, double Auroc, double Seconds);

/// <summary>The command <c>anomaly</c>: a flow learns what is normal, the same options for every table.</summary>
internal static class AnomalyCommand
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> data = CommandOptions.Path("--data", "FILE-OR-FOLDER", "A CSV file whose last column is 'label' (1 for anomalies), or a folder of such files.");
        data.Required = true;
        Option<int?> epochs = CommandOptions.Positive("--epochs", "Epochs of the training; the trainer's default where it is left out.");
        Option<int> seed = CommandOptions.Positive("--seed", 1, "Seed of the training.");
        Option<string?> json = CommandOptions.Path("--json", "FILE", "Write the results to this file.");
        var command = new System.CommandLine.Command("anomaly", "Detect anomalies in tables with continuous normalizing flows.") { data, epochs, seed, json };
        command.SetAction((result, token) =>
        {
            Run(result.GetValue(data)!, result.GetValue(epochs), result.GetValue(seed), result.GetValue(json), display, token);
            return Task.CompletedTask;
        });
        return command;
    }

    private static void Run(string path, int? epochs, int seed, string? json, Display display, CancellationToken cancellationToken)
    {
        IReadOnlyList<string> files = AnomalyTable.Find(path);
        BaselineTable? baselines = BaselineTable.Beside(path);
        AnomalyResult[] results = display.Progress("Training", report => files.Select((file, i) =>
            Evaluate(AnomalyTable.Read(file), epochs, seed, done => report((i + done) / files.Count), cancellationToken)).ToArray());
        display.Line("Area under the ROC curve; of the normal rows three in five train, the others and all anomalies test.");
        display.Table(Table(results, baselines));
        if (json is not null)
            File.WriteAllText(json, JsonSerializer.Serialize(new { meanAuroc = results.Average(result => result.Auroc), datasets = results }, Format) + "\n");
    }

    private static AnomalyResult Evaluate(AnomalyTable table, int? epochs, int seed, Action<double> report, CancellationToken cancellationToken)
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
        double auroc = mlContext.AnomalyDetection.Evaluate(scored, falsePositiveCount: 1).AreaUnderRocCurve;
        return new AnomalyResult(table.Name, auroc, Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

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

    // A mean over other tables would not compare.
    private static double? Mean(AnomalyResult[] results, BaselineTable baselines, int detector) =>
        results.All(result => baselines[result.Name, detector] is not null) ? results.Average(result => baselines[result.Name, detector]) : null;

    private static string Text(double? value) => value?.ToString("F4", CultureInfo.InvariantCulture) ?? "–";
}
