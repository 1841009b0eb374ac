#:project ../../../src/Microsoft.ML.NeuralOde.Onnx
#:property PublishAot=false
// Export to ONNX: the solver's steps become part of the graph, for ONNX Runtime in any language.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

string file = Path.Combine(Path.GetTempPath(), "recipe.onnx");
var mlContext = new MLContext(seed: 1);
IDataView rows = mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 200).Select(i => new Row { Features = [i / 200f, 1], Label = i > 100 }).ToArray());
using var model = mlContext.BinaryClassification.Trainers.NeuralOde(new NeuralOdeBinaryClassificationTrainer.Options { NumberOfEpochs = 5, ProductionStepSize = 0.25 }).Fit(rows);
model.SaveAsOnnx(file);
Console.WriteLine($"a graph of {new FileInfo(file).Length / 1024} KB");
File.Delete(file);

class Row { [VectorType(2)] public float[] Features = []; public bool Label; }
