using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>The columns that a scorer reads.</summary>
/// <param name="Features">A vector of Single of known size; for series their values, or the first channel.</param>
/// <param name="Condition">A column that is read behind the features; null for none.</param>
/// <param name="Series">All columns of series; null for vectors.</param>
internal sealed record ScorerColumns(DataViewSchema.Column Features, DataViewSchema.Column? Condition = null, SeriesInput? Series = null)
{
    public IReadOnlyList<DataViewSchema.Column> All =>
    [
        .. Forecast?.All ?? Series?.Columns ?? [Features],
        .. Condition is { } condition ? [condition] : (DataViewSchema.Column[])[],
    ];

    /// <summary>The columns of series that are to be forecast; null for others.</summary>
    public ForecastInput? Forecast { get; init; }
}

/// <summary>An input schema with the columns that scoring adds behind it.</summary>
internal sealed class ScoredSchema
{
    /// <param name="input">The input schema.</param>
    /// <param name="inputs">What the scorer reads.</param>
    /// <param name="columns">What scoring adds.</param>
    public ScoredSchema(DataViewSchema input, ScorerColumns inputs, IReadOnlyList<ScoreColumn> columns)
    {
        Input = input;
        Inputs = inputs;
        Columns = columns;
        var builder = new DataViewSchema.Builder();
        builder.AddColumns(input);
        foreach (ScoreColumn column in columns)
            builder.AddColumn(column.Name, column.Type, column.Annotations);
        Output = builder.ToSchema();
    }

    public DataViewSchema Input { get; }

    public ScorerColumns Inputs { get; }

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
            if (IsScore(column.Index))
                needed.UnionWith(Inputs.All.Select(input => input.Index));
            else
                needed.Add(column.Index);
        }
        return needed.Select(index => Input[index]);
    }
}
