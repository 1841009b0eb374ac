using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Datasets;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(SeriesGroupingTransformer), typeof(SeriesGroupingTransformer), null, typeof(SignatureLoadModel),
    "Grouping into series", SeriesGroupingTransformer.LoaderSignature)]

namespace Microsoft.ML.NeuralOde;

/// <summary>Groups the rows of a table, an observation each, into series, a row each.</summary>
/// <remarks>
/// The rows of a series may stand anywhere in the table, in the order of their times; series come in the order of their first rows. The
/// whole table is held in memory while a cursor over the series is open.
/// </remarks>
public sealed class SeriesGroupingTransformer : ITransformer
{
    internal const string LoaderSignature = "SeriesGrouping";

    private readonly IHost _host;
    private readonly SeriesGrouping _grouping;

    internal SeriesGroupingTransformer(IHostEnvironment environment, SeriesGrouping grouping)
    {
        _host = environment.Register(nameof(SeriesGroupingTransformer));
        _grouping = grouping;
    }

    /// <summary>False: several rows become one.</summary>
    public bool IsRowToRowMapper => false;

    /// <summary>The columns of the series.</summary>
    /// <param name="inputSchema">The columns of the table.</param>
    /// <returns>The id, the columns that are carried, times and values.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        return _grouping.Group(_host, new EmptyView(inputSchema)).Schema;
    }

    /// <summary>Groups a table when its series are read.</summary>
    /// <param name="input">The table.</param>
    /// <returns>The series.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public IDataView Transform(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        return _grouping.Group(_host, input);
    }

    /// <exception cref="InvalidOperationException">Always: several rows become one.</exception>
    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) => throw new InvalidOperationException(
        "Rows are grouped into series, several into one: there is no way from one row to one row. Give a prediction engine whole series.");

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        byte[] payload = new Payload<SeriesGrouping>(_grouping, []).ToBytes();
        ModelFile.Save(ctx, LoaderSignature, payload, ModelMetadata.Write(
            "grouping into series", _grouping, new { _grouping.Times, _grouping.Values }, "none", null, [], payload));
    }

    /// <summary>Loads a transformer; called by ML.NET.</summary>
    internal static SeriesGroupingTransformer Create(IHostEnvironment env, ModelLoadContext ctx) =>
        ModelFile.Load(env, ctx, LoaderSignature, payload =>
    {
        SeriesGrouping grouping = PayloadReader.Read<SeriesGrouping>(payload).Description;
        return grouping.FindDefect() is { } defect ? throw PayloadReader.Damaged(defect) : new SeriesGroupingTransformer(env, grouping);
    });

    /// <summary>A table of which only the columns are known.</summary>
    private sealed class EmptyView(DataViewSchema schema) : IDataView
    {
        public bool CanShuffle => false;

        public DataViewSchema Schema => schema;

        public long? GetRowCount() => 0;

        public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
            throw new NotSupportedException();

        public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
            throw new NotSupportedException();
    }
}
