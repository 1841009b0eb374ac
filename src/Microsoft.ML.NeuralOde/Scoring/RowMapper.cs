using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>Scores row by row: what a prediction engine is built on.</summary>
internal sealed class RowMapper(ScoredSchema schema, IRowScorer scorer) : IRowToRowMapper
{
    public DataViewSchema InputSchema => schema.Input;

    public DataViewSchema OutputSchema => schema.Output;

    public IEnumerable<DataViewSchema.Column> GetDependencies(IEnumerable<DataViewSchema.Column> dependingColumns) =>
        schema.Dependencies(dependingColumns);

    public DataViewRow GetRow(DataViewRow input, IEnumerable<DataViewSchema.Column> activeColumns)
    {
        ArgumentNullException.ThrowIfNull(input);
        return new ScoredRow(input, schema, scorer, activeColumns);
    }
}
