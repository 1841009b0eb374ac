#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Classify texts: hashed words stay sparse, from the column to the first layer.
using Microsoft.ML;

var mlContext = new MLContext(seed: 1);
string[] good = ["a fine film", "great actors", "I loved it", "fine story and great music"], bad = ["a dull film", "poor actors", "I hated it", "dull story and poor music"];
Row[] rows = [.. Enumerable.Repeat(0, 30).SelectMany(_ => good.Select(text => new Row { Text = text, Label = true }).Concat(bad.Select(text => new Row { Text = text })))];
using var model = mlContext.Transforms.Text.TokenizeIntoWords("Words", "Text")
    .Append(mlContext.Transforms.Text.ProduceHashedWordBags("Features", "Words", numberOfBits: 16))
    .Append(mlContext.BinaryClassification.Trainers.NeuralOde(numberOfEpochs: 20)).Fit(mlContext.Data.LoadFromEnumerable(rows));
using var engine = mlContext.Model.CreatePredictionEngine<Row, Prediction>(model);
foreach (string text in new[] { "great story", "a poor and dull film" })
    Console.WriteLine($"{text}: {(engine.Predict(new Row { Text = text }).PredictedLabel ? "good" : "bad")}");

class Row { public string Text = ""; public bool Label; }

class Prediction { public bool PredictedLabel; }
