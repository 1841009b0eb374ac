#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Tell classes apart: three arms of a spiral whose labels are words, with the confusion table.
using Microsoft.ML;
using Microsoft.ML.Data;

var mlContext = new MLContext(seed: 1);
var split = mlContext.Data.TrainTestSplit(mlContext.Data.LoadFromEnumerable(Spiral(new Random(1), 900)), 0.2);
using var model = mlContext.Transforms.Conversion.MapValueToKey("Label")
    .Append(mlContext.MulticlassClassification.Trainers.NeuralOde(numberOfEpochs: 40))
    .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel")).Fit(split.TrainSet);
var metrics = mlContext.MulticlassClassification.Evaluate(model.Transform(split.TestSet));
Console.WriteLine($"accuracy {metrics.MicroAccuracy:F2}");
Console.WriteLine(metrics.ConfusionMatrix.GetFormattedConfusionTable());

static IEnumerable<Row> Spiral(Random random, int count)
{
    for (int i = 0; i < count; i++)
    {
        float along = random.NextSingle(), angle = 4 * along + 2.1f * (i % 3) + 0.2f * random.NextSingle();
        yield return new Row { Features = [along * MathF.Cos(angle), along * MathF.Sin(angle)], Label = new[] { "red", "green", "blue" }[i % 3] };
    }
}

class Row { [VectorType(2)] public float[] Features = []; public string Label = ""; }
