#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Predict several numbers: a label that is a vector, each target normalised by itself.
using Microsoft.ML;
using Microsoft.ML.Data;

var mlContext = new MLContext(seed: 1);
var random = new Random(1);
Row[] rows = [.. Enumerable.Range(0, 500).Select(_ => Row.At(3 * random.NextSingle()))];
using var model = mlContext.Regression.Trainers.NeuralOde(numberOfEpochs: 60).Fit(mlContext.Data.LoadFromEnumerable(rows));
using var engine = mlContext.Model.CreatePredictionEngine<Row, Prediction>(model);
float[] scores = engine.Predict(Row.At(1)).Score;
Console.WriteLine($"sin 1 = {scores[0]:F2} ({Math.Sin(1):F2}), 1000 cos 1 = {scores[1]:F0} ({1000 * Math.Cos(1):F0})");

class Row
{
    [VectorType(1)] public float[] Features = [];
    [VectorType(2)] public float[] Label = [];
    public static Row At(float x) => new() { Features = [x], Label = [MathF.Sin(x), 1000 * MathF.Cos(x)] };
}

class Prediction { [VectorType(2)] public float[] Score = []; }
