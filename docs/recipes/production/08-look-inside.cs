#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Look inside: layers, weights and solver of a model, also of one that comes from a file.
using Microsoft.ML;
using Microsoft.ML.Data;

var mlContext = new MLContext(seed: 1);
IDataView rows = mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 50).Select(i => new Row { Features = [i, -i], Label = i }).ToArray());
using var model = mlContext.Regression.Trainers.NeuralOde(numberOfEpochs: 1).Fit(rows);
Console.WriteLine(model.Model.Summary);
Console.WriteLine($"{model.Model.Weights["head.bias"].Values.Count} weight in head.bias");

class Row { [VectorType(2)] public float[] Features = []; public float Label; }
