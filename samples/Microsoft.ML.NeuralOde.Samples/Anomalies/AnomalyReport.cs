using System.Globalization;
using Spectre.Console;

namespace Microsoft.ML.NeuralOde.Samples.Anomalies;

/// <summary>The table of results.</summary>
internal static class AnomalyReport
{
    /// <summary>A row a table: what was run here, then the detectors of a list that were not.</summary>
    public static Table Table(AnomalyResult[] results, BaselineTable? listed)
    {
        var columns = new List<(string Name, Func<AnomalyResult, double?> Area)>();
        if (results[0].Auroc is not null)
            columns.Add((AnomalyResult.Flow, result => result.Auroc));
        columns.AddRange(results[0].Others.Keys.Select(name =>
            (name, (Func<AnomalyResult, double?>)(result => result.Others[name]))));
        columns.AddRange(
            (listed?.Names ?? []).Select((name, i) => (name, (Func<AnomalyResult, double?>)(result => listed![result.Name, i])))
            .Where(column => !results[0].Others.ContainsKey(column.name)));
        Table table = new Table().Border(TableBorder.Simple).AddColumn("data");
        foreach (string name in columns.Select(column => column.Name).Append("seconds"))
            table.AddColumn(new TableColumn(Markup.Escape(name)).RightAligned());
        foreach (AnomalyResult result in results)
            table.AddRow([Markup.Escape(result.Name), .. columns.Select(column => Text(column.Area(result))), Seconds(result.Seconds)]);
        table.AddRow(
            ["mean", .. columns.Select(column => Text(Mean([.. results.Select(column.Area)]))),
                Seconds(results.Average(result => result.Seconds))]);
        return table;
    }

    // A mean over other tables would not compare.
    private static double? Mean(double?[] areas) => areas.Contains(null) ? null : areas.Average();

    private static string Text(double? value) => value?.ToString("F4", CultureInfo.InvariantCulture) ?? "–";

    private static string Seconds(double value) => value.ToString("F0", CultureInfo.InvariantCulture);
}
