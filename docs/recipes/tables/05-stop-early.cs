#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Stop early: a fifth of the rows judges each epoch, and the weights of the best one are kept.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
var random = new Random(1);
Row[] rows = [.. Enumerable.Range(0, 300).Select(_ => random.NextSingle()).Select(x => new Row { Features = [x], Label = MathF.Sin(9 * x) + 0.3f * random.NextSingle() })];
using var model = mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
{
    NumberOfEpochs = 200,
    ValidationFraction = 0.2,
    EarlyStoppingPatience = 5,
    LearningRateSchedule = LearningRateSchedule.Constant,
}).Fit(mlContext.Data.LoadFromEnumerable(rows));
NeuralOdeEpochReport best = model.TrainingHistory.MinBy(report => report.ValidationLoss)!;
Console.WriteLine($"Ended before the limit: {model.TrainingHistory.Count < 200}; patience: {model.TrainingHistory.Count - best.Epoch} epochs after the best");

class Row { [VectorType(1)] public float[] Features = []; public float Label; }
