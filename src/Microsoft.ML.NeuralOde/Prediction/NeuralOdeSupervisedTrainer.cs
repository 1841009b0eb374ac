using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>What all trainers that predict a label have in common: the ways to train.</summary>
/// <typeparam name="TTransformer">The fitted model.</typeparam>
/// <typeparam name="TModel">Its trained network.</typeparam>
/// <typeparam name="TOptions">The options.</typeparam>
public abstract class NeuralOdeSupervisedTrainer<TTransformer, TModel, TOptions> : IEstimator<TTransformer>
    where TTransformer : NeuralOdeTransformerBase<TModel>
    where TModel : class, IDisposable
    where TOptions : NeuralOdeSupervisedOptions
{
    private protected NeuralOdeSupervisedTrainer(IHostEnvironment environment, TOptions options, Func<TOptions, LabelPrediction> prediction)
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(options);
        Host = environment.Register(GetType().Name);
        Settings = (TOptions)options.Clone();
        Settings.Validate();
        Prediction = prediction(Settings);
    }

    /// <summary>What ML.NET asks of a trainer: no normalisation in front of it, no calibration behind it, no caching.</summary>
    public TrainerInfo Info { get; } = Schemas.TrainerInfo();

    private protected IHost Host { get; }

    /// <summary>A copy of the options that the trainer was made with.</summary>
    private protected TOptions Settings { get; }

    /// <summary>What is predicted.</summary>
    private protected LabelPrediction Prediction { get; }

    /// <summary>The columns that the fitted model will produce.</summary>
    /// <param name="inputSchema">The columns of the training data.</param>
    /// <returns>The input columns and those of the predictions.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column that is read is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema) => Prediction.WithOutputs(inputSchema, CheckSchema(inputSchema));

    /// <summary>Trains a model.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The fitted model.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column that is read is missing or has the wrong type.</exception>
    /// <exception cref="InvalidOperationException">
    /// There are no usable rows, for a classifier rows of fewer than two classes, or a negative weight; of series, the lengths of times and
    /// values differ, or times do not increase; or the module of <see cref="NeuralOdePredictorOptions.Dynamics"/> is not fit. The message
    /// names the row where there is one.
    /// </exception>
    /// <exception cref="NeuralOdeTrainingException">The training diverged; the message says what to try.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public TTransformer Fit(IDataView input) => Fit(input, null, null);

    /// <summary>Trains a model and reports its loss on other data after each epoch.</summary>
    /// <inheritdoc cref="Fit(IDataView)" path="/*[not(self::param)]"/>
    /// <param name="input">The training data.</param>
    /// <param name="validationData">Data in the same columns; null for what the options say.</param>
    public TTransformer Fit(IDataView input, IDataView? validationData) => Fit(input, validationData, null);

    /// <summary>Trains a model, beginning with the weights of another one.</summary>
    /// <inheritdoc cref="Fit(IDataView)" path="/*[not(self::param)]"/>
    /// <param name="input">The training data.</param>
    /// <param name="initialModel">The model to begin with, of the same structure; it stays as it is.</param>
    /// <exception cref="ArgumentException">The model has another structure.</exception>
    public TTransformer Fit(IDataView input, TModel initialModel)
    {
        ArgumentNullException.ThrowIfNull(initialModel);
        return Fit(input, null, initialModel);
    }

    /// <summary>Trains a model, beginning with the weights of another one, and reports its loss on other data after each epoch.</summary>
    /// <inheritdoc cref="Fit(IDataView)" path="/*[not(self::param)]"/>
    /// <param name="input">The training data.</param>
    /// <param name="validationData">Data in the same columns; null for what the options say.</param>
    /// <param name="initialModel">The model to begin with, of the same structure; it stays as it is; null for random weights.</param>
    /// <exception cref="ArgumentException">The model has another structure.</exception>
    public abstract TTransformer Fit(IDataView input, IDataView? validationData, TModel? initialModel);

    /// <summary>Checks the columns that are read.</summary>
    /// <returns>The label's column.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    private protected abstract SchemaShape.Column CheckSchema(SchemaShape schema);
}
