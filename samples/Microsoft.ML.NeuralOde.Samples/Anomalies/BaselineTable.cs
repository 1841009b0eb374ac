using System.Globalization;

namespace Microsoft.ML.NeuralOde.Samples.Anomalies;

/// <summary>
/// What other detectors reach: <c>baselines.csv</c> beside the data, with a column <c>dataset</c> and, behind the column <c>anomalies</c>,
/// one a detector.
/// </summary>
internal sealed class BaselineTable
{
    private const string FileName = "baselines.csv";

    private readonly Dictionary<string, double[]> _results = [];

    private BaselineTable(string[] names) => Names = names;

    public IReadOnlyList<string> Names { get; }

    /// <summary>The tables beside some data as one; null where there is none, or where they have different detectors.</summary>
    public static BaselineTable? Beside(IReadOnlyList<string> paths)
    {
        BaselineTable?[] found = [.. paths.Select(Beside)];
        if (found.Length == 0 || found.Any(table => table is null || !table.Names.SequenceEqual(found[0]!.Names)))
            return null;
        var united = new BaselineTable([.. found[0]!.Names]);
        foreach ((string name, double[] areas) in found.SelectMany(table => table!._results))
            united._results[name] = areas;
        return united;
    }

    private static BaselineTable? Beside(string data)
    {
        string file = Path.Combine(Directory.Exists(data) ? data : Path.GetDirectoryName(Path.GetFullPath(data))!, FileName);
        return File.Exists(file) ? Read(file) : null;
    }

    /// <summary>A detector's AUROC on a data set; null where it is not in the table.</summary>
    public double? this[string dataset, int detector] => _results.TryGetValue(dataset, out double[]? row) ? row[detector] : null;

    /// <exception cref="UserException">The table is not what it should be.</exception>
    private static BaselineTable Read(string file)
    {
        string[][] lines = [.. File.ReadLines(file).Where(line => line.Length > 0).Select(line => line.Split(','))];
        int dataset = lines.Length == 0 ? -1 : Array.IndexOf(lines[0], "dataset"),
            first = lines.Length == 0 ? 0 : Array.IndexOf(lines[0], "anomalies") + 1;
        if (dataset < 0 || first == 0)
            throw new UserException($"{file}: a header with the columns 'dataset' and 'anomalies' was expected.");
        var table = new BaselineTable(lines[0][first..]);
        for (int i = 1; i < lines.Length; i++)
            table._results[lines[i][dataset]] = lines[i].Length == lines[0].Length
                ? [.. lines[i][first..].Select(cell => Number(cell, file, i + 1))]
                : throw new UserException($"{file}, line {i + 1}: {lines[i].Length} columns, but the header has {lines[0].Length}.");
        return table;
    }

    private static double Number(string cell, string file, int line) =>
        double.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture, out double value)
            ? value
            : throw new UserException($"{file}, line {line}: '{cell}' is no number.");
}
