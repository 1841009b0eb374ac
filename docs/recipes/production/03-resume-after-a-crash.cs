#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Resume after a crash: a training that ended in its sixth epoch goes on there, to the same weights as one that never stopped.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

string folder = Directory.CreateTempSubdirectory("recipe-resume").FullName;
IDataView rows = new MLContext().Data.LoadFromEnumerable(Enumerable.Range(0, 300).Select(i => new Row { Features = [i / 300f], Label = MathF.Sin(i / 30f) }).ToArray());
try { Fit(folder, epoch => { if (epoch == 6) throw new InvalidOperationException("the power fails"); }); }
catch (Exception problem) { Console.WriteLine($"{problem.GetType().Name}: training ended"); }
float[] resumed = Fit(folder, epoch => { if (epoch == 6) Console.WriteLine("resumed before epoch 7"); }), whole = Fit(null, _ => { });
Console.WriteLine($"same weights: {resumed.SequenceEqual(whole)}");
Directory.Delete(folder, recursive: true);

float[] Fit(string? checkpoints, Action<int> after)
{
    using var model = new MLContext(1).Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
    {
        NumberOfEpochs = 10, CheckpointFolder = checkpoints, CheckpointInterval = TimeSpan.Zero, EpochCallback = report => after(report.Epoch),
    }).Fit(rows);
    return [.. model.Model.Weights.Values.SelectMany(weights => weights.Values.ToArray())];
}

class Row { [VectorType(1)] public float[] Features = []; public float Label; }
