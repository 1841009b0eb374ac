using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Classification;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Trains a neural ODE classifier: an encoder of linear layers, a block whose output is the solution of an ordinary differential equation with a
/// learned right-hand side, and a linear head; cross-entropy and Adam (R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Neural Ordinary
/// Differential Equations, 2018).
/// </summary>
/// <remarks>
/// Created by <see cref="NeuralOdeCatalog.NeuralOde(MulticlassClassificationCatalog.MulticlassClassificationTrainers, string, string, int, int, double, OdeMethod, double, double, GradientMethod, IDataView)"/>.
/// The feature column is a vector of <see cref="float"/> of known size and any dimensions, the label column a key. Rows whose label is missing
/// are left out; all others are held in memory during training. The model adds <c>PredictedLabel</c>, a key with the label's values, and
/// <c>Score</c>, the probability of each class.
/// </remarks>
public sealed partial class NeuralOdeClassificationTrainer : ITrainerEstimator<NeuralOdeClassificationTransformer, NeuralOdeClassificationModel>
{
    private readonly IHost _host;
    private readonly Options _options;

    internal NeuralOdeClassificationTrainer(IHostEnvironment environment, Options options)
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(options);
        _host = environment.Register(nameof(NeuralOdeClassificationTrainer));
        _options = options.Clone();
        _options.Validate();
    }

    /// <inheritdoc/>
    public TrainerInfo Info { get; } = Schemas.TrainerInfo();

    /// <summary>The columns that the fitted model will produce.</summary>
    /// <param name="inputSchema">The columns of the training data.</param>
    /// <returns>The input columns, PredictedLabel and Score.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature or the label column is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        Schemas.CheckFeatures(_host, inputSchema, _options.FeatureColumnName);
        SchemaShape.Column label = Schemas.CheckKeyLabel(_host, inputSchema, _options.LabelColumnName);
        return Schemas.WithMulticlassOutputs(inputSchema, label, _options.PredictedLabelColumnName, _options.ScoreColumnName);
    }

    /// <summary>Trains a model.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The fitted model.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature or the label column is missing or has the wrong type.</exception>
    /// <exception cref="InvalidOperationException">There are no rows, fewer than two classes, a feature that is not finite, or the loss diverged.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public NeuralOdeClassificationTransformer Fit(IDataView input) => Fit(input, _options.ValidationSet);

    /// <summary>Trains a model and reports its accuracy on other data after each epoch.</summary>
    /// <inheritdoc cref="Fit(IDataView)"/>
    /// <param name="input">The training data.</param>
    /// <param name="validationData">Data in the same columns; null for none.</param>
    public NeuralOdeClassificationTransformer Fit(IDataView input, IDataView? validationData)
    {
        ArgumentNullException.ThrowIfNull(input);
        TorchRuntime.EnsureAvailable();
        GetOutputSchema(Schemas.ShapeOf(input.Schema));
        using IChannel channel = _host.Start("Training");
        DataViewSchema.Column features = LabeledRows.FindFeatures(_host, input.Schema, _options.FeatureColumnName);
        DataViewSchema.Column label = LabeledRows.FindLabel(_host, input.Schema, _options.LabelColumnName);
        int classes = ClassCount(label);
        var random = new Random(_options.Seed ?? _host.Rand.Next());

        using LabeledRows all = Read(input, channel);
        RequireTwoClasses(all);
        using LabeledRows? given = validationData is null ? null : ReadValidation(validationData, features, label, channel);
        (LabeledRows? front, LabeledRows? back) = Split(all, given, random);
        using (front)
        using (back)
        {
            ClassificationNetwork network = CreateNetwork(((VectorDataViewType)features.Type).Size, classes, random.Next());
            try
            {
                LabeledRows rows = back ?? all;
                if (_options.Normalization != FeatureNormalization.None)
                {
                    (Tensor mean, Tensor scale) = ClassificationTraining.Statistics(rows.Features, _options.Normalization);
                    network.Normalize(mean, scale);
                }
                var plan = new TrainingPlan(
                    _options.NumberOfEpochs, _options.BatchSize, _options.LearningRate, _options.LearningRateSchedule, _options.WeightDecay,
                    _options.MaximumGradientNorm, random, _options.CancellationToken);
                var loop = new TrainingLoop(new ClassificationTraining(network, rows, front ?? given), plan, _host.CheckAlive);
                IReadOnlyList<NeuralOdeEpochReport> history = loop.Run(report =>
                {
                    channel.Info(report.ToString());
                    _options.EpochCallback?.Invoke(report);
                });
                return new NeuralOdeClassificationTransformer(
                    _host, new NeuralOdeClassificationModel(network), _options.FeatureColumnName, features.Type, _options.PredictedLabelColumnName,
                    _options.ScoreColumnName, LabelKeys.Of(label, classes), history);
            }
            catch
            {
                network.Dispose();
                throw;
            }
        }
    }

    private LabeledRows Read(IDataView data, IChannel channel)
    {
        LabeledRows rows = LabeledRows.Read(_host, data, _options.FeatureColumnName, _options.LabelColumnName, _options.CancellationToken);
        if (rows.Skipped > 0)
            channel.Warning($"{rows.Skipped} rows have no value in the label column '{_options.LabelColumnName}' and are left out.");
        return rows;
    }

    private LabeledRows ReadValidation(IDataView data, DataViewSchema.Column features, DataViewSchema.Column label, IChannel channel)
    {
        DataViewType found = LabeledRows.FindFeatures(_host, data.Schema, _options.FeatureColumnName).Type;
        if (((VectorDataViewType)found).Size != ((VectorDataViewType)features.Type).Size)
            throw Schemas.Mismatch(_host, "validationData", "feature", _options.FeatureColumnName, features.Type.ToString(), found.ToString());
        DataViewType foundLabel = LabeledRows.FindLabel(_host, data.Schema, _options.LabelColumnName).Type;
        if (((KeyDataViewType)foundLabel).Count != ((KeyDataViewType)label.Type).Count)
            throw Schemas.Mismatch(_host, "validationData", "label", _options.LabelColumnName, label.Type.ToString(), foundLabel.ToString());
        return Read(data, channel);
    }

    private (LabeledRows? Validation, LabeledRows? Training) Split(LabeledRows all, LabeledRows? given, Random random)
    {
        if (given is not null || _options.ValidationFraction is not { } fraction)
            return (null, null);
        long count = (long)Math.Round(all.Count * fraction);
        if (count == 0 || count == all.Count)
            throw new InvalidOperationException($"ValidationFraction {fraction} of {all.Count} rows leaves {count} for validation; both parts need rows.");
        return all.Split(count, random);
    }

    private int ClassCount(DataViewSchema.Column label)
    {
        ulong count = ((KeyDataViewType)label.Type).Count;
        if (count > int.MaxValue)
            throw Schemas.Mismatch(_host, "inputSchema", "label", label.Name, $"a key of at most {int.MaxValue} values", label.Type.ToString());
        if (count < 2)
            throw new InvalidOperationException($"The label column '{label.Name}' has a single class; a classifier needs at least two.");
        return (int)count;
    }

    private void RequireTwoClasses(LabeledRows rows)
    {
        using Tensor first = rows.Labels[0];
        using Tensor same = rows.Labels.eq(first).all();
        if (same.item<bool>())
            throw new InvalidOperationException(
                $"All {rows.Count} rows have the same class in the label column '{_options.LabelColumnName}'; a classifier needs rows of at least two.");
    }

    private ClassificationNetwork CreateNetwork(int featureCount, int classCount, int seed)
    {
        var description = new NetworkDescription(
            featureCount, classCount, [.. _options.EncoderLayers], [.. _options.DynamicsLayers], _options.EndTime, _options.Solver.Name, _options.RelativeTolerance,
            _options.AbsoluteTolerance, _options.StepSize);
        return TorchSeed.Run(seed, () => new ClassificationNetwork(description, _options.SolverOptions()));
    }
}
