using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Datasets;

/// <summary>A column that is made of records.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Its type.</param>
/// <param name="Open">Makes a <see cref="ValueGetter{T}"/> of the type for the record at hand.</param>
/// <param name="Annotations">Its annotations; null for none.</param>
internal sealed record RecordColumn<TRecord>(
    string Name, DataViewType Type, Func<Func<TRecord>, Delegate> Open, DataViewSchema.Annotations? Annotations = null)
{
    /// <summary>A column of single values.</summary>
    public static RecordColumn<TRecord> Of<T>(
        string name, DataViewType type, Func<TRecord, T> value, DataViewSchema.Annotations? annotations = null) =>
        new(name, type, record => (ValueGetter<T>)((ref T target) => target = value(record())), annotations);

    /// <summary>A column of vectors, each of its own length.</summary>
    public static RecordColumn<TRecord> Vector<T>(
        string name, PrimitiveDataViewType item, Func<TRecord, T[]> values, DataViewSchema.Annotations? annotations = null) =>
        new(name, new VectorDataViewType(item), record => (ValueGetter<VBuffer<T>>)((ref VBuffer<T> target) =>
        {
            T[] found = values(record());
            VBufferEditor<T> editor = VBufferEditor.Create(ref target, found.Length);
            found.CopyTo(editor.Values);
            target = editor.Commit();
        }), annotations);
}

/// <summary>A data view of records that are read again by each cursor, so that no more than one of them need be in memory.</summary>
/// <param name="read">Reads the records from the first on.</param>
/// <param name="columns">What they become.</param>
internal sealed class RecordView<TRecord>(Func<IEnumerable<TRecord>> read, IReadOnlyList<RecordColumn<TRecord>> columns) : IDataView
    where TRecord : class
{
    public bool CanShuffle => false;

    public DataViewSchema Schema { get; } = SchemaOf(columns);

    public long? GetRowCount() => null;

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null)
    {
        ArgumentNullException.ThrowIfNull(columnsNeeded);
        return new Cursor(this, read().GetEnumerator(), [.. columnsNeeded.Select(column => column.Index)]);
    }

    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        [GetRowCursor(columnsNeeded, rand)];

    private static DataViewSchema SchemaOf(IReadOnlyList<RecordColumn<TRecord>> columns)
    {
        var builder = new DataViewSchema.Builder();
        foreach (RecordColumn<TRecord> column in columns)
            builder.AddColumn(column.Name, column.Type, column.Annotations);
        return builder.ToSchema();
    }

    private RecordColumn<TRecord> Column(int index) => columns[index];

    private sealed class Cursor(RecordView<TRecord> view, IEnumerator<TRecord> records, HashSet<int> active) : DataViewRowCursor
    {
        private long _position = -1;
        private bool _ended;

        public override DataViewSchema Schema => view.Schema;

        public override long Position => _position;

        public override long Batch => 0;

        public override bool MoveNext()
        {
            if (_ended || !records.MoveNext())
            {
                _ended = true;
                _position = -1;
                return false;
            }
            _position++;
            return true;
        }

        public override bool IsColumnActive(DataViewSchema.Column column) => active.Contains(column.Index);

        public override ValueGetter<DataViewRowId> GetIdGetter() =>
            (ref DataViewRowId value) => value = new DataViewRowId((ulong)Position, 0);

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        {
            if (!IsColumnActive(column))
                throw new InvalidOperationException($"Column '{column.Name}' is not active in this cursor.");
            return view.Column(column.Index).Open(Current) as ValueGetter<TValue> ?? throw new InvalidOperationException(
                $"Column '{column.Name}' has type {column.Type}; it cannot be read as {typeof(TValue).Name}.");
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                records.Dispose();
            base.Dispose(disposing);
        }

        private TRecord Current() => _position >= 0
            ? records.Current
            : throw new InvalidOperationException("The cursor does not stand on a row: call MoveNext first.");
    }
}
