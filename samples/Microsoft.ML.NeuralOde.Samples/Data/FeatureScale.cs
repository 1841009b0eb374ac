namespace Microsoft.ML.NeuralOde.Samples.Data;

/// <summary>Means and standard deviations of the features of some rows, by which others are standardised.</summary>
internal sealed class FeatureScale
{
    // A feature that is constant keeps its scale.
    private const double LeastDeviation = 1e-12;

    private readonly double[] _mean, _deviation;

    public FeatureScale(IReadOnlyList<float[]> rows)
    {
        (_mean, _deviation) = (new double[rows[0].Length], new double[rows[0].Length]);
        for (int j = 0; j < _mean.Length; j++)
        {
            double mean = rows.Average(row => (double)row[j]);
            double variance = rows.Average(row => (row[j] - mean) * (row[j] - mean));
            (_mean[j], _deviation[j]) = (mean, Math.Sqrt(variance) is > LeastDeviation and var root ? root : 1);
        }
    }

    public float[][] Apply(IEnumerable<float[]> rows) =>
        [.. rows.Select(row => row.Select((value, j) => (float)((value - _mean[j]) / _deviation[j])).ToArray())];
}
