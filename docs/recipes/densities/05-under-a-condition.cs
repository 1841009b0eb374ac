#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Learn a density under a condition: what is usual depends on the load, and samples ask for one.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
var random = new Random(1);
Row[] rows = [.. Enumerable.Range(0, 2000).Select(_ => random.NextSingle()).Select(load => new Row { Load = [load], Features = [20 + 60 * load + 5 * random.NextSingle()] })];
var options = new ContinuousFlowDensityEstimator.Options { ConditionColumnName = "Load", HiddenLayers = [64, 64], BatchSize = 256 };
using var density = mlContext.Transforms.ContinuousFlowDensity(options).Fit(mlContext.Data.LoadFromEnumerable(rows));
foreach (float load in new[] { 0.2f, 0.8f })
{
    double mean = density.Model.Sample(1000, [load], seed: 3).Average(row => row[0]);
    Console.WriteLine($"load {load}: {mean:F0} degrees on average, exact {20 + 60 * load + 2.5:F0}");
}

class Row { [VectorType(1)] public float[] Features = []; [VectorType(1)] public float[] Load = []; }
