using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>A fitted flow: adds what it says of each row to the columns of data.</summary>
/// <remarks>
/// <see cref="Transform"/> scores rows in batches while they are read; with fixed steps, or its own steps for each row, a row's score does not depend on its
/// neighbours. One transformer may serve several threads at once. Disposing of it frees its weights.
/// </remarks>
public abstract class ContinuousFlowTransformer : IScoringStep, IDisposable
{
    private readonly string _loaderSignature;

    private protected ContinuousFlowTransformer(
        IHostEnvironment environment, string loaderSignature, ContinuousFlowModel model, FlowColumns columns, IReadOnlyList<NeuralOdeEpochReport> history)
    {
        Host = environment.Register(GetType().Name);
        _loaderSignature = loaderSignature;
        Model = model;
        InputColumns = columns;
        TrainingHistory = history;
        FeatureColumnType = new VectorDataViewType(NumberDataViewType.Single, columns.FeatureDimensions);
    }

    /// <summary>The flow.</summary>
    public ContinuousFlowModel Model { get; }

    /// <summary>The feature column.</summary>
    public string FeatureColumnName => InputColumns.Features;

    /// <summary>Its type.</summary>
    public DataViewType FeatureColumnType { get; }

    /// <summary>The column of the condition; null for none.</summary>
    public string? ConditionColumnName => InputColumns.Condition;

    /// <summary>What happened in each epoch of the training; saved with the model.</summary>
    public IReadOnlyList<NeuralOdeEpochReport> TrainingHistory { get; }

    /// <inheritdoc/>
    public bool IsRowToRowMapper => true;

    private protected IHost Host { get; }

    private protected FlowColumns InputColumns { get; }

    private protected abstract IRowScorer Scorer { get; }

    /// <summary>What becomes of the scores, for the file.</summary>
    private protected abstract object Output { get; }

    /// <summary>The columns of the transformed data.</summary>
    /// <param name="inputSchema">The columns of the data.</param>
    /// <returns>The input columns and those that are added.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type or size.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => Bind(inputSchema).Output;

    /// <summary>Adds the flow's columns to data; they are computed when rows are read.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The data with the columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type or size.</exception>
    /// <exception cref="ObjectDisposedException">The transformer was disposed of.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        Model.ThrowIfDisposed();
        ScoredSchema schema = Bind(input.Schema);
        return new ScoredTransform(input, new ScoredView(input, schema, Scorer), new RowMapper(schema, Scorer), schema.Features, this);
    }

    /// <inheritdoc/>
    public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema)
    {
        Model.ThrowIfDisposed();
        return new RowMapper(Bind(inputSchema), Scorer);
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
        byte[] payload = ToBytes();
        ModelFile.Save(ctx, _loaderSignature, payload, ModelMetadata.Write(_loaderSignature, InputColumns, Output, Model.Description, null, TrainingHistory, payload));
    }

    void IScoringStep.Export(OperatorGraph graph, string features, Func<string, string> output)
    {
        using SharedNetwork<FlowNetwork>.Loan loan = Model.Borrow();
        Export(graph, loan.Network, features, output);
    }

    /// <summary>Writes the columns that are added as operators.</summary>
    private protected abstract void Export(OperatorGraph graph, FlowNetwork network, string features, Func<string, string> output);

    /// <summary>The columns that are added to data with certain columns.</summary>
    private protected abstract ScoreColumn[] Columns(DataViewSchema input);

    private protected abstract byte[] ToBytes();

    private protected byte[] ToBytes<TOutput>(TOutput output)
    {
        using SharedNetwork<FlowNetwork>.Loan loan = Model.Borrow();
        var file = new FlowFile<TOutput>(Model.Description, InputColumns, TrainingHistory, output);
        return new Payload<FlowFile<TOutput>>(file, loan.Network.ToArrays()).ToBytes();
    }

    /// <summary>Reads a model from ML.NET's file.</summary>
    /// <param name="environment">Where it is loaded.</param>
    /// <param name="context">The file.</param>
    /// <param name="loaderSignature">The kind of model.</param>
    /// <param name="findDefect">What makes no sense in the output that was read, as a clause; null for nothing.</param>
    private protected static (ContinuousFlowModel Model, FlowFile<TOutput> File) Load<TOutput>(
        IHostEnvironment environment, ModelLoadContext context, string loaderSignature, Func<TOutput, string?> findDefect) =>
        ModelFile.Load(environment, context, loaderSignature, bytes => Read(bytes, findDefect));

    private static (ContinuousFlowModel Model, FlowFile<TOutput> File) Read<TOutput>(byte[] bytes, Func<TOutput, string?> findDefect)
    {
        Payload<FlowFile<TOutput>> payload = PayloadReader.Read<FlowFile<TOutput>>(bytes);
        string? defect = payload.Description.Network.FindDefect(payload.Arrays.Sum(array => array.Values.LongLength)) ?? findDefect(payload.Description.Output);
        if (defect is not null)
            throw PayloadReader.Damaged(defect);
        // The random weights that the network starts with are replaced at once; torch's generator stays as it is.
        FlowNetwork network = Training.TorchSeed.Run(0, () => new FlowNetwork(payload.Description.Network));
        try
        {
            network.FromArrays(payload.Arrays);
            return (new ContinuousFlowModel(network), payload.Description);
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
        (DataViewSchema.Column features, DataViewSchema.Column? condition) = InputColumns.Find(Host, input, Model.ConditionCount);
        return new ScoredSchema(input, features, Columns(input), condition);
    }
}
