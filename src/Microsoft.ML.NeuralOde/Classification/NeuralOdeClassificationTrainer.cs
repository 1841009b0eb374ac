using Microsoft.ML.NeuralOde.Classification;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Trains a neural ODE classifier: an encoder of linear layers, a block whose output is the solution of an ordinary differential equation
/// with a learned right-hand side, and a linear head; cross-entropy
/// (R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Neural Ordinary
/// Differential Equations, 2018).
/// </summary>
/// <remarks>
/// <para>Created by
/// <see cref="NeuralOdeCatalog.NeuralOde(MulticlassClassificationCatalog.MulticlassClassificationTrainers, string, string, string, int, int, double, OdeMethod, double, double, GradientMethod, IDataView)"/>.</para>
/// <list type="table">
/// <item><term>Feature column</term><description>a vector of <see cref="float"/> of known size and any dimensions</description></item>
/// <item><term>Label column</term><description>a key</description></item>
/// <item><term>Weight column</term><description><see cref="float"/>, if any</description></item>
/// <item><term>Output columns</term><description><c>PredictedLabel</c>, a key with the label's values; <c>Score</c>, the probability of
/// each class</description></item>
/// <item><term>Normalisation</term><description>part of the model, see
/// <see cref="NeuralOdeTrainerOptions.Normalization"/></description></item>
/// <item><term>Caching</term><description>not needed, see <see cref="NeuralOdeTrainerOptions.MemoryBudgetMegabytes"/></description></item>
/// <item><term>Export to ONNX</term><description>with equal steps, by package Microsoft.ML.NeuralOde.Onnx</description></item>
/// </list>
/// <para>Rows whose label, weight or one of whose features is missing are left out with one warning.</para>
/// </remarks>
/// <example>
/// <code>
/// var pipeline = mlContext.Transforms.Conversion.MapValueToKey("Label")
///     .Append(mlContext.MulticlassClassification.Trainers.NeuralOde(numberOfEpochs: 20))
///     .Append(mlContext.Transforms.Conversion.MapKeyToValue("PredictedLabel"));
/// ITransformer model = pipeline.Fit(train);
/// Console.WriteLine(mlContext.MulticlassClassification.Evaluate(model.Transform(test)).MicroAccuracy);
/// </code>
/// </example>
public sealed partial class NeuralOdeClassificationTrainer
    : NeuralOdePredictorTrainer<NeuralOdeClassificationTransformer, NeuralOdeClassificationTrainer.Options>
{
    internal NeuralOdeClassificationTrainer(IHostEnvironment environment, Options options)
        : base(environment, options,
            static settings => new MulticlassPrediction(settings, settings.PredictedLabelColumnName, settings.ClassWeighting))
    {
    }

    private protected override NeuralOdeClassificationTransformer Create(NeuralOdeModel model, ModelDescription description) =>
        new(Host, model, description);
}
