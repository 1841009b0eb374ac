namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Rows that are read again in every epoch and shuffled on their way: what does not fit into memory.</summary>
/// <remarks>
/// Shuffling: a pool of rows as large as the memory budget allows is kept full; a row that leaves it for a batch is drawn at random, and
/// the next one of the data takes its place. Rows move by the pool's size at most towards the front, and any distance towards the back.
/// </remarks>
internal sealed class StreamedRows : IDivisibleRows
{
    private readonly IDataView _data;
    private readonly RowColumns _columns;
    private readonly RowSplit? _split;
    private readonly RowShape _shape;
    private readonly int _poolRows;
    private Pool? _pool;

    public StreamedRows(IDataView data, RowColumns columns, RowFormat format, RowSplit? split, RowStatistics statistics, long memoryBudget)
    {
        _data = data;
        _columns = columns;
        _split = split;
        _shape = columns.ShapeIn(data.Schema);
        Format = format;
        Statistics = statistics;
        long most = Math.Min(format.MostPoolRows, Array.MaxLength / Math.Max(_shape.Labels, 1));
        _poolRows = (int)Math.Clamp(memoryBudget / (statistics.MeanFeatureBytes + _shape.LabelBytes), 1, Math.Min(Count, most));
    }

    public long Count => Statistics.Count;

    public RowFormat Format { get; }

    public RowStatistics Statistics { get; }

    public IEnumerable<RowBatch> Batches(int batchSize, int? orderSeed = null, long firstBatch = 0, BatchShare share = default)
    {
        long most = Math.Min(batchSize, Count);
        var batch = new Pool(Format, _shape, (int)share.MostOf(most));
        long rows = 0;
        foreach ((Pool pool, int slot) in orderSeed is { } seed ? Shuffled(new Random(seed)) : InOrder())
        {
            long start = rows / most * most, total = Math.Min(most, Count - start), inBatch = rows++ - start;
            (long first, long count) = share.Of(total);
            if (inBatch >= first && inBatch < first + count)
                batch.Copy(pool, slot, (int)(inBatch - first));
            if (inBatch == total - 1 && start / most >= firstBatch)
                yield return batch.ToBatch((int)count) with { Share = share, First = first, Total = total };
        }
        RequireSame(rows);
    }

    public IEnumerable<RowBatch> Cut(IEnumerable<int> sizes, int usualSize, int? orderSeed, long firstRow)
    {
        long rows = 0;
        using IEnumerator<(Pool Pool, int Slot)> source =
            (orderSeed is { } seed ? Shuffled(new Random(seed)) : InOrder()).GetEnumerator();
        while (rows < firstRow && source.MoveNext())
            rows++;
        foreach (int size in sizes)
        {
            var batch = new Pool(Format, _shape, size);
            for (int i = 0; i < size; i++, rows++)
            {
                if (!source.MoveNext())
                    RequireSame(rows);
                batch.Copy(source.Current.Pool, source.Current.Slot, i);
            }
            yield return batch.ToBatch(size);
        }
        while (source.MoveNext())
            rows++;
        RequireSame(rows);
    }

    public void Dispose() => _pool = null;

    private IEnumerable<(Pool Pool, int Slot)> InOrder()
    {
        var one = new Pool(Format, _shape, 1);
        foreach (RowReader reader in Read())
        {
            one.Set(0, reader);
            yield return (one, 0);
        }
    }

    private IEnumerable<(Pool Pool, int Slot)> Shuffled(Random random)
    {
        Pool pool = _pool ??= new Pool(Format, _shape, _poolRows);
        int filled = 0;
        foreach (RowReader reader in Read())
        {
            int slot = filled;
            if (filled < pool.Capacity)
            {
                filled++;
            }
            else
            {
                slot = random.Next(pool.Capacity);
                yield return (pool, slot);
            }
            pool.Set(slot, reader);
        }
        int[] order = [.. Enumerable.Range(0, filled)];
        random.Shuffle(order);
        foreach (int slot in order)
            yield return (pool, slot);
    }

    private IEnumerable<RowReader> Read()
    {
        using var reader = new RowReader(_data, _columns, Format);
        for (long row = 0; reader.MoveNext(); row++)
            if (_split?.Contains(row) != false)
                yield return reader;
    }

    private void RequireSame(long rows)
    {
        if (rows != Count)
            throw new InvalidOperationException(
                $"The data view gave {rows} usable rows in this epoch and {Count} at first; data that are trained on must not change meanwhile.");
    }

    /// <summary>Places for rows.</summary>
    private sealed class Pool(RowFormat format, RowShape shape, int capacity)
    {
        private readonly FeaturePool _features = format.CreatePool(capacity);
        private readonly float[] _labels = new float[(long)capacity * shape.Labels];
        private readonly float[] _weights = new float[shape.IsWeighted ? capacity : 0];

        public int Capacity => capacity;

        public void Set(int slot, RowReader row)
        {
            _features.Set(slot, row.Features);
            row.Labels.CopyTo(_labels.AsSpan(slot * shape.Labels));
            if (shape.IsWeighted)
                _weights[slot] = row.Weight;
        }

        public void Copy(Pool source, int from, int to)
        {
            _features.Set(to, source._features.Row(from));
            source._labels.AsSpan(from * shape.Labels, shape.Labels).CopyTo(_labels.AsSpan(to * shape.Labels));
            if (shape.IsWeighted)
                _weights[to] = source._weights[from];
        }

        public RowBatch ToBatch(int rows) => new(
            _features.ToBatch(rows), shape.Labels == 0 ? null : ToTensor(_labels, rows, shape.Labels),
            shape.IsWeighted ? tensor(_weights.AsSpan(0, rows).ToArray(), device: CPU).DetachFromDisposeScope() : null);

        private static Tensor ToTensor(float[] values, int rows, int width)
        {
            Tensor result = empty([rows, width], ScalarType.Float32, CPU).DetachFromDisposeScope();
            System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan(0, rows * width)).CopyTo(result.bytes);
            return result;
        }
    }
}
