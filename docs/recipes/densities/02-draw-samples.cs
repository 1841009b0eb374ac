#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Draw new rows: learn a ring and sample from it; the radii of the samples are those of the data.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
var random = new Random(1);
Row[] rows = [.. Enumerable.Range(0, 1000).Select(_ => Row.OnRing(6.2832 * random.NextDouble(), 1 + 0.1 * random.NextDouble()))];
using var density = mlContext.Transforms.ContinuousFlowDensity(new ContinuousFlowDensityEstimator.Options { HiddenLayers = [64, 64], BatchSize = 256 }).Fit(mlContext.Data.LoadFromEnumerable(rows));
IDataView samples = density.Sample(1000, seed: 2);
double[] radii = [.. mlContext.Data.CreateEnumerable<Row>(samples, false).Select(row => Math.Sqrt(row.Features.Sum(x => x * x)))];
Console.WriteLine($"radius {radii.Average():F1} on average, {radii.Count(r => r is > 0.8 and < 1.3) / 10} % near the ring");

class Row
{
    [VectorType(2)] public float[] Features = [];
    public static Row OnRing(double angle, double radius) => new() { Features = [(float)(radius * Math.Cos(angle)), (float)(radius * Math.Sin(angle))] };
}
