namespace Microsoft.ML.NeuralOde.Data;

/// <summary>
/// Rows whose epochs have a given number of batches, whatever the number of rows: they are gone through as often as it takes, each time in
/// a new order.
/// </summary>
internal sealed class RepeatedRows(ITrainingRows rows, int batchesPerEpoch, int batchSize) : ITrainingRows
{
    /// <summary>The number of rows in an epoch, counted as often as they come.</summary>
    public long Count => (long)batchesPerEpoch * batchSize;

    public RowFormat Format => rows.Format;

    public RowStatistics Statistics => rows.Statistics;

    public IEnumerable<RowBatch> Batches(int batchSize, int? orderSeed = null, long firstBatch = 0, BatchShare share = default)
    {
        // A last batch that is not full is left out: its rows come earlier next time.
        long perPass = Math.Max(1, rows.Count / batchSize);
        for (long done = firstBatch; done < batchesPerEpoch;)
        {
            long pass = done / perPass;
            int? seed = orderSeed is { } first ? unchecked(first + (int)pass * 0x3C6EF372) : null;
            foreach (RowBatch batch in rows.Batches(batchSize, seed, done % perPass, share)
                .Take((int)Math.Min(perPass - done % perPass, batchesPerEpoch - done)))
            {
                done++;
                yield return batch;
            }
        }
    }

    public void Dispose() => rows.Dispose();
}
