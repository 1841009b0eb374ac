namespace Microsoft.ML.NeuralOde.Samples.Anomalies.Baselines;

/// <summary>
/// Minus the logarithm of a mixture of five Gaussians with full covariances, fitted by expectation and maximisation from the clusters of
/// k-means (A. Dempster, N. Laird, D. Rubin, 1977).
/// </summary>
internal static class GaussianMixture
{
    private const int Most = 5, MostRounds = 100, Seed = 0;
    private const double Tolerance = 1e-3;

    public static double[] Score(float[][] training, float[][] test)
    {
        double[][] rows = ToDouble(training);
        double[][] shares = Clusters.Find(rows, Math.Min(Most, rows.Length), new Random(Seed));
        Gaussian[] parts = [];
        double before = double.NegativeInfinity;
        for (int round = 0; round < MostRounds; round++)
        {
            parts = [.. Enumerable.Range(0, shares[0].Length).Select(k => Gaussian.Fit(rows, [.. shares.Select(share => share[k])]))];
            double now = 0;
            double[] densities = new double[rows.Length];
            Parallel.For(0, rows.Length, i => (shares[i], densities[i]) = Weigh(parts, rows[i]));
            now = densities.Average();
            if (Math.Abs(now - before) < Tolerance)
                break;
            before = now;
        }
        double[][] scored = ToDouble(test);
        var scores = new double[test.Length];
        Parallel.For(0, test.Length, i => scores[i] = -Weigh(parts, scored[i]).LogDensity);
        return scores;
    }

    private static double[][] ToDouble(float[][] rows) => [.. rows.Select(row => row.Select(value => (double)value).ToArray())];

    /// <summary>What each part contributes to a row, and log p of the row.</summary>
    private static (double[] Shares, double LogDensity) Weigh(Gaussian[] parts, double[] row)
    {
        double[] logs = [.. parts.Select(part => part.LogDensity(row))];
        double largest = logs.Max(), logDensity = largest + Math.Log(logs.Sum(log => Math.Exp(log - largest)));
        return ([.. logs.Select(log => Math.Exp(log - logDensity))], logDensity);
    }

    /// <summary>A Gaussian and its share of the rows.</summary>
    private sealed class Gaussian
    {
        // Added to variances, in squares of standard deviations of the features.
        private const double LeastVariance = 1e-6;

        private readonly double[] _mean;
        private readonly double[][] _factor;
        private readonly double _logScale;

        private Gaussian(double share, double[] mean, double[][] factor)
        {
            (_mean, _factor) = (mean, factor);
            _logScale = Math.Log(share) - mean.Length * Math.Log(2 * Math.PI) / 2 - factor.Select((row, i) => Math.Log(row[i])).Sum();
        }

        public static Gaussian Fit(double[][] rows, double[] weights)
        {
            int size = rows[0].Length;
            double all = weights.Sum() + 1e-10;
            var mean = new double[size];
            for (int i = 0; i < rows.Length; i++)
                for (int a = 0; a < size; a++)
                    mean[a] += weights[i] * rows[i][a] / all;
            double[][] covariance = [.. Enumerable.Range(0, size).Select(a => new double[a + 1])];
            Parallel.For(0, size, a =>
            {
                for (int i = 0; i < rows.Length; i++)
                    for (int b = 0; b <= a; b++)
                        covariance[a][b] += weights[i] / all * (rows[i][a] - mean[a]) * (rows[i][b] - mean[b]);
                covariance[a][a] += LeastVariance;
            });
            return new Gaussian(all / rows.Length, mean, Cholesky(covariance));
        }

        /// <summary>The logarithm of share times density.</summary>
        public double LogDensity(double[] row)
        {
            double squares = 0;
            var solved = new double[row.Length];
            for (int a = 0; a < row.Length; a++)
            {
                double rest = row[a] - _mean[a];
                for (int b = 0; b < a; b++)
                    rest -= _factor[a][b] * solved[b];
                solved[a] = rest / _factor[a][a];
                squares += solved[a] * solved[a];
            }
            return _logScale - squares / 2;
        }

        private static double[][] Cholesky(double[][] lower)
        {
            for (int a = 0; a < lower.Length; a++)
                for (int b = 0; b <= a; b++)
                {
                    double rest = lower[a][b];
                    for (int c = 0; c < b; c++)
                        rest -= lower[a][c] * lower[b][c];
                    lower[a][b] = a == b ? Math.Sqrt(Math.Max(rest, LeastVariance)) : rest / lower[b][b];
                }
            return lower;
        }
    }
}
