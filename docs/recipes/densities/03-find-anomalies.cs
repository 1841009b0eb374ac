#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Find anomalies: learn what rows usually look like, without labels, and score how little others do.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
var random = new Random(1);
Row[] normal = [.. Enumerable.Range(0, 500).Select(_ => random.NextSingle()).Select(x => new Row { Features = [x, x * x + 0.05f * random.NextSingle()] })];
using var detector = mlContext.AnomalyDetection.Trainers.ContinuousFlow(new ContinuousFlowAnomalyTrainer.Options { Contamination = 0.01, HiddenLayers = [64, 64], BatchSize = 256 }).Fit(mlContext.Data.LoadFromEnumerable(normal));
using var engine = mlContext.Model.CreatePredictionEngine<Row, Prediction>(detector);
foreach (float[] row in new float[][] { [0.5f, 0.27f], [0.9f, 0.83f], [0.1f, 0.9f], [3, 3] })
    Console.WriteLine($"({row[0]}, {row[1]}): {(engine.Predict(new Row { Features = row }).PredictedLabel ? "anomaly" : "normal")}");

class Row { [VectorType(2)] public float[] Features = []; }

class Prediction { public bool PredictedLabel; public float Score; }
