using System.Globalization;
using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>What becomes of rows without a number in a column of numbers.</summary>
internal enum MissingNumbers
{
    /// <summary>The table is refused.</summary>
    Refuse,

    /// <summary>The rows are left out.</summary>
    Drop,

    /// <summary>The mean of the column's other numbers stands in, which makes it a frequent value.</summary>
    Mean,
}

/// <summary>A column of a table.</summary>
/// <param name="Name">Its name in the header.</param>
/// <param name="IsNumber">Whether all of its cells are numbers; otherwise they are the values of a category.</param>
/// <param name="Constant">The cell that all rows have; null where they differ.</param>
internal sealed record MixedColumn(string Name, bool IsNumber, string? Constant);

/// <summary>A CSV file of numbers and categories, whose first line names the columns.</summary>
internal sealed class MixedTable
{
    private const int FewestRows = 20, MostCategories = 100;

    // Beside empty cells.
    private static readonly string[] Missing = ["NA", "NaN", "?"];

    private MixedTable(string file, MixedColumn[] columns, int rowCount) => (File, Columns, RowCount) = (file, columns, rowCount);

    public string File { get; }

    /// <summary>All columns, in the file's order.</summary>
    public IReadOnlyList<MixedColumn> Columns { get; }

    /// <summary>The rows of the file.</summary>
    public int RowCount { get; }

    /// <summary>The columns in which rows differ: there is nothing to learn of the others.</summary>
    public IEnumerable<MixedColumn> Varying => Columns.Where(column => column.Constant is null);

    /// <summary>Looks at a file: what its columns are, and whether it can be learned.</summary>
    /// <exception cref="UserException">It cannot; the message names line and column, and says what to do.</exception>
    public static MixedTable Read(string file, MissingNumbers missing)
    {
        if (!System.IO.File.Exists(file))
            throw new UserException($"--table: there is no file '{file}'.");
        string[] lines = System.IO.File.ReadAllLines(file);
        string[] names = lines.Length == 0 ? [] : [.. CsvLine.Split(lines[0])];
        if (names.Length == 0 || names.Any(name => name.Length == 0 || IsNumber(name)))
            throw new UserException($"{file}, line 1: a header with the names of the columns was expected.");
        if (names.GroupBy(name => name).FirstOrDefault(group => group.Count() > 1) is { } repeated)
            throw new UserException($"{file}, line 1: two columns are called '{repeated.Key}'; each needs a name of its own.");
        var rows = new List<(int Line, string[] Cells)>();
        for (int i = 1; i < lines.Length; i++)
        {
            if (string.IsNullOrWhiteSpace(lines[i]))
                continue;
            string[] cells = [.. CsvLine.Split(lines[i])];
            if (cells.Length != names.Length)
                throw new UserException($"{file}, line {i + 1}: {cells.Length} columns, but the header has {names.Length}.");
            rows.Add((i + 1, cells));
        }
        if (rows.Count < FewestRows)
            throw new UserException($"{file}: {rows.Count} rows are too few; at least {FewestRows} are needed.");
        MixedColumn[] columns = [.. names.Select((name, i) => Look(file, name, i, rows, missing))];
        return columns.Any(column => column.Constant is null)
            ? new MixedTable(file, columns, rows.Count)
            : throw new UserException($"{file}: all rows are the same; there is nothing to learn.");
    }

    /// <summary>The columns that vary, numbers as Single (NaN where one is missing) and categories as text.</summary>
    public IDataView Load(MLContext mlContext) => mlContext.Data.CreateTextLoader(new TextLoader.Options
    {
        Columns = [.. Columns.Select((column, i) => (column, i)).Where(pair => pair.column.Constant is null).Select(pair =>
            new TextLoader.Column(pair.column.Name, pair.column.IsNumber ? DataKind.Single : DataKind.String, pair.i))],
        Separators = [','],
        HasHeader = true,
        AllowQuoting = true,
        TrimWhitespace = true,
        MissingRealsAsNaNs = true,
    }).Load(File);

    private static MixedColumn Look(
        string file, string name, int place, List<(int Line, string[] Cells)> rows, MissingNumbers missing)
    {
        string[] cells = [.. rows.Select(row => row.Cells[place])];
        string[] present = [.. cells.Where(cell => !IsMissing(cell))];
        bool isNumber = present.Length > 0 && Array.TrueForAll(present, IsNumber);
        if (isNumber && missing == MissingNumbers.Refuse && rows.FindIndex(row => IsMissing(row.Cells[place])) is >= 0 and int gap)
            throw new UserException(
                $"{file}, line {rows[gap].Line}: the number in column '{name}' is missing, "
                + $"as are {cells.Length - present.Length} of {cells.Length}. "
                + "'--missing drop' would leave such rows out, '--missing mean' would put the mean of the others there.");
        int values = (isNumber ? present : cells).Distinct().Count();
        if (!isNumber && values > MostCategories)
            throw new UserException(
                $"{file}: the column '{name}' has {values} different texts, too many for a category (at most {MostCategories}). "
                + "Leave it out, or put rare ones together.");
        return new MixedColumn(name, isNumber, values == 1 ? (isNumber ? present : cells)[0] : null);
    }

    private static bool IsMissing(string cell) => cell.Length == 0 || Missing.Contains(cell, StringComparer.OrdinalIgnoreCase);

    private static bool IsNumber(string cell) =>
        float.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture, out float value) && float.IsFinite(value);
}
