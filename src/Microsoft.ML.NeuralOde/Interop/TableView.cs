using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Interop;

/// <summary>Tables of columns whose names are known at run time only.</summary>
internal static class TableView
{
    /// <summary>A data view of columns of Single and of text.</summary>
    /// <param name="environment">Where it lives.</param>
    /// <param name="columns">
    /// Names, all different, and values, as many in each: arrays of <see cref="float"/> or <see cref="string"/>.
    /// </param>
    public static IDataView Of(IHostEnvironment environment, IEnumerable<(string Name, Array Values)> columns)
    {
        var builder = new ArrayDataViewBuilder(environment);
        foreach ((string name, Array values) in columns)
        {
            if (values is float[] numbers)
                builder.AddColumn(name, NumberDataViewType.Single, numbers);
            else
                builder.AddColumn(name, (string[])values);
        }
        return builder.GetDataView();
    }
}
