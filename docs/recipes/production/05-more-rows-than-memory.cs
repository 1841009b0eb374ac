#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Train on more rows than fit into memory: they are read as a stream, shuffled in a pool of the size that was allowed.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;

var mlContext = new MLContext(seed: 1);
mlContext.Log += (_, entry) => { if (entry.Message.Contains("read as a stream")) Console.WriteLine("rows are streamed"); };
IDataView rows = mlContext.Data.LoadFromEnumerable(Rows());
var options = new NeuralOdeRegressionTrainer.Options { NumberOfEpochs = 2, MemoryBudgetMegabytes = 1, EncoderLayers = [16], DynamicsLayers = [16] };
using var model = mlContext.Regression.Trainers.NeuralOde(options).Fit(rows);
Console.WriteLine($"R² {mlContext.Regression.Evaluate(model.Transform(rows)).RSquared:F1}");

static IEnumerable<Row> Rows()
{
    for (int i = 0; i < 30_000; i++)
        yield return new Row { Features = [.. Enumerable.Range(1, 16).Select(k => MathF.Sin(i * k * 0.001f))], Label = MathF.Sin(i * 0.001f) };
}

class Row { [VectorType(16)] public float[] Features = []; public float Label; }
