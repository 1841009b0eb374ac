#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Answer yes or no: points inside of a ring or not, with the probability.
using Microsoft.ML;
using Microsoft.ML.Data;

var mlContext = new MLContext(seed: 1);
IDataView data = mlContext.Data.LoadFromEnumerable(Points(new Random(1), 600));
var split = mlContext.Data.TrainTestSplit(data, 0.25);
using var model = mlContext.BinaryClassification.Trainers.NeuralOde(numberOfEpochs: 30).Fit(split.TrainSet);
var metrics = mlContext.BinaryClassification.Evaluate(model.Transform(split.TestSet));
Console.WriteLine($"accuracy {metrics.Accuracy:F2}, area under the curve {metrics.AreaUnderRocCurve:F2}, log-loss {metrics.LogLoss:F2}");

static IEnumerable<Row> Points(Random random, int count)
{
    for (int i = 0; i < count; i++)
    {
        float x = 4 * random.NextSingle() - 2, y = 4 * random.NextSingle() - 2, radius = x * x + y * y;
        yield return new Row { Features = [x, y], Label = radius is > 0.5f and < 2 };
    }
}

class Row { [VectorType(2)] public float[] Features = []; public bool Label; }
