using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.NeuralOde;

/// <summary>What the trainers that predict a label have in common: the columns that they read, and the ways to train.</summary>
/// <typeparam name="TTransformer">The fitted model.</typeparam>
/// <typeparam name="TOptions">The options.</typeparam>
public abstract class NeuralOdePredictorTrainer<TTransformer, TOptions> : ITrainerEstimator<TTransformer, NeuralOdeModel>
    where TTransformer : NeuralOdeTransformer
    where TOptions : NeuralOdePredictorOptions
{
    private readonly LabelFormat _label;

    private protected NeuralOdePredictorTrainer(IHostEnvironment environment, TOptions options, Func<string, LabelFormat> label)
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(options);
        Host = environment.Register(GetType().Name);
        Settings = (TOptions)options.Clone();
        Settings.Validate();
        _label = label(Settings.LabelColumnName);
    }

    /// <inheritdoc/>
    public TrainerInfo Info { get; } = Schemas.TrainerInfo();

    /// <summary>The feature column that is read.</summary>
    public SchemaShape.Column FeatureColumn => TrainerUtils.MakeR4VecFeature(Settings.FeatureColumnName);

    /// <summary>The label column that is read.</summary>
    public abstract SchemaShape.Column LabelColumn { get; }

    /// <summary>The column of weights that is read; null for equal weights.</summary>
    public SchemaShape.Column? WeightColumn => Schemas.WeightColumn(Settings.ExampleWeightColumnName);

    private protected IHost Host { get; }

    /// <summary>A copy of the options that the trainer was made with.</summary>
    private protected TOptions Settings { get; }

    /// <summary>What the network's outputs mean.</summary>
    private protected abstract OutputKind Outputs { get; }

    /// <summary>The columns that the fitted model will produce.</summary>
    /// <param name="inputSchema">The columns of the training data.</param>
    /// <returns>The input columns and those of the predictions.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature, label or weight column is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        using PredictorFit fit = Begin(null);
        SchemaShape.Column? label = fit.CheckSchema(inputSchema);
        return WithOutputs(inputSchema, label!.Value);
    }

    /// <summary>Trains a model.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The fitted model.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature, label or weight column is missing or has the wrong type.</exception>
    /// <exception cref="InvalidOperationException">
    /// There are no usable rows, for a classifier rows of fewer than two classes, or a negative weight; or the module of
    /// <see cref="NeuralOdePredictorOptions.Dynamics"/> is not fit.
    /// </exception>
    /// <exception cref="NeuralOdeTrainingException">The training diverged; the message says what to try.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public TTransformer Fit(IDataView input) => Fit(input, null, null);

    /// <summary>Trains a model and reports its loss on other data after each epoch.</summary>
    /// <inheritdoc cref="Fit(IDataView)"/>
    /// <param name="input">The training data.</param>
    /// <param name="validationData">Data in the same columns; null for what the options say.</param>
    public TTransformer Fit(IDataView input, IDataView? validationData) => Fit(input, validationData, null);

    /// <summary>Trains a model, beginning with the weights of another one.</summary>
    /// <inheritdoc cref="Fit(IDataView)"/>
    /// <param name="input">The training data.</param>
    /// <param name="initialModel">The model to begin with, of the same structure; it stays as it is.</param>
    /// <exception cref="ArgumentException">The model has another structure.</exception>
    public TTransformer Fit(IDataView input, NeuralOdeModel initialModel)
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
    public TTransformer Fit(IDataView input, IDataView? validationData, NeuralOdeModel? initialModel)
    {
        using PredictorFit fit = Begin(initialModel);
        FittedNetwork<NeuralOdeNetwork> fitted = fit.Run(input, validationData);
        ModelDescription description = Describe(ModelDescription.Of(fitted, Settings), fit.Label);
        return Create(new NeuralOdeModel(fitted.Network, Outputs), description);
    }

    /// <summary>The input columns and those of the predictions.</summary>
    private protected abstract SchemaShape WithOutputs(SchemaShape input, SchemaShape.Column label);

    /// <summary>The task that a label column sets.</summary>
    private protected abstract PredictionTask CreateTask(DataViewSchema.Column label);

    /// <summary>Adds the columns of the predictions to a model's description.</summary>
    private protected abstract ModelDescription Describe(ModelDescription description, DataViewSchema.Column label);

    private protected abstract TTransformer Create(NeuralOdeModel model, ModelDescription description);

    private PredictorFit Begin(NeuralOdeModel? initialModel) => new(Host, Settings, _label, Outputs, CreateTask, initialModel);
}
