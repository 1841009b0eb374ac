using System.Globalization;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Samples.Anomalies;

/// <summary>A row of a table: numbers, and 1 for an anomaly.</summary>
internal sealed class AnomalyRow
{
    public float[] Features { get; set; } = [];

    public float Label { get; set; }

    /// <summary>Where it stands in the file, from 1.</summary>
    public int Line { get; set; }
}

/// <summary>
/// A table of rows that may be anomalies: a CSV file with a header. Where its last column is called "label", 1 marks anomalies and 0 normal
/// rows, and the model learns from normal rows alone; without labels it learns from all rows.
/// </summary>
internal sealed class AnomalyTable
{
    private const string LabelColumn = "label";

    private readonly AnomalyRow[] _rows;

    private AnomalyTable(string name, string[] columns, AnomalyRow[] rows, bool isLabelled) =>
        (Name, Columns, _rows, IsLabelled) = (name, columns, rows, isLabelled);

    public string Name { get; }

    /// <summary>The names of the features.</summary>
    public IReadOnlyList<string> Columns { get; }

    public bool IsLabelled { get; }

    public int RowCount => _rows.Length;

    /// <summary>Divides the rows; without labels all rows train, and all are scored.</summary>
    /// <param name="protocol">The rule.</param>
    /// <param name="seed">Decides on what is drawn.</param>
    public AnomalySplit Split(SplitProtocol protocol, int seed) =>
        IsLabelled ? AnomalySplit.Of(_rows, protocol, seed) : new AnomalySplit(_rows, _rows);

    /// <summary>
    /// The tables that paths name, separated by commas: a file, or all CSV files of a folder that end in a column 'label'.
    /// </summary>
    /// <exception cref="UserException">There is no such file or folder, or no table in it.</exception>
    public static IReadOnlyList<string> FindAll(string paths) => [.. Paths(paths).SelectMany(Find)];

    /// <summary>The paths that are separated by commas; one that exists as it is stays whole.</summary>
    public static string[] Paths(string paths) => File.Exists(paths) || Directory.Exists(paths)
        ? [paths] : paths.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static IReadOnlyList<string> Find(string path)
    {
        if (File.Exists(path))
            return [path];
        if (!Directory.Exists(path))
            throw new UserException($"--data: there is no file or folder '{path}'.");
        string[] files = [.. Directory.EnumerateFiles(path, "*.csv").Where(IsTable).Order(StringComparer.Ordinal)];
        return files.Length > 0
            ? files
            : throw new UserException(
                $"--data: the folder '{path}' holds no CSV file whose last column is 'label'; a table without labels is named by itself.");
    }

    /// <summary>Reads a table.</summary>
    /// <exception cref="UserException">A line is not what it should be; the message names file and line.</exception>
    public static AnomalyTable Read(string file)
    {
        string[] lines = File.ReadAllLines(file);
        if (lines.Length == 0 || lines[0].Split(',').All(cell => float.TryParse(cell, CultureInfo.InvariantCulture, out _)))
            throw new UserException($"{file}, line 1: a header with the names of the columns was expected.");
        bool isLabelled = EndsInLabel(lines[0]);
        int width = lines[0].Split(',').Length;
        if (isLabelled && width == 1)
            throw new UserException($"{file}, line 1: there is no column beside the label.");
        var rows = new List<AnomalyRow>();
        for (int i = 1; i < lines.Length; i++)
        {
            if (string.IsNullOrWhiteSpace(lines[i]))
                continue;
            string[] cells = lines[i].Split(',');
            if (cells.Length != width)
                throw new UserException($"{file}, line {i + 1}: {cells.Length} columns, but the header has {width}.");
            float[] numbers = [.. cells.Select((cell, column) => Number(cell, file, i + 1, column + 1))];
            if (isLabelled && numbers[^1] is not (0 or 1))
                throw new UserException($"{file}, line {i + 1}: the label is {cells[^1]}; 0 (normal) or 1 (anomaly) was expected.");
            rows.Add(new AnomalyRow
            {
                Features = isLabelled
                ? numbers[..^1] : numbers,
                Label = isLabelled ? numbers[^1] : 0,
                Line = i + 1
            });
        }
        var table = new AnomalyTable(
            Path.GetFileNameWithoutExtension(file),
            [.. lines[0].Split(',').Take(isLabelled ? width - 1 : width).Select(name => name.Trim())], [.. rows],
            isLabelled);
        AnomalySplit split = table.Split(SplitProtocol.Modulo, 0);
        if (split.Training.Count < 2 || (isLabelled && (!split.Test.Any(row => row.Label == 0) || !split.Test.Any(row => row.Label == 1))))
            throw new UserException(
                $"{file}: {rows.Count} rows are too few; {(isLabelled ? "at least four normal ones and one anomaly are needed" : "at least two are needed")}.");
        return table;
    }

    public static IDataView View(MLContext mlContext, IReadOnlyList<AnomalyRow> rows)
    {
        SchemaDefinition schema = SchemaDefinition.Create(typeof(AnomalyRow));
        schema[nameof(AnomalyRow.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, rows[0].Features.Length);
        return mlContext.Data.LoadFromEnumerable(rows, schema);
    }

    private static bool IsTable(string file) => File.ReadLines(file).FirstOrDefault() is { } header && EndsInLabel(header);

    private static bool EndsInLabel(string header) => header.Split(',')[^1].Trim() == LabelColumn;

    private static float Number(string cell, string file, int line, int column) =>
        float.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture, out float value)
            ? value
            : throw new UserException($"{file}, line {line}, column {column}: '{cell}' is no number.");
}
