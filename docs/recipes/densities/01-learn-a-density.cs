#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Learn a density: log p of new rows after training on a Gaussian in two dimensions, beside the exact value.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
var random = new Random(1);
Row[] rows = [.. Enumerable.Range(0, 2000).Select(_ => new Row { Features = [Normal(), 2 * Normal()] })];
using var density = mlContext.Transforms.ContinuousFlowDensity(new ContinuousFlowDensityEstimator.Options { HiddenLayers = [64, 64], BatchSize = 256 }).Fit(mlContext.Data.LoadFromEnumerable(rows));
foreach (float[] point in new float[][] { [0, 0], [1, 2], [2, -2] })
{
    double exact = -Math.Log(2 * Math.PI * 2) - (point[0] * point[0] + point[1] * point[1] / 4) / 2;
    Console.WriteLine($"log p({point[0]}, {point[1]}) = {density.Model.LogDensity(point)[0]:F1}, exact {exact:F1}");
}

float Normal() => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));

class Row { [VectorType(2)] public float[] Features = []; }
