namespace Microsoft.ML.NeuralOde.Samples.Anomalies.Baselines;

/// <summary>A usual detector of anomalies, to compare with.</summary>
/// <param name="Name">Its name, as in the tables of results.</param>
/// <param name="Score">The scores of test rows after a look at training rows, both standardised; the higher, the stranger.</param>
internal sealed record Baseline(string Name, Func<float[][], float[][], double[]> Score)
{
    // A feature that is constant keeps its scale.
    private const double LeastDeviation = 1e-12;

    /// <summary>Nearest neighbours, local outlier factor, kernel density and mixture of Gaussians.</summary>
    public static IReadOnlyList<Baseline> All { get; } =
    [
        new("KNN5", Neighbours.MeanDistance), new("LOF20", LocalOutlierFactor.Score), new("KDE", KernelDensity.Score),
        new("GMM5", GaussianMixture.Score),
    ];

    /// <summary>The area under the ROC curve on the test rows.</summary>
    public double Evaluate(AnomalySplit split)
    {
        (double[] mean, double[] deviation) = Moments([.. split.Training.Select(row => row.Features)]);
        double[] scores = Score(Standardized(split.Training, mean, deviation), Standardized(split.Test, mean, deviation));
        return Auroc.Of(scores, [.. split.Test.Select(row => row.Label != 0)]);
    }

    private static (double[] Mean, double[] Deviation) Moments(float[][] rows)
    {
        double[] mean = new double[rows[0].Length], deviation = new double[mean.Length];
        for (int j = 0; j < mean.Length; j++)
        {
            mean[j] = rows.Average(row => (double)row[j]);
            double variance = rows.Average(row => (row[j] - mean[j]) * (row[j] - mean[j]));
            deviation[j] = Math.Sqrt(variance) is > LeastDeviation and var root ? root : 1;
        }
        return (mean, deviation);
    }

    private static float[][] Standardized(IReadOnlyList<AnomalyRow> rows, double[] mean, double[] deviation) =>
        [.. rows.Select(row => row.Features.Select((value, j) => (float)((value - mean[j]) / deviation[j])).ToArray())];
}
