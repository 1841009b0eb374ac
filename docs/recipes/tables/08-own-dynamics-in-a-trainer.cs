#:project ../../../src/Microsoft.ML.NeuralOde
#:property PublishAot=false
// Bring dynamics to a trainer: a rotation whose speed is learned, saved with the model and known by its name when it is loaded.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;
using TorchSharp;
using static TorchSharp.torch;

var mlContext = new MLContext(seed: 1);
Row[] rows = [.. Enumerable.Range(0, 200).Select(i => new Row { Features = [i / 100f - 1, i % 7 / 7f], Label = MathF.Sin(i / 50f) })];
var rotation = NeuralOdeDynamics.FromModule("rotation", size => new Rotation(size));
var options = new NeuralOdeRegressionTrainer.Options { EncoderLayers = [32, 8], Dynamics = rotation, NumberOfEpochs = 60, BatchSize = 32 };
using var model = mlContext.Regression.Trainers.NeuralOde(options).Fit(mlContext.Data.LoadFromEnumerable(rows));
Console.WriteLine($"R² {mlContext.Regression.Evaluate(model.Transform(mlContext.Data.LoadFromEnumerable(rows))).RSquared:F1}, {model.Model.ParameterCount} weights");

class Row { [VectorType(2)] public float[] Features = []; public float Label; }

sealed class Rotation : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly TorchSharp.Modules.Parameter _speed;
    public Rotation(long size) : base("rotation") { _speed = new(ones(size)); RegisterComponents(); }
    public override Tensor forward(Tensor t, Tensor y) => _speed * y.roll(1, -1);
}
