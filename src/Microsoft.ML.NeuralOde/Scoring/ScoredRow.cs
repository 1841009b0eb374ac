using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>
/// One row after the other, as a prediction engine wants them: each is scored once, when the first of its scores is asked for.
/// </summary>
internal sealed class ScoredRow : DataViewRow
{
    private readonly DataViewRow _input;
    private readonly ScoredSchema _schema;
    private readonly HashSet<int> _active;
    private readonly IRowScorer _scorer;
    private readonly float[] _outputs;
    private RowScoring? _scoring;
    private long _scored = -1;

    public ScoredRow(DataViewRow input, ScoredSchema schema, IRowScorer scorer, IEnumerable<DataViewSchema.Column> active)
    {
        _input = input;
        _schema = schema;
        _active = [.. active.Select(column => column.Index)];
        _scorer = scorer;
        _outputs = new float[scorer.OutputCount];
    }

    public override DataViewSchema Schema => _schema.Output;

    public override long Position => _input.Position;

    public override long Batch => _input.Batch;

    public override ValueGetter<DataViewRowId> GetIdGetter() => _input.GetIdGetter();

    public override bool IsColumnActive(DataViewSchema.Column column) =>
        _schema.IsScore(column.Index) ? _active.Contains(column.Index) : _input.IsColumnActive(_schema.Input[column.Index]);

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        if (!_schema.IsScore(column.Index))
            return _input.GetGetter<TValue>(_schema.Input[column.Index]);
        _scoring ??= _scorer.Open(_input, _schema, 1);
        return Getters.Cast<TValue>(_schema.Columns[column.Index - _schema.Input.Count].Getter(Outputs), column);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _input.Dispose();
        base.Dispose(disposing);
    }

    private ReadOnlySpan<float> Outputs()
    {
        if (_scored != _input.Position || _scored < 0)
        {
            _scoring!.Clear();
            _scoring.Read();
            _scoring.Score(_outputs);
            _scored = _input.Position;
        }
        return _outputs;
    }
}

internal static class Getters
{
    public static ValueGetter<TValue> Cast<TValue>(Delegate getter, DataViewSchema.Column column) =>
        getter as ValueGetter<TValue>
        ?? throw new InvalidOperationException(
            $"Column '{column.Name}' has type {column.Type}; it cannot be read as {typeof(TValue).Name}.");
}
