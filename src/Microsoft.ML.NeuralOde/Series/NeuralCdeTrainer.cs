using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Series;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>What the trainers on series have in common: the columns that they read, and the ways to train.</summary>
/// <typeparam name="TOptions">The options.</typeparam>
public abstract class NeuralCdeTrainer<TOptions> : IEstimator<NeuralCdeTransformer>
    where TOptions : NeuralCdeTrainerOptions
{
    private readonly LabelFormat _label;

    private protected NeuralCdeTrainer(IHostEnvironment environment, TOptions options, Func<string, LabelFormat> label)
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(options);
        Host = environment.Register(GetType().Name);
        Settings = (TOptions)options.Clone();
        Settings.Validate();
        _label = label(Settings.LabelColumnName);
    }

    /// <summary>What ML.NET asks of a trainer: no normalisation in front of it, no calibration behind it, no caching.</summary>
    public TrainerInfo Info { get; } = Schemas.TrainerInfo();

    private protected IHost Host { get; }

    /// <summary>A copy of the options that the trainer was made with.</summary>
    private protected TOptions Settings { get; }

    /// <summary>What the network's outputs mean.</summary>
    private protected abstract OutputKind Outputs { get; }

    /// <summary>The columns that the fitted model will produce.</summary>
    /// <param name="inputSchema">The columns of the training data.</param>
    /// <returns>The input columns and those of the predictions.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column of the series, of the label or of weights is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        using CdeFit fit = Begin(null);
        SchemaShape.Column? label = fit.CheckSchema(inputSchema);
        return WithOutputs(inputSchema, label!.Value);
    }

    /// <summary>Trains a model.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The fitted model.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column of the series, of the label or of weights is missing or has the wrong type.</exception>
    /// <exception cref="InvalidOperationException">
    /// There are no usable rows, for a classifier rows of fewer than two classes, or a negative weight; or the lengths of a series' times and
    /// values differ, or its times do not increase: the message names the row.
    /// </exception>
    /// <exception cref="NeuralOdeTrainingException">The training diverged; the message says what to try.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public NeuralCdeTransformer Fit(IDataView input) => Fit(input, null, null);

    /// <summary>Trains a model and reports its loss on other data after each epoch.</summary>
    /// <inheritdoc cref="Fit(IDataView)"/>
    /// <param name="input">The training data.</param>
    /// <param name="validationData">Data in the same columns; null for what the options say.</param>
    public NeuralCdeTransformer Fit(IDataView input, IDataView? validationData) => Fit(input, validationData, null);

    /// <summary>Trains a model, beginning with the weights of another one.</summary>
    /// <inheritdoc cref="Fit(IDataView)"/>
    /// <param name="input">The training data.</param>
    /// <param name="initialModel">The model to begin with, of the same structure; it stays as it is.</param>
    /// <exception cref="ArgumentException">The model has another structure.</exception>
    public NeuralCdeTransformer Fit(IDataView input, NeuralCdeModel initialModel)
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
    public NeuralCdeTransformer Fit(IDataView input, IDataView? validationData, NeuralCdeModel? initialModel)
    {
        using CdeFit fit = Begin(initialModel);
        FittedNetwork<CdeNetwork> fitted = fit.Run(input, validationData);
        using CdeNetwork trained = fitted.Network;
        // The fitted model is solved as the options for production say.
        CdeNetwork network = TorchSeed.Run(0, () => new CdeNetwork(trained.Description));
        network.CopyFrom(trained);
        var description = new CdeModelDescription(
            $"{Outputs}", trained.Description, fit.Input.Times?.Name, [.. fit.Input.Values.Select(column => column.Name)], OutputsOf(fit.Label),
            Outputs == OutputKind.Classes ? ClassValues.Of(LabelKeys.Of(fit.Label)) : null, fitted.History, OptionTexts.Of(Settings));
        return new NeuralCdeTransformer(Host, new NeuralCdeModel(network, Outputs), description);
    }

    /// <summary>The input columns and those of the predictions.</summary>
    private protected abstract SchemaShape WithOutputs(SchemaShape input, SchemaShape.Column label);

    /// <summary>The task that a label column sets.</summary>
    private protected abstract PredictionTask CreateTask(DataViewSchema.Column label);

    /// <summary>The columns of the predictions.</summary>
    private protected abstract OutputColumns OutputsOf(DataViewSchema.Column label);

    private CdeFit Begin(NeuralCdeModel? initialModel) => new(Host, Settings, _label, Outputs, CreateTask, initialModel);
}
