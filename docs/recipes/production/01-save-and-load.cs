#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Save and load: one zip with the whole pipeline; the loading program registers nothing.
using Microsoft.ML;
using Microsoft.ML.Data;

string file = Path.Combine(Path.GetTempPath(), "recipe-save.zip");
var mlContext = new MLContext(seed: 1);
IDataView rows = mlContext.Data.LoadFromEnumerable(Enumerable.Range(0, 200).Select(i => new Row { Features = [i / 200f], Label = i > 100 }).ToArray());
using (var model = mlContext.BinaryClassification.Trainers.NeuralOde(numberOfEpochs: 20).Fit(rows))
    mlContext.Model.Save(model, rows.Schema, file);

ITransformer loaded = new MLContext().Model.Load(file, out DataViewSchema schema);
using var engine = mlContext.Model.CreatePredictionEngine<Row, Prediction>(loaded, schema);
Console.WriteLine($"0.1: {engine.Predict(new Row { Features = [0.1f] }).PredictedLabel}, 0.9: {engine.Predict(new Row { Features = [0.9f] }).PredictedLabel}");
File.Delete(file);

class Row { [VectorType(1)] public float[] Features = []; public bool Label; }

class Prediction { public bool PredictedLabel; }
