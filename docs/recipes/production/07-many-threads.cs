#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Score on many threads: one model, an engine for each thread, the same bits everywhere.
using Microsoft.ML;
using Microsoft.ML.Data;

var mlContext = new MLContext(seed: 1);
Row[] rows = [.. Enumerable.Range(0, 400).Select(i => new Row { Features = [i / 400f], Label = MathF.Sin(i / 40f) })];
using var model = mlContext.Regression.Trainers.NeuralOde(numberOfEpochs: 5).Fit(mlContext.Data.LoadFromEnumerable(rows));
float[][] scores = new float[4][];
Parallel.For(0, 4, thread =>
{
    using var engine = mlContext.Model.CreatePredictionEngine<Row, Prediction>(model, new PredictionEngineOptions { OwnsTransformer = false });
    scores[thread] = [.. rows.Select(row => engine.Predict(row).Score)];
});
Console.WriteLine($"equal on all threads: {scores.All(all => all.SequenceEqual(scores[0]))}");

class Row { [VectorType(1)] public float[] Features = []; public float Label; }

class Prediction { public float Score; }
