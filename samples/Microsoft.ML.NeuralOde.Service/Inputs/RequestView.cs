using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Service.Inputs;

/// <summary>The columns of the data that a model was saved with, and which of them it reads.</summary>
/// <param name="Schema">All columns: steps for labels want theirs to be there, though nobody reads them.</param>
/// <param name="Inputs">Those that are read.</param>
internal sealed record InputLayout(DataViewSchema Schema, IReadOnlyList<InputColumn> Inputs)
{
    /// <summary>The place of a column among the inputs; negative for one that is not read.</summary>
    public int Place(DataViewSchema.Column column)
    {
        for (int i = 0; i < Inputs.Count; i++)
            if (Schema[Inputs[i].Name].Index == column.Index)
                return i;
        return -1;
    }
}

/// <summary>The rows of a request as data.</summary>
internal sealed class RequestView(InputLayout layout, IReadOnlyList<object[]> rows) : IDataView
{
    public bool CanShuffle => false;

    public DataViewSchema Schema => layout.Schema;

    public long? GetRowCount() => rows.Count;

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
        new RequestCursor(layout, rows);

    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        [GetRowCursor(columnsNeeded, rand)];
}

/// <summary>Goes over rows; or stands on the one that it is given next, for one request after the other.</summary>
internal sealed class RequestCursor(InputLayout layout, IReadOnlyList<object[]> rows) : DataViewRowCursor
{
    private object[]? _row;
    private long _position = -1;

    public override DataViewSchema Schema => layout.Schema;

    public override long Position => _position;

    public override long Batch => 0;

    /// <summary>Stands on a row of a request; null afterwards, so that no request's values are kept or met by another's.</summary>
    public void Stand(object[]? row)
    {
        _row = row;
        if (row is not null)
            _position++;
    }

    public override bool MoveNext()
    {
        if (_position + 1 >= rows.Count)
        {
            _row = null;
            return false;
        }
        _row = rows[(int)++_position];
        return true;
    }

    public override bool IsColumnActive(DataViewSchema.Column column) => layout.Place(column) >= 0;

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        int place = layout.Place(column);
        if (place < 0)
            throw new InvalidOperationException($"Column '{column.Name}' is not read by the prediction.");
        return layout.Inputs[place].Getter(() =>
            (_row ?? throw new InvalidOperationException("There is no current row."))[place]) as ValueGetter<TValue>
            ?? throw new InvalidOperationException(
                $"Column '{column.Name}' has type {column.Type}; it cannot be read as {typeof(TValue).Name}.");
    }

    public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = new DataViewRowId((ulong)_position, 0);
}
