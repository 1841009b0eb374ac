namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>A data view with scores, computed batch by batch while a cursor moves over it.</summary>
internal sealed class ScoredView(IDataView source, ScoredSchema schema, IRowScorer scorer) : IDataView
{
    public bool CanShuffle => source.CanShuffle && !scorer.NeedsOrder;

    public DataViewSchema Schema => schema.Output;

    public long? GetRowCount() => source.GetRowCount();

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null)
    {
        DataViewSchema.Column[] needed = [.. columnsNeeded];
        DataViewRowCursor input = source.GetRowCursor(schema.Dependencies(needed), CanShuffle ? rand : null);
        return new BatchCursor(input, schema, scorer.Beside(source, schema), needed);
    }

    // Batches keep the cores busy by themselves: one cursor, which callers must accept.
    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        [GetRowCursor(columnsNeeded, rand)];
}
