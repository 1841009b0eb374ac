using System.Globalization;

namespace Microsoft.ML.NeuralOde.Samples.Forecasting;

/// <summary>An observation, as the forecaster's trainer reads it.</summary>
internal sealed class Observation
{
    public string Series { get; set; } = "";

    public double Time { get; set; }

    public float Value { get; set; }
}

/// <summary>Series to be forecast.</summary>
/// <param name="Name">What they are.</param>
/// <param name="Series">The observations of each, in the order of time.</param>
internal sealed record ForecastSet(string Name, IReadOnlyList<Observation[]> Series)
{
    /// <summary>Series of a file, or those that the program carries with it.</summary>
    /// <exception cref="UserException">The file is missing or cannot be read.</exception>
    public static ForecastSet Load(MLContext context, string? path)
    {
        if (path is null)
        {
            using var reader = new StreamReader(typeof(ForecastSet).Assembly.GetManifestResourceStream("sunspots.csv")!);
            return new ForecastSet("yearly sunspots", [ReadTable(reader.ReadToEnd().Split('\n'), "sunspots.csv")]);
        }
        if (!File.Exists(path))
            throw new UserException(
                $"--data: there is no file '{path}'; a CSV file with a time and a value column, or a .tsf file, would be right.");
        string name = Path.GetFileNameWithoutExtension(path);
        return Path.GetExtension(path).Equals(".tsf", StringComparison.OrdinalIgnoreCase)
            ? new ForecastSet(name, ReadArchive(context, path))
            : new ForecastSet(name, [ReadTable(File.ReadAllLines(path), path)]);
    }

    private static List<Observation[]> ReadArchive(MLContext context, string path) =>
        [.. context.Data.CreateEnumerable<ArchiveRow>(context.Data.LoadFromTsfFile(path), false)
            .Select((row, k) => row.Values.Select((value, i) => new Observation { Series = $"{k + 1}", Time = i, Value = value }).ToArray())
            .Where(series => series.Length > 0)];

    /// <summary>The first column is the time, a number or a date, the last the value.</summary>
    private static Observation[] ReadTable(string[] lines, string path)
    {
        var rows = new List<Observation>();
        for (int i = 1; i < lines.Length; i++)
        {
            if (string.IsNullOrWhiteSpace(lines[i]))
                continue;
            string[] cells = [.. lines[i].Split(',').Select(cell => cell.Trim().Trim('"'))];
            rows.Add(new Observation { Time = Time(cells[0], i), Value = Value(cells[^1], i) });
        }
        return rows.Count > 0 ? [.. rows] : throw new UserException($"--data: '{path}' holds no rows below its line of names.");

        double Time(string cell, int line) =>
            double.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) ? number
            : DateTime.TryParse(
                cell, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out DateTime date)
                ? (date - DateTime.UnixEpoch).TotalSeconds
                : throw new UserException(
                    $"--data: line {line + 1} of '{path}' begins with '{cell}'; a time, a number or a date, would be right.");

        float Value(string cell, int line) =>
            cell.Length == 0 || cell is "?" or "NA" ? float.NaN
            : float.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture, out float number) ? number
            : throw new UserException(
                $"--data: line {line + 1} of '{path}' ends with '{cell}'; a number, or nothing where it is missing, would be right.");
    }

    private sealed class ArchiveRow
    {
        public float[] Values { get; set; } = [];
    }
}
