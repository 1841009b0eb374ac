using Microsoft.ML.Data;
using Microsoft.ML.Model.OnnxConverter;
using Microsoft.ML.NeuralOde.Export;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Interop;

/// <summary>A step of a chain that adds scores, and can be written as operators.</summary>
internal interface IScoringStep : ITransformer
{
    /// <summary>Writes what the step does.</summary>
    /// <param name="graph">Where the operators go.</param>
    /// <param name="features">The features, <c>[batch, features]</c>.</param>
    /// <param name="output">The name that the result is to have that becomes a column.</param>
    /// <exception cref="NotSupportedException">The step cannot be written; the message names what stands in the way.</exception>
    void Export(OperatorGraph graph, string features, Func<string, string> output);
}

/// <summary>
/// Scored data as ML.NET's conversion to ONNX wants to find them. It walks from the end of a chain back to its source, takes what is no such transform for the
/// source, and leaves out, with no more than a warning, what says that it cannot be written. A model without one of its steps is wrong, so that
/// everything that stands in the way is an exception here.
/// </summary>
internal sealed class ScoredTransform(IDataView source, ScoredSchema schema, IRowScorer scorer, IScoringStep step) : ITransformCanSaveOnnx, ITransformTemplate, IRowToRowMapper
{
    private readonly ScoredView _view = new(source, schema, scorer);
    private readonly RowMapper _mapper = new(schema, scorer);

    public IDataView Source => source;

    public bool CanShuffle => _view.CanShuffle;

    public DataViewSchema Schema => schema.Output;

    DataViewSchema IRowToRowMapper.InputSchema => schema.Input;

    DataViewSchema IRowToRowMapper.OutputSchema => schema.Output;

    public long? GetRowCount() => _view.GetRowCount();

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) => _view.GetRowCursor(columnsNeeded, rand);

    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) => _view.GetRowCursorSet(columnsNeeded, n, rand);

    IEnumerable<DataViewSchema.Column> IRowToRowMapper.GetDependencies(IEnumerable<DataViewSchema.Column> dependingColumns) => _mapper.GetDependencies(dependingColumns);

    DataViewRow IRowToRowMapper.GetRow(DataViewRow input, IEnumerable<DataViewSchema.Column> activeColumns) => _mapper.GetRow(input, activeColumns);

    IDataTransform ITransformTemplate.ApplyToData(IHostEnvironment env, IDataView newSource) => (IDataTransform)step.Transform(newSource);

    void ICanSaveModel.Save(ModelSaveContext ctx) => step.Save(ctx);

    /// <exception cref="NotSupportedException">A step before this one would be left out.</exception>
    bool ICanSaveOnnx.CanSaveOnnx(OnnxContext ctx)
    {
        string[] needed = [.. _mapper.GetDependencies(schema.Output.Where(column => schema.IsScore(column.Index))).Select(column => column.Name)];
        IDataTransform? obstacle = null;
        for (IDataView view = source; view is IDataTransform transform; view = transform.Source)
        {
            if (transform is not ITransformCanSaveOnnx writable || !writable.CanSaveOnnx(ctx))
                obstacle ??= transform;
            // From there on back nothing is written: harmless where it only chooses rows, or makes other columns.
            if (obstacle is not null && Array.Find(needed, name => Makes(transform, name)) is { } column)
                throw new NotSupportedException(
                    $"The chain cannot be converted to ONNX: {Name} needs the column '{column}' of {transform.GetType().Name}, and {obstacle.GetType().Name} cannot be written as ONNX. "
                    + "Convert a chain without it, or give ConvertToOnnx input data that have the column already.");
            if (obstacle is null && transform is IRowToRowMapper mapper)
                needed = [.. mapper.GetDependencies(needed.Select(name => transform.Schema[name])).Select(dependency => dependency.Name).Distinct()];
        }
        return true;
    }

    void ISaveAsOnnx.SaveAsOnnx(OnnxContext ctx)
    {
        string column = schema.Features.Name;
        if (!ctx.ContainsColumn(column))
            throw new NotSupportedException(
                $"The chain cannot be converted to ONNX: {Name} needs the column '{column}', which none of the steps that can be written as ONNX makes, and which is no input.");
        var graph = new MLNetGraph(ctx, Name);
        string features = ctx.GetVariableName(column);
        if (schema.Features.Type is VectorDataViewType { Dimensions.Length: > 1 } type)
            features = graph.Add("Reshape", [features, graph.Constant("rows", [-1L, type.Size])]);
        try
        {
            step.Export(graph, features, name => ctx.AddIntermediateVariable(schema.Output[name].Type, name));
        }
        catch (NotSupportedException exception)
        {
            throw new NotSupportedException($"The chain cannot be converted to ONNX, because of {Name}: {exception.Message}", exception);
        }
    }

    private string Name => step.GetType().Name;

    /// <summary>Whether a transform adds a column of a name, be it in the place of another one.</summary>
    private static bool Makes(IDataTransform transform, string name) => Count(transform.Schema, name) != Count(transform.Source.Schema, name);

    private static int Count(DataViewSchema schema, string name) => schema.Count(column => column.Name == name);
}
