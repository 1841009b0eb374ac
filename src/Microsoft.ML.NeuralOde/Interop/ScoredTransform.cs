using Microsoft.ML.Data;
using Microsoft.ML.Model.OnnxConverter;
using Microsoft.ML.NeuralOde.Export;
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
/// Scored data as ML.NET's conversion to ONNX wants to find them. It walks from the end of a chain back to its source, takes what is no
/// such transform for the source, and leaves out, with no more than a warning, what says that it cannot be written. A model without one of
/// its steps is wrong, so that everything that stands in the way is an exception here.
/// </summary>
/// <param name="source">The data.</param>
/// <param name="scored">The same with scores behind its columns.</param>
/// <param name="mapper">Scores row by row.</param>
/// <param name="features">The column of the data that is written as the step's input.</param>
/// <param name="step">What scores.</param>
internal sealed class ScoredTransform(
    IDataView source, IDataView scored, IRowToRowMapper mapper, DataViewSchema.Column features, IScoringStep step)
    : ITransformCanSaveOnnx, ITransformTemplate, IRowToRowMapper
{
    public IDataView Source => source;

    public bool CanShuffle => scored.CanShuffle;

    public DataViewSchema Schema => scored.Schema;

    DataViewSchema IRowToRowMapper.InputSchema => source.Schema;

    DataViewSchema IRowToRowMapper.OutputSchema => Schema;

    public long? GetRowCount() => scored.GetRowCount();

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
        scored.GetRowCursor(columnsNeeded, rand);

    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        scored.GetRowCursorSet(columnsNeeded, n, rand);

    IEnumerable<DataViewSchema.Column> IRowToRowMapper.GetDependencies(IEnumerable<DataViewSchema.Column> dependingColumns) =>
        mapper.GetDependencies(dependingColumns);

    DataViewRow IRowToRowMapper.GetRow(DataViewRow input, IEnumerable<DataViewSchema.Column> activeColumns) =>
        mapper.GetRow(input, activeColumns);

    IDataTransform ITransformTemplate.ApplyToData(IHostEnvironment env, IDataView newSource) => (IDataTransform)step.Transform(newSource);

    void ICanSaveModel.Save(ModelSaveContext ctx) => step.Save(ctx);

    /// <exception cref="NotSupportedException">A step before this one would be left out.</exception>
    bool ICanSaveOnnx.CanSaveOnnx(OnnxContext ctx)
    {
        string[] needed = [.. mapper.GetDependencies(Schema.Skip(source.Schema.Count)).Select(column => column.Name)];
        IDataTransform? obstacle = null;
        for (IDataView view = source; view is IDataTransform transform; view = transform.Source)
        {
            if (transform is not ITransformCanSaveOnnx writable || !writable.CanSaveOnnx(ctx))
                obstacle ??= transform;
            // From there on back nothing is written: harmless where it only chooses rows, or makes other columns.
            if (obstacle is not null && Array.Find(needed, name => Makes(transform, name)) is { } column)
                throw new NotSupportedException(
                    $"The chain cannot be converted to ONNX: {Name} needs the column '{column}' of {transform.GetType().Name}, and "
                    + $"{obstacle.GetType().Name} cannot be written as ONNX. "
                    + "Convert a chain without it, or give ConvertToOnnx input data that have the column already.");
            if (obstacle is null && transform is IRowToRowMapper inner)
                needed = [.. inner.GetDependencies(needed.Select(name => transform.Schema[name]))
                    .Select(dependency => dependency.Name).Distinct()];
        }
        return true;
    }

    void ISaveAsOnnx.SaveAsOnnx(OnnxContext ctx)
    {
        string column = features.Name;
        if (!ctx.ContainsColumn(column))
            throw new NotSupportedException(
                $"The chain cannot be converted to ONNX: {Name} needs the column '{column}', "
                + "which none of the steps that can be written as ONNX makes, and which is no input.");
        var graph = new MLNetGraph(ctx, Name);
        string x = ctx.GetVariableName(column);
        if (features.Type is VectorDataViewType { Dimensions.Length: > 1 } type)
            x = graph.Add("Reshape", [x, graph.Constant("rows", [-1L, type.Size])]);
        try
        {
            step.Export(graph, x, name => ctx.AddIntermediateVariable(Schema[name].Type, name));
        }
        catch (NotSupportedException exception)
        {
            throw new NotSupportedException($"The chain cannot be converted to ONNX, because of {Name}: {exception.Message}", exception);
        }
    }

    private string Name => step.GetType().Name;

    /// <summary>Whether a transform adds a column of a name, be it in the place of another one.</summary>
    private static bool Makes(IDataTransform transform, string name) =>
        Count(transform.Schema, name) != Count(transform.Source.Schema, name);

    private static int Count(DataViewSchema schema, string name) => schema.Count(column => column.Name == name);
}
