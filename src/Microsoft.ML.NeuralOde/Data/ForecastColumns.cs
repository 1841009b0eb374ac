using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Data;

/// <summary>The columns that series are read from: an observation a row in the order of time, or a series a row.</summary>
/// <param name="Values">A number, the channels of an observation, or a series as a vector of any length; the first of several.</param>
/// <param name="Times">A time, or a vector of them; null for 0, 1, 2, ….</param>
/// <param name="Key">Tells to which series a row belongs; null for one series, or where each row is one.</param>
/// <param name="Channels">The columns of all channels where there are several; null for a single one.</param>
/// <param name="ChannelCount">How many channels a single column has; null for what it says itself.</param>
/// <param name="Exogenous">The columns of exogenous values; null for none.</param>
internal sealed record ForecastColumns(
    string Values, string? Times, string? Key, string[]? Channels = null, int? ChannelCount = null, string[]? Exogenous = null)
{
    private const string OfValues = "Single or Double, or a vector of them of any length";
    private const string OfTimes =
        "a number, a DateTime, a DateTimeOffset or a TimeSpan; beside series as vectors a vector of Single or Double";

    private const string OfExogenous = "a number; beside series as vectors a vector of Single or Double";

    private string[] ValueNames => Channels ?? [Values];

    private string[] ExogenousNames => Exogenous ?? [];

    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type, or there are other numbers of
    /// channels.</exception>
    public ForecastInput Find(IExceptionContext context, DataViewSchema schema)
    {
        DataViewSchema.Column[] values =
            [.. ValueNames.Select(name => Find(name, "series", OfValues, type => IsReal(type) || IsVector(type)))];
        DataViewSchema.Column? times = Times is null ? null : Find(Times, "time", OfTimes, type => IsTime(type) || IsVector(type));
        (ForecastRows rows, int channels) = Layout(
            context, values[0].Name, [.. values.Select(column => IsVector(column.Type))],
            values[0].Type is VectorDataViewType { IsKnownSize: true } vector ? vector.Size : null,
            times is { } time && !IsVector(time.Type), SeriesAnnotations.ChannelCountOf(values[0]));
        bool areSeries = rows == ForecastRows.Series;
        if (times is { } found && areSeries != IsVector(found.Type))
            throw Schemas.Mismatch(context, "inputSchema", "time", found.Name, OfTimes, found.Type.ToString());
        DataViewSchema.Column? key = Key is null ? null : Find(Key, "key", "a single value", type => type is PrimitiveDataViewType);
        DataViewSchema.Column[] exogenous = [.. ExogenousNames.Select(
            name => Find(name, "exogenous", OfExogenous, type => areSeries ? IsVector(type) : type is NumberDataViewType))];
        return new ForecastInput(values, times, key, exogenous, rows, channels);

        DataViewSchema.Column Find(string name, string role, string expected, Func<DataViewType, bool> suits)
        {
            DataViewSchema.Column found = schema.GetColumnOrNull(name) ?? throw Schemas.Mismatch(context, "inputSchema", role, name);
            return suits(found.Type) ? found : throw Schemas.Mismatch(context, "inputSchema", role, name, expected, found.Type.ToString());
        }
    }

    /// <summary>Checks the columns before there are data.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public void Check(IExceptionContext context, SchemaShape schema)
    {
        SchemaShape.Column[] values = [.. ValueNames.Select(name => Find(name, "series"))];
        foreach (SchemaShape.Column column in values)
            if (column.IsKey || !IsReal(column.ItemType))
                throw Schemas.Mismatch(context, "inputSchema", "series", column.Name, OfValues, column.GetTypeString());
        SchemaShape.Column? times = Times is null ? null : Find(Times, "time");
        bool isTime = times is { IsKey: false } single && !IsVector(single) && IsTime(single.ItemType);
        // Sizes of vectors are not known here, and are looked at with the data.
        bool areSeries = IsVector(values[0]) && !isTime;
        foreach (SchemaShape.Column column in values)
            if (IsVector(column) != IsVector(values[0]))
                throw Schemas.Mismatch(context, "inputSchema", "series", column.Name, "columns that are all numbers or all vectors",
                    column.GetTypeString());
        if (times is { } time && (time.IsKey || (areSeries ? !IsVector(time) || !IsReal(time.ItemType) : !isTime && !IsVector(values[0]))))
            throw Schemas.Mismatch(context, "inputSchema", "time", time.Name, OfTimes, time.GetTypeString());
        if (Key is not null && Find(Key, "key") is { Kind: not SchemaShape.Column.VectorKind.Scalar } key)
            throw Schemas.Mismatch(context, "inputSchema", "key", Key, "a single value", key.GetTypeString());
        foreach (SchemaShape.Column column in ExogenousNames.Select(name => Find(name, "exogenous")))
            if (column.IsKey || column.ItemType is not NumberDataViewType)
                throw Schemas.Mismatch(context, "inputSchema", "exogenous", column.Name, OfExogenous, column.GetTypeString());

        SchemaShape.Column Find(string name, string role) =>
            schema.TryFindColumn(name, out SchemaShape.Column found) ? found : throw Schemas.Mismatch(context, "inputSchema", role, name);
    }

    /// <summary>What a row is, and how many channels there are.</summary>
    private (ForecastRows Rows, int Channels) Layout(
        IExceptionContext context, string name, bool[] areVectors, int? size, bool isTimeSingle, int? told)
    {
        int place = Array.IndexOf(areVectors, !areVectors[0]);
        if (place >= 0)
            throw Schemas.Mismatch(context, "inputSchema", "series", ValueNames[place], "columns that are all numbers or all vectors",
                areVectors[place] ? "a vector" : "a number");
        if (!areVectors[0] || areVectors.Length > 1)
            return Counted(areVectors[0] ? ForecastRows.Series : ForecastRows.Numbers, areVectors.Length);
        if (size is { } known && (isTimeSingle || known == ChannelCount))
            return Counted(ForecastRows.Vectors, known);
        if (isTimeSingle)
            throw Schemas.Mismatch(context, "inputSchema", "series", name, "a vector of known size, the channels of an observation",
                "one of any length");
        return Counted(ForecastRows.Series, told ?? ChannelCount ?? 1);

        (ForecastRows, int) Counted(ForecastRows rows, int channels) => ChannelCount is { } wanted && wanted != channels
            ? throw Schemas.Mismatch(context, "inputSchema", "series", name, $"{wanted} channels", $"{channels}")
            : (rows, channels);
    }

    private static bool IsReal(DataViewType type) => type.Equals(NumberDataViewType.Single) || type.Equals(NumberDataViewType.Double);

    private static bool IsVector(DataViewType type) => type is VectorDataViewType vector && IsReal(vector.ItemType);

    private static bool IsVector(SchemaShape.Column column) => column.Kind != SchemaShape.Column.VectorKind.Scalar;

    private static bool IsTime(DataViewType type) =>
        type is NumberDataViewType or DateTimeDataViewType or DateTimeOffsetDataViewType or TimeSpanDataViewType;
}

