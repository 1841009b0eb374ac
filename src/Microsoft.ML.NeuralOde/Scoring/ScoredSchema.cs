namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>An input schema with the columns that scoring adds behind it.</summary>
internal sealed class ScoredSchema
{
    public ScoredSchema(DataViewSchema input, DataViewSchema.Column features, IReadOnlyList<ScoreColumn> columns)
    {
        Input = input;
        Features = features;
        Columns = columns;
        var builder = new DataViewSchema.Builder();
        builder.AddColumns(input);
        foreach (ScoreColumn column in columns)
            builder.AddColumn(column.Name, column.Type, column.Annotations);
        Output = builder.ToSchema();
    }

    public DataViewSchema Input { get; }

    public DataViewSchema.Column Features { get; }

    public IReadOnlyList<ScoreColumn> Columns { get; }

    public DataViewSchema Output { get; }

    /// <summary>Whether a column of the output is made by scoring.</summary>
    public bool IsScore(int column) => column >= Input.Count;

    /// <summary>The input columns that output columns need.</summary>
    public IEnumerable<DataViewSchema.Column> Dependencies(IEnumerable<DataViewSchema.Column> columns)
    {
        var needed = new SortedSet<int>();
        foreach (DataViewSchema.Column column in columns)
            needed.Add(IsScore(column.Index) ? Features.Index : column.Index);
        return needed.Select(index => Input[index]);
    }
}
