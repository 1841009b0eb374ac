#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Move the threshold: more or fewer alarms from the same detector, without a new training.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
var random = new Random(1);
IDataView rows = mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 400).Select(_ => new Row { Features = [random.NextSingle(), random.NextSingle()] }).ToArray());
using var detector = mlContext.AnomalyDetection.Trainers.ContinuousFlow(new ContinuousFlowAnomalyTrainer.Options { NumberOfEpochs = 10, HiddenLayers = [64, 64], BatchSize = 256 }).Fit(rows);
foreach (double share in new[] { 0.01, 0.05, 0.2 })
{
    // It shares its weights with the first, which are freed when both are disposed of.
    using var changed = mlContext.AnomalyDetection.ChangeModelContamination(detector, share);
    int alarms = mlContext.Data.CreateEnumerable<Prediction>(changed.Transform(rows), false).Count(row => row.PredictedLabel);
    Console.WriteLine($"contamination {share}: {alarms} alarms among the 400 training rows");
}

class Row { [VectorType(2)] public float[] Features = []; }

class Prediction { public bool PredictedLabel; }
