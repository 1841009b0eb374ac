using Microsoft.ML.NeuralOde.Datasets;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Groups the rows of a table, an observation each, into series, a row each. Created by
/// <see cref="SeriesCatalog.GroupIntoSeries(TransformsCatalog, string, string, string[], string[], string, string)"/>.
/// </summary>
public sealed class SeriesGroupingEstimator : IEstimator<SeriesGroupingTransformer>
{
    private readonly IHost _host;
    private readonly SeriesGrouping _grouping;

    internal SeriesGroupingEstimator(IHostEnvironment environment, SeriesGrouping grouping)
    {
        _host = environment.Register(nameof(SeriesGroupingEstimator));
        _grouping = grouping.FindDefect() is { } defect
            ? throw new ArgumentException($"Rows cannot be grouped into series so: {defect}.", nameof(grouping))
            : grouping;
    }

    /// <summary>Makes the transformer; nothing is learned.</summary>
    /// <param name="input">A table.</param>
    /// <returns>The transformer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public SeriesGroupingTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        _grouping.Group(_host, input);
        return new SeriesGroupingTransformer(_host, _grouping);
    }

    /// <summary>The columns of the series.</summary>
    /// <param name="inputSchema">The columns of the table.</param>
    /// <returns>The id, the columns that are carried, times and values.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        return _grouping.WithOutputs(_host, inputSchema);
    }
}
