using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Rows that are held in memory, read once.</summary>
internal sealed class MemoryRows : ITrainingRows
{
    private readonly Tensor _features;
    private readonly Tensor? _labels;
    private readonly Tensor? _weights;

    public MemoryRows(Tensor features, Tensor? labels, Tensor? weights, RowStatistics statistics)
    {
        _features = features;
        _labels = labels;
        _weights = weights;
        Statistics = statistics;
    }

    public long Count => _features.shape[0];

    public RowStatistics Statistics { get; }

    public IEnumerable<RowBatch> Batches(int batchSize, int? orderSeed = null, long firstBatch = 0)
    {
        using Tensor? order = orderSeed is { } seed ? tensor(Order(Count, new Random(seed)), device: _features.device) : null;
        for (long first = firstBatch * batchSize; first < Count; first += batchSize)
        {
            long size = Math.Min(batchSize, Count - first);
            if (order is null)
            {
                yield return new RowBatch(_features.narrow(0, first, size), _labels?.narrow(0, first, size), _weights?.narrow(0, first, size));
                continue;
            }
            using Tensor rows = order.narrow(0, first, size);
            yield return Take(rows);
        }
    }

    /// <summary>Two parts: as many rows as are asked for, drawn at random, and the others.</summary>
    public (MemoryRows Front, MemoryRows Back) Split(long front, Random random)
    {
        long[] order = Order(Count, random);
        return (Part(order.AsSpan(0, (int)front)), Part(order.AsSpan((int)front)));
    }

    /// <summary>The same rows on a device; these here are disposed of.</summary>
    public MemoryRows MoveTo(Device device)
    {
        if (device.type == _features.device_type)
            return this;
        var moved = new MemoryRows(
            _features.to(device).DetachFromDisposeScope(), _labels?.to(device).DetachFromDisposeScope(), _weights?.to(device).DetachFromDisposeScope(), Statistics);
        Dispose();
        return moved;
    }

    public void Dispose()
    {
        _features.Dispose();
        _labels?.Dispose();
        _weights?.Dispose();
    }

    /// <summary>The statistics of rows whose tensors lie in the host's memory.</summary>
    public static RowStatistics StatisticsOf(Tensor features, Tensor? labels, Tensor? weights)
    {
        var shape = new RowShape((int)features.shape[1], (int)(labels?.shape[1] ?? 0), weights is not null);
        var statistics = new RowStatistics(shape);
        long count = features.shape[0];
        // A span reaches over 2 GiB at most: a piece at a time.
        long piece = Math.Max(1, (1L << 28) / Math.Max(1, shape.Features));
        for (long first = 0; first < count; first += piece)
        {
            long size = Math.Min(piece, count - first);
            using Tensor x = features.narrow(0, first, size);
            using Tensor? y = labels?.narrow(0, first, size);
            using Tensor? w = weights?.narrow(0, first, size);
            ReadOnlySpan<float> xs = Values(x), ys = y is null ? default : Values(y), ws = w is null ? default : Values(w);
            for (int i = 0; i < size; i++)
                statistics.Add(xs.Slice(i * shape.Features, shape.Features), ys.Slice(i * shape.Labels, shape.Labels), w is null ? 1 : ws[i]);
        }
        return statistics;
    }

    private static ReadOnlySpan<float> Values(Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes);

    private static long[] Order(long count, Random random)
    {
        long[] order = new long[count];
        for (long i = 0; i < count; i++)
            order[i] = i;
        random.Shuffle(order);
        return order;
    }

    private MemoryRows Part(ReadOnlySpan<long> rows)
    {
        using Tensor index = tensor(rows.ToArray(), device: _features.device);
        RowBatch part = Take(index);
        return new MemoryRows(part.Features, part.Labels, part.Weights, StatisticsOf(part.Features, part.Labels, part.Weights));
    }

    private RowBatch Take(Tensor rows) => new(
        _features.index_select(0, rows).DetachFromDisposeScope(), _labels?.index_select(0, rows).DetachFromDisposeScope(),
        _weights?.index_select(0, rows).DetachFromDisposeScope());
}
