using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.ML.NeuralOde.Samples.Anomalies.Baselines;
using Microsoft.ML.NeuralOde.Samples.Output;

namespace Microsoft.ML.NeuralOde.Samples.Anomalies;

/// <summary>The command <c>anomaly</c>: a flow learns what is normal, the same options for every table.</summary>
internal static class AnomalyCommand
{
    private const int Shown = 10, Halves = 5;

    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    private static readonly string[] Detectors = [AnomalyResult.Flow, .. Baseline.All.Select(baseline => baseline.Name)];

    public static System.CommandLine.Command Create(Display display)
    {
        Option<string?> data = CommandOptions.Path(
            "--data", "FILE-OR-FOLDER",
            "A CSV file with a header, whose last column may be 'label' (1 for anomalies), or a folder of files with that column; several "
            + "are separated by commas.");
        data.Required = true;
        Option<int?> epochs = CommandOptions.Positive("--epochs", "Epochs of the training; the trainer's default where it is left out.");
        Option<int> seed = CommandOptions.Seed(1, "Seed of the training, and of the first division of the rows.");
        Option<SplitProtocol> protocol = CommandOptions.Named(
            "--protocol", SplitProtocol.Modulo, "PROTOCOL",
            $"Which normal rows train: three in five by their place, or half of them at random as ADBench has it, the mean over {Halves} seeds");
        Option<string[]> detectors = CommandOptions.Parsed(
            "--detectors", Detectors, Detectors, ParseDetectors, "NAMES",
            $"Detectors to run, separated by commas: {string.Join(", ", Detectors)}.");
        Option<double> contaminate = CommandOptions.Share(
            "--contaminate", 0,
            "So large a share of the training rows, 0.05 for instance, are anomalies, but half of all anomalies at most.");
        Option<double> trim = CommandOptions.Share(
            "--trim", 0, "The flow leaves so large a share of its training rows out (TrimmedShare).");
        Option<string?> markdown = CommandOptions.Path("--markdown", "FILE", "Write the table of results into this document.");
        Option<string?> output = CommandOptions.Path("--out", "FILE", "Write the scored rows to this CSV file, the strangest first.");
        Option<string?> json = CommandOptions.Json("Write the results to this file.");
        var command = new System.CommandLine.Command("anomaly", "Detect anomalies in tables with continuous normalizing flows.")
        {
            data, epochs, seed, protocol, detectors, contaminate, trim, output, markdown, json,
        };
        command.SetAction((result, token) => Task.Run(
            () => Run(
                result.GetValue(data)!,
                new AnomalySettings(
                    result.GetValue(epochs), result.GetValue(seed), result.GetValue(protocol),
                    result.GetValue(protocol) == SplitProtocol.Halves ? Halves : 1, result.GetValue(detectors)!,
                    result.GetValue(contaminate), result.GetValue(trim)),
                OutputFile.At("--out", result.GetValue(output)), OutputFile.At("--markdown", result.GetValue(markdown)),
                OutputFile.At("--json", result.GetValue(json)), display, token),
            token));
        return command;
    }

    private static string[] ParseDetectors(string text)
    {
        string[] names = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        string? unknown = names.FirstOrDefault(name => !Detectors.Contains(name, StringComparer.OrdinalIgnoreCase));
        return unknown is null && names.Length > 0
            ? [.. Detectors.Where(detector => names.Contains(detector, StringComparer.OrdinalIgnoreCase))]
            : throw new ArgumentException($"'{unknown ?? text}' is unknown; {string.Join(", ", Detectors)} would be right.");
    }

    private static void Run(
        string path, AnomalySettings settings, OutputFile? output, OutputFile? markdown, OutputFile? json, Display display,
        CancellationToken cancellationToken)
    {
        AnomalyTable[] tables = [.. AnomalyTable.FindAll(path).Select(AnomalyTable.Read)];
        BaselineTable? listed = BaselineTable.Beside(AnomalyTable.Paths(path));
        var findings = new List<AnomalyFinding>();
        if (!tables[0].IsLabelled)
            settings = settings with { Detectors = [AnomalyResult.Flow], Repeats = 1 };
        AnomalyResult[] results = display.Progress("Training", report => tables.Select((table, i) =>
            AnomalyEvaluation.Run(table, settings, findings, done => report((i + done) / tables.Length), cancellationToken)).ToArray());
        if (tables[0].IsLabelled)
        {
            display.Line($"Area under the ROC curve; {Describe(settings)}, the others and all anomalies test.");
            bool isListed = settings is { Protocol: SplitProtocol.Modulo, Contaminated: 0 };
            display.Table(AnomalyReport.Table(results, isListed ? listed : null));
            foreach (string line in AnomalyReport.Alarms(results).Concat(AnomalyReport.Times(results)))
                display.Line(line);
            if (markdown is not null)
                DocumentSection.Write(markdown.FullPath, Section(settings), AnomalyReport.Markdown(results, isListed ? listed : null));
        }
        else
        {
            display.Line(
                $"The model has learned from all {findings.Count:N0} rows, since there are no labels, and takes {results[0].Anomalies:N0} of them for anomalies.");
            display.Line("The strangest rows:");
            foreach (AnomalyFinding finding in findings.OrderByDescending(finding => finding.Score).Take(Shown))
                display.Line(
                    $"  line {finding.Row.Line}: score {Number(finding.Score)}{(finding.IsAnomaly ? ", an anomaly" : "")}{Reasons(finding)}");
        }
        if (output is not null)
        {
            output.Write(Csv(findings));
            display.Line($"Scored rows: {output.FullPath}");
        }
        double?[] areas = [.. results.Select(result => result.Auroc).Where(area => area is not null)];
        json?.WriteJson(new { meanAuroc = areas.Length > 0 ? areas.Average() : null, datasets = results }, Format);
    }

    // Each protocol has a table of its own.
    private static string Section(AnomalySettings settings) =>
        settings.Protocol == SplitProtocol.Modulo ? "anomaly" : "anomaly --protocol halves";

    private static string Reasons(AnomalyFinding finding) =>
        finding.StrangeIn.Count > 0 ? $"; strange in: {string.Join(", ", finding.StrangeIn)}" : "";

    private static string Describe(AnomalySettings settings) => settings.Protocol == SplitProtocol.Modulo
        ? $"of the normal rows three in five train{Contaminated(settings)}"
        : "half of the normal rows train, drawn at random, the mean over the seeds "
            + $"{settings.Seed} to {settings.Seed + settings.Repeats - 1}{Contaminated(settings)}";

    private static string Contaminated(AnomalySettings settings) => settings.Contaminated > 0
        ? string.Create(CultureInfo.InvariantCulture, $" among {settings.Contaminated:P0} anomalies, drawn at random") : "";

    private static string Csv(IEnumerable<AnomalyFinding> findings)
    {
        var text = new StringBuilder("data,line,score,anomaly,label\n");
        foreach (AnomalyFinding finding in findings.OrderByDescending(finding => finding.Score))
        {
            string label = finding.Table.IsLabelled ? Number(finding.Row.Label) : "";
            text.Append(CultureInfo.InvariantCulture,
                $"{Quoted(finding.Table.Name)},{finding.Row.Line},{Number(finding.Score)},{(finding.IsAnomaly ? 1 : 0)},{label}\n");
        }
        return text.ToString();

        static string Quoted(string name) =>
            name.AsSpan().IndexOfAny(",\"\n") < 0 ? name : $"\"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
    }

    private static string Number(float value) => value.ToString(CultureInfo.InvariantCulture);
}
