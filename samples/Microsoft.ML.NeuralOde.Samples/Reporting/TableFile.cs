using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Reporting;

/// <summary>
/// A table as text with a header. Its columns are found by the names that the model was saved with; a vector that no column is called after
/// takes the columns that nothing else does, in their order.
/// </summary>
internal static class TableFile
{
    /// <exception cref="UserException">The header lacks columns that the model reads, or the model does not tell which it
    /// reads.</exception>
    public static IDataView Open(MLContext mlContext, string path, SavedModel model)
    {
        char separator = Path.GetExtension(path).Equals(".tsv", StringComparison.OrdinalIgnoreCase) ? '\t' : ',';
        if (model.Inputs is null)
            throw new UserException(
                $"--data: '{model.File}' was saved without the columns that it reads; a data view that SaveAsBinary wrote, NAME.idv, would be right.");
        string header = File.ReadLines(path).FirstOrDefault()
            ?? throw new UserException($"--data: '{path}' is empty; a table with a header would be right.");
        string[] names = [.. header.Split(separator).Select(name => name.Trim().Trim('"'))];
        TextLoader.Column[] columns = [.. Columns(path, names, model)];
        return mlContext.Data.CreateTextLoader(new TextLoader.Options
        {
            Columns = columns,
            Separators = [separator],
            HasHeader = true,
            AllowQuoting = true,
        }).Load(path);
    }

    private static List<TextLoader.Column> Columns(string path, string[] names, SavedModel model)
    {
        DataViewSchema.Column[] wanted = [.. model.Inputs!.Where(column => !column.IsHidden)];
        var columns = new List<TextLoader.Column>();
        var free = new HashSet<int>(Enumerable.Range(0, names.Length));
        foreach (DataViewSchema.Column column in wanted)
        {
            int place = Array.IndexOf(names, column.Name);
            if (place < 0)
                continue;
            free.Remove(place);
            columns.Add(new TextLoader.Column(column.Name, KindOf(column.Type), place));
        }
        string label = model.Option("LabelColumnName") ?? "Label";
        foreach (DataViewSchema.Column column in wanted.Where(column => !names.Contains(column.Name)))
        {
            if (column.Type is VectorDataViewType { Size: > 0 } vector && vector.Size == free.Count)
            {
                columns.Add(
                    new TextLoader.Column(
                        column.Name, KindOf(vector.ItemType), [.. free.Order().Select(index => new TextLoader.Range(index))]));
                free.Clear();
            }
            else if (IsRead(column, model) && column.Name != label)
                throw new UserException(
                    $"--data: '{path}' has no column '{column.Name}' ({column.Type}), which the model reads, and {free.Count} columns that are nothing else; "
                    + $"its columns are {string.Join(", ", names)}. A header with the names that the model was saved with would be right.");
        }
        return columns;
    }

    /// <summary>Whether the model makes something else of data without a column.</summary>
    private static bool IsRead(DataViewSchema.Column column, SavedModel model)
    {
        var builder = new DataViewSchema.Builder();
        builder.AddColumns(model.Inputs!.Where(other => other.Index != column.Index));
        try
        {
            model.Step.GetOutputSchema(model.Before.GetOutputSchema(builder.ToSchema()));
            return false;
        }
        catch (ArgumentException)
        {
            return true;
        }
    }

    /// <summary>Keys are read as the values that they stand for.</summary>
    private static DataKind KindOf(DataViewType type) => type switch
    {
        VectorDataViewType vector => KindOf(vector.ItemType),
        KeyDataViewType or TextDataViewType => DataKind.String,
        BooleanDataViewType => DataKind.Boolean,
        _ => Enum.TryParse(type.RawType.Name, out DataKind kind) ? kind : DataKind.Single,
    };
}
