using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Classification;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A fitted <see cref="NeuralOdeClassificationTrainer"/>: adds the predicted label, a key with the label's values, and the probability of each class.
/// </summary>
/// <remarks>
/// <see cref="Transform"/> scores rows in batches while they are read; each row has its own solver steps, so that its score does not depend on its
/// neighbours. One transformer may serve several threads at once. Disposing of it frees its weights.
/// </remarks>
public sealed class NeuralOdeClassificationTransformer : ISingleFeaturePredictionTransformer<NeuralOdeClassificationModel>, IDisposable
{
    internal const string LoaderSignature = "NeuralOdeClassification";

    private readonly IHost _host;
    private readonly string _predictedLabelColumn;
    private readonly string _scoreColumn;
    private readonly LabelKeys _keys;

    internal NeuralOdeClassificationTransformer(
        IHostEnvironment environment, NeuralOdeClassificationModel model, string featureColumn, DataViewType featureType, string predictedLabelColumn,
        string scoreColumn, LabelKeys keys, IReadOnlyList<NeuralOdeEpochReport> history)
    {
        _host = environment.Register(nameof(NeuralOdeClassificationTransformer));
        Model = model;
        FeatureColumnName = featureColumn;
        FeatureColumnType = featureType;
        _predictedLabelColumn = predictedLabelColumn;
        _scoreColumn = scoreColumn;
        _keys = keys;
        TrainingHistory = history;
    }

    /// <inheritdoc/>
    public string FeatureColumnName { get; }

    /// <inheritdoc/>
    public DataViewType FeatureColumnType { get; }

    /// <inheritdoc/>
    public NeuralOdeClassificationModel Model { get; }

    /// <summary>What happened in each epoch of the training; saved with the model.</summary>
    public IReadOnlyList<NeuralOdeEpochReport> TrainingHistory { get; }

    /// <inheritdoc/>
    public bool IsRowToRowMapper => true;

    /// <summary>The columns of the transformed data.</summary>
    /// <param name="inputSchema">The columns of the data.</param>
    /// <returns>The input columns, the predicted label and the scores.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature column is missing or has the wrong type or size.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => Bind(inputSchema).Output;

    /// <summary>Adds predictions to data; they are computed when rows are read.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The data with the predicted label and the scores.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature column is missing or has the wrong type or size.</exception>
    /// <exception cref="ObjectDisposedException">The transformer was disposed of.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        _ = Model.Network;
        return new ScoredView(input, Bind(input.Schema), Model);
    }

    /// <inheritdoc/>
    public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema)
    {
        _ = Model.Network;
        return new RowMapper(Bind(inputSchema), Model);
    }

    /// <summary>Frees the weights; predictions fail from then on.</summary>
    public void Dispose() => Model.Dispose();

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        var description = new FileDescription(
            Model.Network.Description, FeatureColumnName, [.. ((VectorDataViewType)FeatureColumnType).Dimensions], _predictedLabelColumn, _scoreColumn,
            _keys.Text?.ToArray(), _keys.Numbers?.ToArray(), _keys.NumberType, [.. TrainingHistory]);
        ModelFile.Save(ctx, LoaderSignature, new Payload<FileDescription>(description, Model.Network.ToArrays()).ToBytes());
    }

    /// <summary>Loads a model; called by ML.NET.</summary>
    internal static NeuralOdeClassificationTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        TorchRuntime.EnsureAvailable();
        Payload<FileDescription> payload = PayloadReader.Read<FileDescription>(ModelFile.Load(env, ctx, LoaderSignature));
        FileDescription file = payload.Description;
        NetworkDescription structure = file.Network;
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Parse(structure.Solver),
            RelativeTolerance = structure.RelativeTolerance,
            AbsoluteTolerance = structure.AbsoluteTolerance,
            StepSize = structure.StepSize,
        };
        // The random weights that the network starts with are replaced at once; torch's generator stays as it is.
        ClassificationNetwork network = Training.TorchSeed.Run(0, () => new ClassificationNetwork(structure, options));
        try
        {
            network.FromArrays(payload.Arrays);
            return new NeuralOdeClassificationTransformer(
                env, new NeuralOdeClassificationModel(network), file.FeatureColumn, new VectorDataViewType(NumberDataViewType.Single, file.FeatureDimensions),
                file.PredictedLabelColumn, file.ScoreColumn, new LabelKeys(structure.ClassCount, file.TextKeys, file.NumericKeys, file.NumericKeyType), file.History);
        }
        catch
        {
            network.Dispose();
            throw;
        }
    }

    private ScoredSchema Bind(DataViewSchema input)
    {
        ArgumentNullException.ThrowIfNull(input);
        DataViewSchema.Column features = LabeledRows.FindFeatures(_host, input, FeatureColumnName);
        if (((VectorDataViewType)features.Type).Size != Model.FeatureCount)
            throw Schemas.Mismatch(_host, nameof(input), "feature", FeatureColumnName, FeatureColumnType.ToString(), features.Type.ToString());
        return new ScoredSchema(input, features,
        [
            new ArgMaxKey(_predictedLabelColumn, Model.ClassCount, Schemas.PredictedLabelAnnotations(input, _keys)),
            new VectorScore(_scoreColumn, Model.ClassCount, Schemas.MulticlassScoreAnnotations(input, _keys)),
        ]);
    }

    private sealed record FileDescription(
        NetworkDescription Network, string FeatureColumn, int[] FeatureDimensions, string PredictedLabelColumn, string ScoreColumn, string[]? TextKeys,
        double[]? NumericKeys, string? NumericKeyType, NeuralOdeEpochReport[] History);
}
