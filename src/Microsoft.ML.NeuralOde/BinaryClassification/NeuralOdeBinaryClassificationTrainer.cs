using Microsoft.ML.NeuralOde.BinaryClassification;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Trains a neural ODE classifier for two classes: an encoder of linear layers, a block whose output is the solution of an ordinary
/// differential equation with a learned right-hand side, and a linear head with one output, the logarithm of the odds of true;
/// cross-entropy (R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Neural Ordinary
/// Differential Equations, 2018).
/// </summary>
/// <remarks>
/// <para>Created by
/// <see cref="NeuralOdeCatalog.NeuralOde(BinaryClassificationCatalog.BinaryClassificationTrainers, string, string, string, int, int, double, OdeMethod, double, double, GradientMethod, IDataView)"/>.</para>
/// <list type="table">
/// <item><term>Feature column</term><description>a vector of <see cref="float"/> of known size and any dimensions</description></item>
/// <item><term>Label column</term><description><see cref="bool"/></description></item>
/// <item><term>Weight column</term><description><see cref="float"/>, if any</description></item>
/// <item><term>Output columns</term><description><c>PredictedLabel</c>, <see cref="bool"/>; <c>Score</c>, the logarithm of the odds;
/// <c>Probability</c> of true</description></item>
/// <item><term>Normalisation</term><description>part of the model, see
/// <see cref="NeuralOdeTrainerOptions.Normalization"/></description></item>
/// <item><term>Caching</term><description>not needed, see <see cref="NeuralOdeTrainerOptions.MemoryBudgetMegabytes"/></description></item>
/// <item><term>Export to ONNX</term><description>with equal steps, by package Microsoft.ML.NeuralOde.Onnx</description></item>
/// </list>
/// <para>Rows whose label, weight or one of whose features is missing are left out with one warning.</para>
/// </remarks>
/// <example>
/// <code>
/// NeuralOdeBinaryClassificationTransformer model = mlContext.BinaryClassification.Trainers.NeuralOde(numberOfEpochs: 20).Fit(train);
/// Console.WriteLine(mlContext.BinaryClassification.Evaluate(model.Transform(test)).AreaUnderRocCurve);
/// </code>
/// </example>
public sealed partial class NeuralOdeBinaryClassificationTrainer
    : NeuralOdePredictorTrainer<NeuralOdeBinaryClassificationTransformer, NeuralOdeBinaryClassificationTrainer.Options>
{
    internal NeuralOdeBinaryClassificationTrainer(IHostEnvironment environment, Options options)
        : base(environment, options, static settings => new BinaryPrediction(
            settings, settings.PredictedLabelColumnName, settings.ProbabilityColumnName, settings.ClassWeighting))
    {
    }

    private protected override NeuralOdeBinaryClassificationTransformer Create(NeuralOdeModel model, ModelDescription description) =>
        new(Host, model, description);
}
