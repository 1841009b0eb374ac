#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Predict a number: a smooth function of two inputs, learned from 500 noisy rows.
using Microsoft.ML;
using Microsoft.ML.Data;

var mlContext = new MLContext(seed: 1);
var random = new Random(1);
Row[] rows = [.. Enumerable.Range(0, 500).Select(_ => Row.At(random.NextSingle(), random.NextSingle(), 0.05f * (random.NextSingle() - 0.5f)))];
using var model = mlContext.Regression.Trainers.NeuralOde(numberOfEpochs: 60).Fit(mlContext.Data.LoadFromEnumerable(rows));
using var engine = mlContext.Model.CreatePredictionEngine<Row, Prediction>(model);
foreach ((float x, float y) in new[] { (0.2f, 0.3f), (0.5f, 0.5f), (0.9f, 0.1f) })
    Console.WriteLine($"f({x}, {y}) = {engine.Predict(Row.At(x, y, 0)).Score:F2}, exact {Row.At(x, y, 0).Label:F2}");

class Row
{
    [VectorType(2)] public float[] Features = [];
    public float Label;
    public static Row At(float x, float y, float noise) => new() { Features = [x, y], Label = MathF.Sin(4 * x) * y + noise };
}

class Prediction { public float Score; }
