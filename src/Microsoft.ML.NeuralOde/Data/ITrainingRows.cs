namespace Microsoft.ML.NeuralOde.Data;

/// <summary>Some rows as tensors: features in their format, labels <c>[rows, numbers]</c> and weights <c>[rows]</c> in float32.</summary>
internal sealed record RowBatch(FeatureBatch Features, Tensor? Labels, Tensor? Weights) : IDisposable
{
    public long Count => Features.Count;

    /// <summary>How several processes share the batch; by default one has it all.</summary>
    public BatchShare Share { get; init; }

    /// <summary>Where in the batch of all processes these rows begin.</summary>
    public long First { get; init; }

    /// <summary>The rows of the batch of all processes.</summary>
    public long Total { get; init; } = Features.Count;

    /// <summary>Whether these rows are this process's own: no other has any of them.</summary>
    public bool IsOwn { get; init; }

    /// <summary>Whether the one row counts for nothing: it stands here because this process has none in the batch.</summary>
    public bool IsStandIn { get; init; }

    /// <summary>Whether the features are what <see cref="MemoryRows.Map"/> made of those of the data.</summary>
    public bool IsMapped { get; init; }

    public void Dispose()
    {
        Features.Dispose();
        Labels?.Dispose();
        Weights?.Dispose();
    }
}

/// <summary>Rows to train on or to validate with, which hand themselves out in batches any number of times.</summary>
internal interface ITrainingRows : IDisposable
{
    /// <summary>The number of rows.</summary>
    long Count { get; }

    /// <summary>What the features of a row are.</summary>
    RowFormat Format { get; }

    /// <summary>What is known of the rows after one pass.</summary>
    RowStatistics Statistics { get; }

    /// <summary>All rows once, in batches; the caller disposes of each.</summary>
    /// <param name="batchSize">Rows in a batch; the last may have fewer.</param>
    /// <param name="orderSeed">Decides the order; null for that of the data.</param>
    /// <param name="firstBatch">Batches to leave out in front: those that were seen before an interruption.</param>
    /// <param name="share">Which rows of each batch are wanted.</param>
    IEnumerable<RowBatch> Batches(int batchSize, int? orderSeed = null, long firstBatch = 0, BatchShare share = default);

    /// <summary>The same rows, where batches are made on a device; these here are of no use any more.</summary>
    ITrainingRows MoveTo(Device device) => this;

    /// <summary>How many of the rows are at hand, where several processes hold them.</summary>
    long HeldCount => Count;

    /// <summary>
    /// Numbers that were made of the rows at hand, with those of all others behind or in front of them: the same for all processes.
    /// </summary>
    float[] Unite(float[] numbers) => numbers;
}

/// <summary>Rows that can be handed out in batches of any sizes.</summary>
internal interface IDivisibleRows : ITrainingRows
{
    /// <summary>Rows one after the other, in batches of given sizes, none of them empty; the caller disposes of each.</summary>
    /// <param name="sizes">The sizes, together those of the rows behind the first one.</param>
    /// <param name="usualSize">About how many rows the batches have.</param>
    /// <param name="orderSeed">Decides the order; null for that of the data.</param>
    /// <param name="firstRow">How many rows to leave out in front.</param>
    IEnumerable<RowBatch> Cut(IEnumerable<int> sizes, int usualSize, int? orderSeed, long firstRow);
}
