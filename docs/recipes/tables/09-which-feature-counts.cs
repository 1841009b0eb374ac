#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Ask which feature counts: permutation importance, as of any trainer of ML.NET.
using Microsoft.ML;
using Microsoft.ML.Data;

var mlContext = new MLContext(seed: 1);
var random = new Random(1);
Row[] rows = [.. Enumerable.Range(0, 400).Select(_ => Row.Of(random.NextSingle(), random.NextSingle(), random.NextSingle()))];
IDataView data = mlContext.Data.LoadFromEnumerable(rows);
using var model = mlContext.Regression.Trainers.NeuralOde(numberOfEpochs: 30).Fit(data);
var importance = mlContext.Regression.PermutationFeatureImportance(model, data, permutationCount: 3);
for (int slot = 0; slot < importance.Length; slot++)
    Console.WriteLine($"feature {slot}: R² falls by {-importance[slot].RSquared.Mean:F1}");

class Row
{
    [VectorType(3)] public float[] Features = [];
    public float Label;
    public static Row Of(float a, float b, float c) => new() { Features = [a, b, c], Label = 5 * a * a + b };
}
