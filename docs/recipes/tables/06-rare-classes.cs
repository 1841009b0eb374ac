#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Weigh classes: one row in twenty is positive, and balancing finds more of them at the price of false alarms.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
var random = new Random(1);
IDataView train = mlContext.Data.LoadFromEnumerable(Rows(2000)), test = mlContext.Data.LoadFromEnumerable(Rows(2000));
foreach (ClassWeighting weighting in new[] { ClassWeighting.None, ClassWeighting.Balanced })
{
    using var model = mlContext.BinaryClassification.Trainers.NeuralOde(new NeuralOdeBinaryClassificationTrainer.Options { ClassWeighting = weighting, NumberOfEpochs = 10 }).Fit(train);
    var metrics = mlContext.BinaryClassification.Evaluate(model.Transform(test));
    Console.WriteLine($"{weighting}: recall {metrics.PositiveRecall:F1}, precision {metrics.PositivePrecision:F1}");
}

Row[] Rows(int count) => [.. Enumerable.Range(0, count).Select(i => new Row { Features = [Near(i % 20 == 0 ? 1.5f : 0), Near(0)], Label = i % 20 == 0 })];
float Near(float centre) => centre + random.NextSingle() + random.NextSingle() + random.NextSingle() - 1.5f;

class Row { [VectorType(2)] public float[] Features = []; public bool Label; }
