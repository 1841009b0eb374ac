using Microsoft.ML.NeuralOde.Classification;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.Runtime;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Trains a neural ODE classifier: an encoder of linear layers, a block whose output is the solution of an ordinary differential equation with a
/// learned right-hand side, and a linear head; cross-entropy
/// (R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Neural Ordinary
/// Differential Equations, 2018).
/// </summary>
/// <remarks>
/// <para>Created by <see cref="NeuralOdeCatalog.NeuralOde(MulticlassClassificationCatalog.MulticlassClassificationTrainers, string, string, string, int, int, double, OdeMethod, double, double, GradientMethod, IDataView)"/>.</para>
/// <list type="table">
/// <item><term>Feature column</term><description>a vector of <see cref="float"/> of known size and any dimensions</description></item>
/// <item><term>Label column</term><description>a key</description></item>
/// <item><term>Weight column</term><description><see cref="float"/>, if any</description></item>
/// <item><term>Output columns</term><description><c>PredictedLabel</c>, a key with the label's values; <c>Score</c>, the probability of each class</description></item>
/// <item><term>Normalisation</term><description>part of the model, see <see cref="NeuralOdeTrainerOptions.Normalization"/></description></item>
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
public sealed partial class NeuralOdeClassificationTrainer : ITrainerEstimator<NeuralOdeClassificationTransformer, NeuralOdeModel>
{
    private readonly IHost _host;
    private readonly Options _options;
    private readonly KeyLabel _label;

    internal NeuralOdeClassificationTrainer(IHostEnvironment environment, Options options)
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(options);
        _host = environment.Register(nameof(NeuralOdeClassificationTrainer));
        _options = (Options)options.Clone();
        _options.Validate();
        _label = new KeyLabel(_options.LabelColumnName);
    }

    /// <inheritdoc/>
    public TrainerInfo Info { get; } = Schemas.TrainerInfo();

    /// <summary>The feature column that is read.</summary>
    public SchemaShape.Column FeatureColumn => TrainerUtils.MakeR4VecFeature(_options.FeatureColumnName);

    /// <summary>The label column that is read.</summary>
    public SchemaShape.Column LabelColumn => TrainerUtils.MakeU4ScalarColumn(_options.LabelColumnName);

    /// <summary>The column of weights that is read; null for equal weights.</summary>
    public SchemaShape.Column? WeightColumn => Schemas.WeightColumn(_options.ExampleWeightColumnName);

    /// <summary>The columns that the fitted model will produce.</summary>
    /// <param name="inputSchema">The columns of the training data.</param>
    /// <returns>The input columns and PredictedLabel and Score.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature, label or weight column is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        SchemaShape.Column label = PredictorFit.CheckSchema(_host, inputSchema, _options, _label);
        return Schemas.WithMulticlassOutputs(inputSchema, label, _options.PredictedLabelColumnName, _options.ScoreColumnName);
    }

    /// <summary>Trains a model.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The fitted model.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature, label or weight column is missing or has the wrong type.</exception>
    /// <exception cref="InvalidOperationException">There are no usable rows, fewer than two classes, or a negative weight.</exception>
    /// <exception cref="NeuralOdeTrainingException">The training diverged; the message says what to try.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public NeuralOdeClassificationTransformer Fit(IDataView input) => Fit(input, null, null);

    /// <summary>Trains a model and reports its loss on other data after each epoch.</summary>
    /// <inheritdoc cref="Fit(IDataView)"/>
    /// <param name="input">The training data.</param>
    /// <param name="validationData">Data in the same columns; null for what the options say.</param>
    public NeuralOdeClassificationTransformer Fit(IDataView input, IDataView? validationData) => Fit(input, validationData, null);

    /// <summary>Trains a model, beginning with the weights of another one.</summary>
    /// <inheritdoc cref="Fit(IDataView)"/>
    /// <param name="input">The training data.</param>
    /// <param name="initialModel">The model to begin with, of the same structure; it stays as it is.</param>
    /// <exception cref="ArgumentException">The model has another structure.</exception>
    public NeuralOdeClassificationTransformer Fit(IDataView input, NeuralOdeModel initialModel)
    {
        ArgumentNullException.ThrowIfNull(initialModel);
        return Fit(input, null, initialModel);
    }

    /// <summary>Trains a model, beginning with the weights of another one, and reports its loss on other data after each epoch.</summary>
    /// <inheritdoc cref="Fit(IDataView)"/>
    /// <param name="input">The training data.</param>
    /// <param name="validationData">Data in the same columns; null for what the options say.</param>
    /// <param name="initialModel">The model to begin with, of the same structure; it stays as it is; null for random weights.</param>
    /// <exception cref="ArgumentException">The model has another structure.</exception>
    public NeuralOdeClassificationTransformer Fit(IDataView input, IDataView? validationData, NeuralOdeModel? initialModel)
    {
        FittedNetwork fitted = new PredictorFit(_host, _options, _label, OutputKind.Classes).Run(
            label => MulticlassTask.Of(label, _options.ClassWeighting), input, validationData, initialModel);
        var model = new NeuralOdeModel(fitted.Network, OutputKind.Classes);
        var columns = new OutputColumns(_options.ScoreColumnName, _options.PredictedLabelColumnName);
        return new NeuralOdeClassificationTransformer(
            _host, model, ModelDescription.Of(fitted, _options, columns, LabelKeys.Of(fitted.Label)));
    }
}
