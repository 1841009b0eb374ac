using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// What all fitted models of this library have in common: they add what a network says of each row to the columns of data.
/// </summary>
/// <remarks>
/// <see cref="Transform"/> scores rows in batches while they are read; with fixed steps, or its own steps for each row, a row's score does
/// not depend on its neighbours. One transformer may serve several threads at once. Disposing of it frees its weights.
/// </remarks>
/// <typeparam name="TModel">The trained network.</typeparam>
public abstract class NeuralOdeTransformerBase<TModel> : IScoringStep, IDisposable
    where TModel : class, IDisposable
{
    private protected NeuralOdeTransformerBase(
        IHostEnvironment environment, string loaderSignature, TModel model, string featureColumn, int[] featureDimensions,
        IReadOnlyList<NeuralOdeEpochReport> history)
    {
        Host = environment.Register(GetType().Name);
        Signature = loaderSignature;
        Model = model;
        FeatureColumnName = featureColumn;
        FeatureColumnType = new VectorDataViewType(NumberDataViewType.Single, featureDimensions);
        TrainingHistory = history;
    }

    /// <summary>The trained network.</summary>
    public TModel Model { get; }

    /// <summary>The feature column.</summary>
    public string FeatureColumnName { get; }

    /// <summary>Its type.</summary>
    public DataViewType FeatureColumnType { get; }

    /// <summary>What happened in each epoch of the training; saved with the model.</summary>
    public IReadOnlyList<NeuralOdeEpochReport> TrainingHistory { get; }

    /// <inheritdoc/>
    public bool IsRowToRowMapper => true;

    private protected IHost Host { get; }

    /// <summary>The name by which ML.NET finds the class that reads the model.</summary>
    private protected string Signature { get; }

    private protected abstract IRowScorer Scorer { get; }

    /// <summary>The columns of the transformed data.</summary>
    /// <param name="inputSchema">The columns of the data.</param>
    /// <returns>The input columns and those that are added.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type or size.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => Bind(inputSchema).Output;

    /// <summary>Adds columns to data; they are computed when rows are read.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The data with the columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type or size.</exception>
    /// <exception cref="ObjectDisposedException">The transformer was disposed of.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        ThrowIfDisposed();
        ScoredSchema schema = Bind(input.Schema);
        return new ScoredTransform(
            input, new ScoredView(input, schema, Scorer), new RowMapper(schema, Scorer), schema.Inputs.Features, this);
    }

    /// <inheritdoc/>
    public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema)
    {
        ThrowIfDisposed();
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
        (byte[] payload, (string Entry, string Text) metadata) = Pack();
        ModelFile.Save(ctx, Signature, payload, metadata);
    }

    void IScoringStep.Export(OperatorGraph graph, string features, Func<string, string> output) => Export(graph, features, output);

    /// <summary>The model as it stands in a file, and what people are to read about it.</summary>
    private protected abstract (byte[] Payload, (string Entry, string Text) Metadata) Pack();

    /// <summary>Writes the columns that are added as operators.</summary>
    private protected abstract void Export(OperatorGraph graph, string features, Func<string, string> output);

    /// <summary>Finds the columns that are read in data.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type or size.</exception>
    private protected abstract ScorerColumns FindInputs(DataViewSchema input);

    /// <summary>The columns that are added to data with certain columns.</summary>
    private protected abstract ScoreColumn[] Columns(DataViewSchema input);

    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    private protected abstract void ThrowIfDisposed();

    private ScoredSchema Bind(DataViewSchema input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return new ScoredSchema(input, FindInputs(input), Columns(input));
    }
}
