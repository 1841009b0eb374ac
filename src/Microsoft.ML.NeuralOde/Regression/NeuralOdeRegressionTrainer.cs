using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Regression;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Trains a neural ODE regression of one or several targets: an encoder of linear layers, a block whose output is the solution of an
/// ordinary differential equation with a learned right-hand side, and a linear head; squared error of the targets, each normalised
/// (R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Neural Ordinary
/// Differential Equations, 2018).
/// </summary>
/// <remarks>
/// <para>Created by
/// <see cref="NeuralOdeCatalog.NeuralOde(RegressionCatalog.RegressionTrainers, string, string, string, int, int, double, OdeMethod, double, double, GradientMethod, IDataView)"/>.</para>
/// <list type="table">
/// <item><term>Feature column</term><description>a vector of <see cref="float"/> of known size and any dimensions</description></item>
/// <item><term>Label column</term><description><see cref="float"/>, or a vector of <see cref="float"/> of known size for several
/// targets</description></item>
/// <item><term>Weight column</term><description><see cref="float"/>, if any</description></item>
/// <item><term>Output columns</term><description><c>Score</c>, of the label's type</description></item>
/// <item><term>Normalisation</term><description>part of the model, see
/// <see cref="NeuralOdeTrainerOptions.Normalization"/></description></item>
/// <item><term>Caching</term><description>not needed, see <see cref="NeuralOdeTrainerOptions.MemoryBudgetMegabytes"/></description></item>
/// <item><term>Export to ONNX</term><description>with equal steps, by package Microsoft.ML.NeuralOde.Onnx</description></item>
/// </list>
/// <para>Rows whose label, weight or one of whose features is missing are left out with one warning.</para>
/// </remarks>
/// <example>
/// <code>
/// NeuralOdeRegressionTransformer model = mlContext.Regression.Trainers.NeuralOde(numberOfEpochs: 20).Fit(train);
/// Console.WriteLine(mlContext.Regression.Evaluate(model.Transform(test)).RootMeanSquaredError);
/// </code>
/// </example>
public sealed partial class NeuralOdeRegressionTrainer
    : NeuralOdePredictorTrainer<NeuralOdeRegressionTransformer, NeuralOdeRegressionTrainer.Options>
{
    internal NeuralOdeRegressionTrainer(IHostEnvironment environment, Options options)
        : base(environment, options, static settings => new RegressionPrediction(settings))
    {
    }

    private protected override NeuralOdeRegressionTransformer Create(NeuralOdeModel model, ModelDescription description) =>
        new(Host, model, description);
}
