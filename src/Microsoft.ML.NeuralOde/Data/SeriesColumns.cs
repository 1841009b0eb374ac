using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>The columns of series of observations.</summary>
/// <param name="Times">The column of times; null for 0, 1, 2, ….</param>
/// <param name="Values">One column with a time's channels after those of the time before, or several, one a channel.</param>
/// <param name="ChannelCount">How many channels a single column has; null for what its annotation says, or one.</param>
/// <param name="TimesMayBeMissing">Whether the times are 0, 1, 2, … where there is no such column.</param>
internal sealed record SeriesColumns(string? Times, string[] Values, int? ChannelCount = null, bool TimesMayBeMissing = false)
{
    private const string Expected = "a vector of Single or Double, of any length";

    /// <summary>Finds the columns in data.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing, has the wrong type, or says that it has another number of
    /// channels.</exception>
    public SeriesInput Find(IExceptionContext context, DataViewSchema schema)
    {
        DataViewSchema.Column[] values = [.. Values.Select(name => Find(name, "series"))];
        DataViewSchema.Column? times = Times is null || (TimesMayBeMissing && schema.GetColumnOrNull(Times) is null)
            ? null : Find(Times, "time");
        if (values.Length > 1)
            return new SeriesInput(times, values, values.Length);
        int? told = SeriesAnnotations.ChannelCountOf(values[0]);
        if (told is not null && ChannelCount is not null && told != ChannelCount)
            throw Schemas.Mismatch(context, "inputSchema", "series", values[0].Name, $"a column of {Channels(ChannelCount.Value)}",
                $"one of {Channels(told.Value)}");
        return new SeriesInput(times, values, ChannelCount ?? told ?? 1);

        DataViewSchema.Column Find(string name, string role)
        {
            DataViewSchema.Column found = schema.GetColumnOrNull(name) ?? throw Schemas.Mismatch(context, "inputSchema", role, name);
            return found.Type is VectorDataViewType { ItemType: { } item } && IsNumber(item)
                ? found
                : throw Schemas.Mismatch(context, "inputSchema", role, name, Expected, found.Type.ToString());
        }
    }

    /// <summary>Checks the columns before there are data.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public void Check(IExceptionContext context, SchemaShape schema)
    {
        foreach (string name in Values)
            Check(name, "series");
        if (Times is not null && !(TimesMayBeMissing && !schema.TryFindColumn(Times, out SchemaShape.Column _)))
            Check(Times, "time");

        void Check(string name, string role)
        {
            if (!schema.TryFindColumn(name, out SchemaShape.Column found))
                throw Schemas.Mismatch(context, "inputSchema", role, name);
            if (found.Kind == SchemaShape.Column.VectorKind.Scalar || found.IsKey || !IsNumber(found.ItemType))
                throw Schemas.Mismatch(context, "inputSchema", role, name, Expected, found.GetTypeString());
        }
    }

    private static bool IsNumber(DataViewType type) => type.Equals(NumberDataViewType.Single) || type.Equals(NumberDataViewType.Double);

    private static string Channels(int count) => count == 1 ? "1 channel" : $"{count} channels";
}

/// <summary>The columns of series, found in data.</summary>
/// <param name="Times">The times; null for 0, 1, 2, ….</param>
/// <param name="Values">The values: one column of all channels, or one a channel.</param>
/// <param name="ChannelCount">The number of channels.</param>
internal sealed record SeriesInput(DataViewSchema.Column? Times, DataViewSchema.Column[] Values, int ChannelCount)
{
    /// <summary>All columns that are read, values first.</summary>
    public IReadOnlyList<DataViewSchema.Column> Columns { get; } = Times is { } times ? [.. Values, times] : Values;
}
