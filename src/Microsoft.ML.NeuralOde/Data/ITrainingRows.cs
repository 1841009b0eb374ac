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
}