/// <summary>What a row of series to forecast is.</summary>
internal enum ForecastRows
{
    /// <summary>An observation: a number a channel.</summary>
    Numbers,

    /// <summary>An observation: a vector of all channels.</summary>
    Vectors,

    /// <summary>A series.</summary>
    Series,
}

/// <summary>The columns, found in data.</summary>
/// <param name="Values">The values: one column a channel, or one of all.</param>
/// <param name="Times">The times; null for 0, 1, 2, ….</param>
/// <param name="Key">The key; null for none.</param>
/// <param name="Exogenous">The exogenous values.</param>
/// <param name="Rows">What a row is.</param>
/// <param name="Channels">The number of channels.</param>
internal sealed record ForecastInput(
    DataViewSchema.Column[] Values, DataViewSchema.Column? Times, DataViewSchema.Column? Key, DataViewSchema.Column[] Exogenous,
    ForecastRows Rows, int Channels)
{
    /// <summary>The columns of values as series.</summary>
    public SeriesInput Series { get; } = new(Times, Values, Channels);

    /// <summary>All columns.</summary>
    public IReadOnlyList<DataViewSchema.Column> All { get; } =
    [
        .. Values, .. Times is { } times ? [times] : (DataViewSchema.Column[])[], .. Key is { } key ? [key] : (DataViewSchema.Column[])[],
        .. Exogenous,
    ];

    /// <summary>The names of the exogenous columns.</summary>
    public string[] ExogenousNames => [.. Exogenous.Select(column => column.Name)];

    /// <summary>The names of the channels.</summary>
    public string[] ChannelNames => Values.Length > 1 || Channels == 1
        ? [.. Values.Select(column => column.Name)]
        : [.. Enumerable.Range(0, Channels).Select(channel => $"{Values[0].Name}[{channel}]")];
}
