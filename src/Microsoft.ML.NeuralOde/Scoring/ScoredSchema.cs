namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>An input schema with the columns that scoring adds behind it.</summary>
internal sealed class ScoredSchema
{
    /// <param name="input">The input schema.</param>
    /// <param name="features">A vector of Single of known size, which the scorer reads.</param>
    /// <param name="columns">What scoring adds.</param>
    /// <param name="condition">A column of Single or of vectors of it that the scorer reads behind the features; null for none.</param>
    public ScoredSchema(
        DataViewSchema input, DataViewSchema.Column features, IReadOnlyList<ScoreColumn> columns, DataViewSchema.Column? condition = null)
    {
        Input = input;
        Features = features;
        Condition = condition;
        Columns = columns;
        var builder = new DataViewSchema.Builder();
        builder.AddColumns(input);
        foreach (ScoreColumn column in columns)
            builder.AddColumn(column.Name, column.Type, column.Annotations);
        Output = builder.ToSchema();
    }

    public DataViewSchema Input { get; }

    public DataViewSchema.Column Features { get; }

    public DataViewSchema.Column? Condition { get; }

    public IReadOnlyList<ScoreColumn> Columns { get; }

    public DataViewSchema Output { get; }

    /// <summary>Whether a column of the output is made by scoring.</summary>
    public bool IsScore(int column) => column >= Input.Count;

    /// <summary>The input columns that output columns need.</summary>
    public IEnumerable<DataViewSchema.Column> Dependencies(IEnumerable<DataViewSchema.Column> columns)
    {
        var needed = new SortedSet<int>();
        foreach (DataViewSchema.Column column in columns)
        {
            needed.Add(IsScore(column.Index) ? Features.Index : column.Index);
            if (IsScore(column.Index) && Condition is { } condition)
                needed.Add(condition.Index);
        }
        return needed.Select(index => Input[index]);
    }
}
