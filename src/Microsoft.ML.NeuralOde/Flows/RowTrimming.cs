using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>Which rows are left out of a training whose data are known to hold anomalies: those in the emptiest places.</summary>
/// <remarks>
/// How empty the place of a row is, its distance to a neighbour of a certain rank says (S. Ramaswamy, R. Rastogi, K. Shim, Efficient
/// Algorithms for Mining Outliers from Large Data Sets, 2000). The rank is larger than the number of anomalies: however close they lie to
/// each other, they cannot vouch for each other.
/// </remarks>
internal static class RowTrimming
{
    // The rank, in multiples of the rows that are left out.
    private const double Rank = 2;

    // Neighbours are looked for among so many rows at most.
    private const int MostCompared = 8192;

    private const int BatchSize = 1024;

    /// <summary>The numbers of the rows that stay, in their order.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="share">The share that goes.</param>
    /// <param name="orderSeed">Decides which rows are compared with where there are many.</param>
    public static long[] Keep(MemoryRows rows, double share, int orderSeed)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (float[] mean, float[] scale) = rows.Statistics.Features(FeatureNormalization.PerSlot);
        Tensor center = tensor(mean, device: CPU), unit = tensor(scale, device: CPU);
        var parts = new List<Tensor>();
        foreach (RowBatch batch in rows.Batches(BatchSize))
            using (batch)
                parts.Add((batch.Features.ToDense() - center).mul_(unit));
        Tensor all = cat(parts), compared = all;
        if (rows.Count > MostCompared)
        {
            long[] order = MemoryRows.Order(rows.Count, new Random(orderSeed));
            compared = all.index_select(0, tensor(order.AsSpan(0, MostCompared).ToArray(), device: CPU));
        }
        // One more for the row itself.
        long rank = Math.Min(compared.shape[0], 1 + Math.Max(1, (long)Math.Ceiling(Rank * share * compared.shape[0])));
        Tensor norms = compared.Squared().sum(dim: 1L), transposed = compared.t();
        var distances = new List<Tensor>();
        for (long first = 0; first < rows.Count; first += BatchSize)
        {
            using DisposeScope piece = NewDisposeScope();
            Tensor some = all.narrow(0, first, Math.Min(BatchSize, rows.Count - first));
            // |x − y|² without |x|², which the order of a row's neighbours does not need.
            Tensor relative = norms - some.mm(transposed).Times(2);
            Tensor nearest = relative.kthvalue(rank, dim: 1).values;
            distances.Add(nearest.Plus(some.Squared().sum(dim: 1L)).MoveToOuterDisposeScope());
        }
        float[] emptiness = cat(distances).data<float>().ToArray();
        int kept = emptiness.Length - (int)Math.Round(share * emptiness.Length);
        return [.. Enumerable.Range(0, emptiness.Length).OrderBy(row => emptiness[row]).Take(kept).Order().Select(row => (long)row)];
    }
}
