#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Cancel a training: it ends within a batch, and leaves nothing behind.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
IDataView rows = mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 1000).Select(i => new Row { Features = [i / 1000f], Label = i }).ToArray());
using var stop = new CancellationTokenSource();
var options = new NeuralOdeRegressionTrainer.Options { NumberOfEpochs = 1_000_000, CancellationToken = stop.Token, EpochCallback = report => { if (report.Epoch == 3) stop.Cancel(); } };
try { mlContext.Regression.Trainers.NeuralOde(options).Fit(rows); }
catch (OperationCanceledException) { Console.WriteLine("cancelled after three epochs of a million"); }

class Row { [VectorType(1)] public float[] Features = []; public float Label; }
