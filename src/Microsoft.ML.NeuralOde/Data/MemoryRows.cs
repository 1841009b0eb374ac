namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Rows that are held in memory, read once.</summary>
internal sealed class MemoryRows : IDivisibleRows
{
    private const long MappedAtOnce = 8192;

    private readonly FeatureStore _features;
    private readonly Tensor? _labels;
    private readonly Tensor? _weights;

    public MemoryRows(RowFormat format, FeatureStore features, Tensor? labels, Tensor? weights, RowStatistics statistics)
    {
        Format = format;
        _features = features;
        _labels = labels;
        _weights = weights;
        Statistics = statistics;
    }

    public long Count => _features.Count;

    public RowFormat Format { get; }

    public RowStatistics Statistics { get; }

    /// <summary>Whether the features are what <see cref="Map"/> made of those of the data.</summary>
    public bool IsMapped { get; private init; }

    /// <summary>Rows in the host's memory, with their statistics.</summary>
    public static MemoryRows Of(RowFormat format, FeatureStore features, Tensor? labels, Tensor? weights) =>
        new(format, features, labels, weights, StatisticsOf(format, features, labels, weights));

    public IEnumerable<RowBatch> Batches(int batchSize, int? orderSeed = null, long firstBatch = 0, BatchShare share = default)
    {
        long[] order = [];
        if (orderSeed is { } seed)
        {
            var random = new Random(seed);
            order = Order(Count, random);
            _features.Arrange(order, batchSize, random);
        }
        using Tensor? index = orderSeed is null ? null : tensor(order, device: _features.Device);
        for (long start = firstBatch * batchSize; start < Count; start += batchSize)
        {
            long total = Math.Min(batchSize, Count - start);
            (long inBatch, long size) = share.Of(total);
            long first = start + inBatch;
            if (index is null)
            {
                yield return new RowBatch(_features.Slice(first, size), _labels?.narrow(0, first, size), _weights?.narrow(0, first, size))
                {
                    Share = share,
                    First = inBatch,
                    Total = total,
                    IsMapped = IsMapped,
                };
                continue;
            }
            using Tensor rows = index.narrow(0, first, size);
            yield return new RowBatch(_features.Take(order.AsSpan((int)first, (int)size), rows), Take(_labels, rows), Take(_weights, rows))
            {
                Share = share,
                First = inBatch,
                Total = total,
                IsMapped = IsMapped,
            };
        }
    }

    public IEnumerable<RowBatch> Cut(IEnumerable<int> sizes, int usualSize, int? orderSeed, long firstRow)
    {
        Random? random = orderSeed is { } seed ? new Random(seed) : null;
        long[] order = Order(Count, random);
        if (random is not null)
            _features.Arrange(order, Math.Max(1, usualSize), random);
        using Tensor index = tensor(order, device: _features.Device);
        long first = firstRow;
        foreach (int size in sizes)
        {
            using Tensor rows = index.narrow(0, first, size);
            yield return new RowBatch(_features.Take(order.AsSpan((int)first, size), rows), Take(_labels, rows), Take(_weights, rows))
            {
                IsMapped = IsMapped,
            };
            first += size;
        }
    }

    /// <summary>Two parts: as many rows as are asked for, drawn at random, and the others.</summary>
    public (MemoryRows Front, MemoryRows Back) Split(long front, Random random)
    {
        long[] order = Order(Count, random);
        return (Part(order.AsSpan(0, (int)front)), Part(order.AsSpan((int)front)));
    }

    /// <summary>Some of the rows, with statistics of their own.</summary>
    /// <param name="rows">Their numbers.</param>
    public MemoryRows Select(ReadOnlySpan<long> rows) => Part(rows);

    /// <summary>
    /// As many rows of as many features, which a function makes of these; labels, weights and statistics stay as they are.
    /// </summary>
    /// <param name="map">Makes rows, <c>[rows, features]</c>, of rows in that shape.</param>
    public MemoryRows Map(Func<Tensor, Tensor> map)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor mapped = empty([Count, Format.Width], ScalarType.Float32, _features.Device);
        for (long first = 0; first < Count; first += MappedAtOnce)
        {
            using DisposeScope piece = NewDisposeScope();
            long size = Math.Min(MappedAtOnce, Count - first);
            using FeatureBatch batch = _features.Slice(first, size);
            mapped.narrow(0, first, size).copy_(map(batch.ToDense()));
        }
        FeatureStore store = new DenseFormat(Format.Width).StoreOf(mapped.DetachFromDisposeScope());
        return new MemoryRows(
            Format, store, _labels?.alias().DetachFromDisposeScope(), _weights?.alias().DetachFromDisposeScope(), Statistics)
        {
            IsMapped = true,
        };
    }

    /// <summary>The same rows on a device; these here are disposed of.</summary>
    public MemoryRows MoveTo(Device device)
    {
        FeatureStore features = _features.MoveTo(device);
        if (features == _features)
            return this;
        var moved = new MemoryRows(
            Format, features, _labels?.to(device).DetachFromDisposeScope(), _weights?.to(device).DetachFromDisposeScope(), Statistics)
        {
            IsMapped = IsMapped,
        };
        Dispose();
        return moved;
    }

    ITrainingRows ITrainingRows.MoveTo(Device device) => MoveTo(device);

    public void Dispose()
    {
        _features.Dispose();
        _labels?.Dispose();
        _weights?.Dispose();
    }

    private static RowStatistics StatisticsOf(RowFormat format, FeatureStore features, Tensor? labels, Tensor? weights)
    {
        var shape = new RowShape(format.Width, (int)(labels?.shape[1] ?? 0), weights is not null);
        var statistics = new RowStatistics(format, shape);
        float[] ys = Values(labels), ws = Values(weights);
        features.Visit((row, x) => statistics.Add(x, ys.AsSpan((int)row * shape.Labels, shape.Labels), weights is null ? 1 : ws[row]));
        return statistics;
    }

    private static float[] Values(Tensor? tensor) => tensor is null ? [] : tensor.data<float>().ToArray();

    /// <summary>The numbers of rows, from 0 on or, with a source of randomness, in an order that it draws.</summary>
    public static long[] Order(long count, Random? random)
    {
        long[] order = new long[count];
        for (long i = 0; i < count; i++)
            order[i] = i;
        random?.Shuffle(order);
        return order;
    }

    private MemoryRows Part(ReadOnlySpan<long> rows)
    {
        using Tensor index = tensor(rows.ToArray(), device: _features.Device);
        return Of(Format, _features.Select(rows, index), Take(_labels, index), Take(_weights, index));
    }

    private static Tensor? Take(Tensor? from, Tensor rows) => from?.index_select(0, rows).DetachFromDisposeScope();
}
