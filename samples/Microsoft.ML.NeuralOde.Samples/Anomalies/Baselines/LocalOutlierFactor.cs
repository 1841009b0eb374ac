namespace Microsoft.ML.NeuralOde.Samples.Anomalies.Baselines;

/// <summary>
/// How much thinner rows lie than their neighbours do (M. Breunig, H.-P. Kriegel, R. Ng, J. Sander, LOF: Identifying Density-Based Local
/// Outliers, 2000), with 20 neighbours.
/// </summary>
internal static class LocalOutlierFactor
{
    private const int Count = 20;

    // Where neighbours coincide.
    private const double LeastReach = 1e-10;

    public static double[] Score(float[][] training, float[][] test)
    {
        int count = Math.Min(Count, training.Length - 1);
        Neighbours among = Neighbours.Find(training, training, count, areSame: true);
        float[] radius = [.. among.Distances.Select(row => row[^1])];
        double[] densities = Densities(among, radius);
        Neighbours around = Neighbours.Find(training, test, count, areSame: false);
        double[] own = Densities(around, radius);
        return [.. around.Places.Select((places, row) => places.Average(place => densities[place]) / own[row])];
    }

    /// <summary>One over the mean distance to the neighbours, no distance being less than the neighbour's own radius.</summary>
    private static double[] Densities(Neighbours neighbours, float[] radius) =>
        [.. neighbours.Places.Select((places, row) =>
            1 / (places.Select((place, i) => (double)Math.Max(radius[place], neighbours.Distances[row][i])).Average() + LeastReach))];
}
