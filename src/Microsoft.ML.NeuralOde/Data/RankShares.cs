namespace Microsoft.ML.NeuralOde.Data;

/// <summary>A process's part of a batch to which several processes bring rows of their own.</summary>
/// <param name="Start">Where in the rows of this process it begins.</param>
/// <param name="Count">How many rows this process brings; none where others bring all.</param>
/// <param name="First">Where in the batch they stand, the rows of processes before this one in front.</param>
/// <param name="Total">How many rows the batch has.</param>
internal readonly record struct OwnPart(long Start, int Count, long First, long Total);

/// <summary>
/// How the rows that several processes hold make up batches: each batch has as many of a process as the process has of all, up to one row,
/// so that every row comes once in an epoch, and nobody waits for long.
/// </summary>
/// <param name="rows">The number of rows of each process.</param>
/// <param name="rank">This process.</param>
internal sealed class RankShares(IReadOnlyList<long> rows, int rank)
{
    /// <summary>The rows of all processes.</summary>
    public long Total { get; } = rows.Sum();

    /// <summary>The rows of this process.</summary>
    public long Held => rows[rank];

    /// <summary>The parts of this process in all batches of an epoch.</summary>
    /// <param name="batchSize">Rows in a batch; the last may have fewer.</param>
    public IEnumerable<OwnPart> Parts(int batchSize)
    {
        long[] given = new long[rows.Count];
        for (long done = 0; done < Total;)
        {
            long total = Math.Min(batchSize, Total - done), start = given[rank];
            long[] before = [.. given];
            for (long end = done + total; done < end; done++)
                given[Next(given, done)]++;
            long first = Enumerable.Range(0, rank).Sum(other => given[other] - before[other]);
            yield return new OwnPart(start, (int)(given[rank] - start), first, total);
        }
    }

    /// <summary>The process that is furthest behind its share of the rows so far, of equal ones the first.</summary>
    private int Next(long[] given, long done)
    {
        int furthest = -1;
        double most = double.NegativeInfinity;
        for (int process = 0; process < given.Length; process++)
        {
            // Proportions of whole numbers below 2^53.
            double behind = (double)rows[process] * (done + 1) / Total - given[process];
            if (given[process] < rows[process] && behind > most)
                (furthest, most) = (process, behind);
        }
        return furthest;
    }
}
