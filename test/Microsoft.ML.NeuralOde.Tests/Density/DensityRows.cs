using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Density;

/// <summary>A row for flows, with a condition in both of its forms.</summary>
internal sealed class DensityRow
{
    [VectorType(2)]
    public float[] Features { get; set; } = [];

    public float Condition { get; set; }

    public float Weight { get; set; } = 1;

    /// <summary>1 for anomalies: ML.NET evaluates detectors by labels that are numbers.</summary>
    public float Label { get; set; }

    public bool Flag { get; set; }
}

internal sealed class DensityPrediction
{
    public float LogDensity { get; set; }

    public float Score { get; set; }

    public bool PredictedLabel { get; set; }
}

/// <summary>Rows of known densities.</summary>
internal static class DensityRows
{
    /// <summary>A correlated Gaussian of two features of very different scale.</summary>
    public static List<DensityRow> Gaussian(int count, int seed = 1)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ =>
        {
            double a = Normal(random), b = Normal(random);
            return new DensityRow { Features = [(float)(100 + 20 * a), (float)(0.01 * (0.6 * a + 0.8 * b))] };
        })];
    }

    /// <summary>Its log-density.</summary>
    public static double GaussianLogDensity(float[] x)
    {
        double a = (x[0] - 100) / 20, b = (x[1] / 0.01 - 0.6 * a) / 0.8;
        return -0.5 * (a * a + b * b) - Math.Log(2 * Math.PI) - Math.Log(20 * 0.01 * 0.8);
    }

    /// <summary>Features around (c, −c) with standard deviation 0.5, for a condition c that is −2 or 2.</summary>
    public static List<DensityRow> Conditional(int count, int seed = 1)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            float c = i % 2 == 0 ? -2 : 2;
            return new DensityRow { Features = [c + 0.5f * (float)Normal(random), -c + 0.5f * (float)Normal(random)], Condition = c };
        })];
    }

    /// <summary>Two clusters of normal rows; anomalies lie between and around them.</summary>
    public static List<DensityRow> WithAnomalies(int normal, int anomalies, int seed = 1)
    {
        var random = new Random(seed);
        List<DensityRow> rows = [.. Enumerable.Range(0, normal).Select(i =>
            new DensityRow { Features = [(i % 2 * 6) - 3 + 0.5f * (float)Normal(random), 0.5f * (float)Normal(random)] })];
        rows.AddRange(Enumerable.Range(0, anomalies).Select(i =>
            new DensityRow
            {
                Features = i % 2 == 0 ? [0.4f * (float)Normal(random), 0.4f * (float)Normal(random)]
                : [(float)Normal(random), 5 + (float)Normal(random)],
                Label = 1
            }));
        return rows;
    }

    public static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    public static double Mean(IEnumerable<float[]> rows, int slot) => rows.Average(row => (double)row[slot]);

    public static double Deviation(IReadOnlyCollection<float[]> rows, int slot)
    {
        double mean = Mean(rows, slot);
        return Math.Sqrt(rows.Average(row => Math.Pow(row[slot] - mean, 2)));
    }
}
