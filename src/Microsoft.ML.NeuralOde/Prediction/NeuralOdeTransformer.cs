using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>A fitted trainer of this library: adds what its network predicts to the columns of data.</summary>
/// <remarks>
/// <see cref="Transform"/> scores rows in batches while they are read; each row has its own solver steps, so that its score does not depend on its
/// neighbours. One transformer may serve several threads at once. Disposing of it frees its weights.
/// </remarks>
public abstract class NeuralOdeTransformer : ISingleFeaturePredictionTransformer<NeuralOdeModel>, ISingleFeaturePredictionTransformer, IScoringStep, IDisposable
{
    private readonly IHost _host;
    private readonly string _loaderSignature;

    private protected NeuralOdeTransformer(IHostEnvironment environment, string loaderSignature, NeuralOdeModel model, ModelDescription description)
    {
        _host = environment.Register(GetType().Name);
        _loaderSignature = loaderSignature;
        Model = model;
        Description = description;
        FeatureColumnType = new VectorDataViewType(NumberDataViewType.Single, description.FeatureDimensions);
    }

    /// <inheritdoc/>
    public string FeatureColumnName => Description.FeatureColumn;

    /// <inheritdoc/>
    public DataViewType FeatureColumnType { get; }

    /// <inheritdoc/>
    public NeuralOdeModel Model { get; }

    /// <summary>What happened in each epoch of the training; saved with the model.</summary>
    public IReadOnlyList<NeuralOdeEpochReport> TrainingHistory => Description.History;

    /// <inheritdoc/>
    public bool IsRowToRowMapper => true;

    internal ModelDescription Description { get; }

    /// <summary>The columns of the transformed data.</summary>
    /// <param name="inputSchema">The columns of the data.</param>
    /// <returns>The input columns and those of the predictions.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature column is missing or has the wrong type or size.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => Bind(inputSchema).Output;

    /// <summary>Adds predictions to data; they are computed when rows are read.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The data with the predictions.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The feature column is missing or has the wrong type or size.</exception>
    /// <exception cref="ObjectDisposedException">The transformer was disposed of.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        Model.ThrowIfDisposed();
        ScoredSchema schema = Bind(input.Schema);
        return new ScoredTransform(input, new ScoredView(input, schema, Model), new RowMapper(schema, Model), schema.Features, this);
    }

    /// <inheritdoc/>
    public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema)
    {
        Model.ThrowIfDisposed();
        return new RowMapper(Bind(inputSchema), Model);
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        Model.Dispose();
        GC.SuppressFinalize(this);
    }

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        using SharedNetwork<NeuralOdeNetwork>.Loan loan = Model.Borrow();
        byte[] payload = new Payload<ModelDescription>(Description, loan.Network.ToArrays()).ToBytes();
        ModelFile.Save(ctx, _loaderSignature, payload, Description.ToMetadata(Model, payload));
    }

    void IScoringStep.Export(OperatorGraph graph, string features, Func<string, string> output)
    {
        using SharedNetwork<NeuralOdeNetwork>.Loan loan = Model.Borrow();
        PredictionExport.Write(graph, loan.Network, Model.Kind, Description.Columns, features, null, output);
    }

    /// <summary>The columns that the predictions become, for data with certain columns.</summary>
    private protected abstract ScoreColumn[] Columns(DataViewSchema input);

    /// <summary>Reads a model of one kind from ML.NET's file.</summary>
    private protected static (NeuralOdeModel Model, ModelDescription Description) Load(
        IHostEnvironment environment, ModelLoadContext context, string loaderSignature, OutputKind kind) =>
        ModelFile.Load(environment, context, loaderSignature, payload => Read(payload, kind));

    /// <summary>Reads a model of one kind from its payload; what is declared is checked before memory is taken for it.</summary>
    /// <exception cref="InvalidDataException">The payload is damaged, of a newer version, or of another kind of model.</exception>
    internal static (NeuralOdeModel Model, ModelDescription Description) Read(byte[] bytes, OutputKind kind)
    {
        Payload<ModelDescription> payload = PayloadReader.Read<ModelDescription>(bytes);
        if (payload.Description.FindDefect(kind) is { } defect)
            throw PayloadReader.Damaged(defect);
        if (payload.Description.Network.WeightCount() > payload.Arrays.Sum(array => array.Values.LongLength))
            throw PayloadReader.Damaged("it declares more weights than it holds");
        // The random weights that the network starts with are replaced at once; torch's generator stays as it is.
        NeuralOdeNetwork network = Training.TorchSeed.Run(0, () => new NeuralOdeNetwork(payload.Description.Network));
        try
        {
            network.FromArrays(payload.Arrays);
            return (new NeuralOdeModel(network, kind), payload.Description);
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
        DataViewSchema.Column features = RowColumns.FindFeatures(_host, input, FeatureColumnName);
        if (((VectorDataViewType)features.Type).Size != Model.FeatureCount)
            throw Schemas.Mismatch(_host, nameof(input), "feature", FeatureColumnName, FeatureColumnType.ToString(), features.Type.ToString());
        return new ScoredSchema(input, features, Columns(input));
    }
}
