using System.Globalization;
using System.Text;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Anomalies;

/// <summary>The table of results.</summary>
internal static class AnomalyReport
{
    /// <summary>A row a table: what was run here, then the detectors of a list that were not.</summary>
    public static Table Table(AnomalyResult[] results, BaselineTable? listed)
    {
        List<Column> columns = [.. Areas(results, listed), .. Shares(results), .. Durations];
        Table table = new Table().Border(TableBorder.Simple).AddColumn("data");
        foreach (Column column in columns)
            table.AddColumn(new TableColumn(Markup.Escape(column.Name)).RightAligned());
        foreach (AnomalyResult result in results)
            table.AddRow([Markup.Escape(result.Name), .. columns.Select(column => column.Of(result))]);
        table.AddRow(["mean", .. columns.Select(column => column.Mean(results))]);
        return table;
    }

    /// <summary>The same as Markdown, and what is to be said of false alarms.</summary>
    public static string Markdown(AnomalyResult[] results, BaselineTable? listed)
    {
        List<Column> columns = [.. Areas(results, listed), .. Shares(results), .. Durations];
        var text = new StringBuilder("| table | rows | features |");
        text.AppendJoin("", columns.Select(column => $" {column.Name} |")).Append("\n|---|---|---|");
        text.AppendJoin("", columns.Select(_ => "---|")).Append('\n');
        foreach (AnomalyResult result in results)
            text.Append(CultureInfo.InvariantCulture, $"| {result.Name} | {result.Rows} | {result.Features} |")
                .AppendJoin("", columns.Select(column => $" {column.Of(result)} |")).Append('\n');
        text.Append("| **mean** | | |").AppendJoin("", columns.Select(column => $" {column.Mean(results)} |")).Append('\n');
        foreach (string line in Alarms(results).Concat(Times(results)))
            text.Append('\n').Append(line).Append('\n');
        return text.ToString();
    }

    /// <summary>What the flow took for the table in the middle; nothing where it was not run.</summary>
    public static IEnumerable<string> Times(AnomalyResult[] results)
    {
        if (results[0].Auroc is null)
            yield break;
        double[] seconds = [.. results.Select(result => result.ProcessorSeconds).Order()];
        double median = (seconds[seconds.Length / 2] + seconds[(seconds.Length - 1) / 2]) / 2;
        yield return string.Create(CultureInfo.InvariantCulture,
            $"Training and scoring took the flow {median:F1} seconds of a processor for the table in the middle.");
    }

    /// <summary>How closely false alarms keep to what was asked, a line a share.</summary>
    public static IEnumerable<string> Alarms(AnomalyResult[] results)
    {
        foreach (double asked in FalseAlarms.Shares)
        {
            FalseAlarms[] judged =
            [
                .. results.SelectMany(result => result.FalseAlarms)
                    .Where(alarms => alarms.Asked == asked && alarms.Calibrated is not null),
            ];
            if (judged.Length == 0)
                continue;
            // The mean's own standard deviation, where every table keeps its promise exactly.
            double chance = Math.Sqrt(judged.Sum(alarms => alarms.Chance * alarms.Chance)) / judged.Length;
            int withinChance = judged.Count(alarms => Math.Abs(alarms.Calibrated!.Value - asked) <= 2 * alarms.Chance);
            yield return string.Create(CultureInfo.InvariantCulture,
                $"Of {asked:P0} false alarms that are asked for, ")
                + string.Create(CultureInfo.InvariantCulture,
                    $"calibrated detectors give {judged.Average(alarms => alarms.Calibrated):P2} ")
                + string.Create(CultureInfo.InvariantCulture, $"in the mean over {judged.Length} tables (by chance ± {chance:P2}), ")
                + string.Create(CultureInfo.InvariantCulture,
                    $"and thresholds by the training rows' own scores {judged.Average(alarms => alarms.Plain):P2}. ")
                + string.Create(CultureInfo.InvariantCulture,
                    $"{judged.Count(alarms => alarms.IsNear)} tables lie within a fifth of what was asked, ")
                + string.Create(CultureInfo.InvariantCulture, $"{withinChance} within two standard deviations of chance.");
        }
    }

    private static IEnumerable<Column> Areas(AnomalyResult[] results, BaselineTable? listed)
    {
        if (results[0].Auroc is not null)
            yield return new Column(AnomalyResult.Flow, result => result.Auroc, Area);
        foreach (string name in results[0].Others.Keys)
            yield return new Column(name, result => result.Others[name], Area);
        foreach ((string name, int place) in (listed?.Names ?? []).Select((name, i) => (name, i)))
            if (!results[0].Others.ContainsKey(name))
                yield return new Column(name, result => listed![result.Name, place], Area);
    }

    private static IEnumerable<Column> Shares(AnomalyResult[] results)
    {
        foreach (double asked in FalseAlarms.Shares.Where(_ => results.Any(result => result.FalseAlarms.Count > 0)))
        {
            string name = asked.ToString("P0", CultureInfo.InvariantCulture);
            yield return new Column($"alarms at {name}", result => Find(result)?.Plain, Share);
            yield return new Column($"calibrated {name}", result => Find(result)?.Calibrated, Share);

            FalseAlarms? Find(AnomalyResult result) => result.FalseAlarms.FirstOrDefault(alarms => alarms.Asked == asked);
        }
    }

    private static Column[] Durations =>
    [
        new("seconds", result => result.Seconds, Seconds), new("of a processor", result => result.ProcessorSeconds, Seconds),
    ];

    private static string Area(double value) => value.ToString("F4", CultureInfo.InvariantCulture);

    private static string Share(double value) => value.ToString("P1", CultureInfo.InvariantCulture);

    private static string Seconds(double value) => value.ToString("F0", CultureInfo.InvariantCulture);

    /// <summary>A column of numbers.</summary>
    private sealed record Column(string Name, Func<AnomalyResult, double?> Value, Func<double, string> Text)
    {
        public string Of(AnomalyResult result) => Write(Value(result));

        // A mean over other tables would not compare.
        public string Mean(AnomalyResult[] results)
        {
            double?[] values = [.. results.Select(Value)];
            return Write(values.Contains(null) ? null : values.Average());
        }

        private string Write(double? value) => value is { } number ? Text(number) : "–";
    }
}
