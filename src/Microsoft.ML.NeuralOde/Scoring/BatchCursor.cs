using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>
/// Reads a batch of rows ahead, scores it at once, and hands the rows out one by one. Beside columns of objects, such as images, no row is
/// read ahead; and otherwise as many as keep within a bound of memory.
/// </summary>
internal sealed class BatchCursor : DataViewRowCursor
{
    private const int LargestBatch = 256;

    /// <summary>What the rows that were read ahead may take, in bytes; a single row may take more.</summary>
    private const long MostBytes = 32L << 20;

    private readonly DataViewRowCursor _input;
    private readonly ScoredSchema _schema;
    private readonly IRowScorer _scorer;
    private readonly HashSet<int> _active;
    private readonly bool _scores;
    private readonly RowBuffer?[] _buffers;
    private readonly int _batchSize;
    private readonly DataViewRowId[] _ids;
    private readonly long[] _batches;
    private readonly ValueGetter<DataViewRowId> _getId;
    private readonly RowScoring? _scoring;
    private readonly float[] _outputs = [];
    private int _count;
    private int _current = -1;
    private long _position = -1;
    private bool _ended;
    private bool _wasLarge;

    public BatchCursor(DataViewRowCursor input, ScoredSchema schema, IRowScorer scorer, DataViewSchema.Column[] needed)
    {
        _input = input;
        _schema = schema;
        _scorer = scorer;
        _active = [.. needed.Select(column => column.Index)];
        _scores = _active.Any(schema.IsScore);
        _batchSize = BatchSize();
        _ids = new DataViewRowId[_batchSize];
        _batches = new long[_batchSize];
        _getId = input.GetIdGetter();
        _buffers = new RowBuffer?[schema.Input.Count];
        foreach (int column in _active.Where(index => !schema.IsScore(index)))
            _buffers[column] = RowBuffer.Create(input, schema.Input[column], _batchSize);
        if (!_scores)
            return;
        _scoring = scorer.Open(input, schema, _batchSize);
        _outputs = new float[_batchSize * scorer.OutputCount];
    }

    public override DataViewSchema Schema => _schema.Output;

    public override long Position => _position;

    public override long Batch => _current < 0 ? -1 : _batches[_current];

    public override bool MoveNext()
    {
        if (_ended)
            return false;
        if (_current + 1 >= _count && !Fill())
        {
            _ended = true;
            _current = -1;
            _position = -1;
            return false;
        }
        _current++;
        _position++;
        return true;
    }

    public override bool IsColumnActive(DataViewSchema.Column column) => _active.Contains(column.Index);

    public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId value) => value = _ids[Row];

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        if (!IsColumnActive(column))
            throw new InvalidOperationException($"Column '{column.Name}' is not active in this cursor.");
        Delegate getter = _schema.IsScore(column.Index)
            ? _schema.Columns[column.Index - _schema.Input.Count].Getter(() =>
                _outputs.AsSpan(Row * _scorer.OutputCount, _scorer.OutputCount))
            : _buffers[column.Index]!.Getter(() => Row);
        return Getters.Cast<TValue>(getter, column);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _input.Dispose();
        base.Dispose(disposing);
    }

    private int Row =>
        _current >= 0 ? _current : throw new InvalidOperationException("The cursor does not stand on a row: call MoveNext first.");

    private int BatchSize()
    {
        if (_active.Any(index => !_schema.IsScore(index) && !RowBuffer.CanReadAhead(_schema.Input[index].Type)))
            return 1;
        long row = _scores ? sizeof(float) * ((long)_scorer.InputCount + _scorer.OutputCount) : 1;
        return (int)Math.Clamp(MostBytes / row, 1, LargestBatch);
    }

    private bool Fill()
    {
        _count = 0;
        _current = -1;
        foreach (RowBuffer? buffer in _buffers)
            buffer?.Clear(release: _wasLarge);
        _scoring?.Clear();
        long bytes = 0;
        while (_count < _batchSize && bytes < MostBytes && _input.MoveNext())
        {
            _getId(ref _ids[_count]);
            _batches[_count] = _input.Batch;
            foreach (RowBuffer? buffer in _buffers)
                bytes += buffer?.Read(_count) ?? 0;
            bytes += _scoring?.Read() ?? 0;
            _count++;
        }
        _wasLarge = bytes >= MostBytes;
        if (_count > 0)
            _scoring?.Score(_outputs);
        return _count > 0;
    }
}
