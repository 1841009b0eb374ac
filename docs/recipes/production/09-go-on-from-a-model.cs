#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Go on from a model: new rows come in, and the training begins with the weights that are there.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
var trainer = mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options { NumberOfEpochs = 30, BatchSize = 32 });
using var first = trainer.Fit(Rows(0, 300));
var shorter = mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options { NumberOfEpochs = 3, BatchSize = 32 });
using var second = shorter.Fit(Rows(100, 400), first.Model);
using var fresh = shorter.Fit(Rows(100, 400));
Console.WriteLine($"three epochs from the model are better than from nothing: {Error(second) < Error(fresh)}");

double Error(ITransformer model) => mlContext.Regression.Evaluate(model.Transform(Rows(300, 400))).RootMeanSquaredError;
IDataView Rows(int from, int to) => mlContext.Data.LoadFromEnumerable(Enumerable.Range(from, to - from).Select(i => new Row { Features = [i / 100f], Label = MathF.Sin(i / 50f) }).ToArray());

class Row { [VectorType(1)] public float[] Features = []; public float Label; }
