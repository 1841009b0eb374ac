using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>Points of the plane in three clouds that hardly overlap.</summary>
internal static class Blobs
{
    private static readonly (string Name, double X, double Y)[] Centres = [("red", 0, 2), ("green", -2, -1), ("blue", 2, -1)];

    public static List<Point> Rows(int count, int seed = 1)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            (string name, double x, double y) = Centres[i % Centres.Length];
            return new Point { Label = name, Features = [(float)(x + Noise(random)), (float)(y + Noise(random))], Id = i };
        })];
    }

    public static IDataView View(MLContext mlContext, IEnumerable<Point> rows) => mlContext.Data.LoadFromEnumerable(rows);

    private static double Noise(Random random) =>
        0.35 * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}

internal sealed class Point
{
    public string Label { get; set; } = "";

    [VectorType(2)]
    public float[] Features { get; set; } = [];

    public int Id { get; set; }

    public float Weight { get; set; } = 1;
}

internal sealed class PointPrediction
{
    public string PredictedLabel { get; set; } = "";

    public float[] Score { get; set; } = [];

    public int Id { get; set; }
}
