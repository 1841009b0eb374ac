using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Datasets;

/// <summary>Which columns of a table of observations become which columns of series.</summary>
/// <param name="Id">Tells to which series a row belongs.</param>
/// <param name="Time">The time of the observation.</param>
/// <param name="Channels">What was observed.</param>
/// <param name="Carried">Columns that are the same in all rows of a series.</param>
/// <param name="Times">The column of times that is made.</param>
/// <param name="Values">The column of values that is made.</param>
internal sealed record SeriesGrouping(string Id, string Time, string[] Channels, string[] Carried, string Times, string Values)
{
    private const string TimeTypes = "a number, a DateTime, a DateTimeOffset or a TimeSpan";

    /// <summary>What makes no sense in a description, as a clause; null for nothing.</summary>
    public string? FindDefect()
    {
        if (Channels is not { Length: > 0 } || Carried is null || Everything.Any(string.IsNullOrWhiteSpace))
            return "the name of a column is missing";
        string[] outputs = [Id, .. Carried, Times, Values];
        if (outputs.GroupBy(name => name).FirstOrDefault(names => names.Count() > 1) is { } twice)
            return $"two columns of the series would have the name '{twice.Key}'";
        return Channels.GroupBy(name => name).FirstOrDefault(names => names.Count() > 1) is { } channel
            ? $"the channel '{channel.Key}' is named twice"
            : null;
    }

    /// <summary>The columns of series, for columns of a table.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public SchemaShape WithOutputs(IExceptionContext context, SchemaShape input)
    {
        Find(Time, "time", TimeTypes, IsTime);
        foreach (string channel in Channels)
            Find(channel, "channel", "a number", IsNumber);
        SchemaShape.Column[] kept =
            [Find(Id, "id", "a single value", IsSingle), .. Carried.Select(name => Find(name, "carried", "a single value", IsSingle))];
        return new SchemaShape([
            .. kept,
            new SchemaShape.Column(Times, SchemaShape.Column.VectorKind.VariableVector, NumberDataViewType.Double, false),
            new SchemaShape.Column(Values, SchemaShape.Column.VectorKind.VariableVector, NumberDataViewType.Single, false),
        ]);

        SchemaShape.Column Find(string name, string role, string expected, Func<DataViewType, bool> suits)
        {
            if (!input.TryFindColumn(name, out SchemaShape.Column found))
                throw Schemas.Mismatch(context, "inputSchema", role, name);
            // The type of a key is that of its numbers here.
            return found.Kind == SchemaShape.Column.VectorKind.Scalar
                && suits(found.ItemType) && !(found.IsKey && (role is "time" or "channel"))
                ? found
                : throw Schemas.Mismatch(context, "inputSchema", role, name, expected, found.GetTypeString());
        }
    }

    /// <summary>The series of a table.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public IDataView Group(IExceptionContext context, IDataView data)
    {
        DataViewSchema schema = data.Schema;
        DataViewSchema.Column time = Find(Time, "time", TimeTypes, IsTime);
        DataViewSchema.Column[] channels = [.. Channels.Select(name => Find(name, "channel", "a number", IsNumber))];
        KeptColumn[] kept = [.. ((string[])[Id, .. Carried]).Select((name, i) =>
            KeptColumn.Of(Find(name, i == 0 ? "id" : "carried", "a single value", IsSingle), i))];
        RecordColumn<SeriesGroup>[] columns =
        [
            .. kept.Select(column => column.ToRecordColumn()),
            RecordColumn<SeriesGroup>.Vector(Times, NumberDataViewType.Double, group => group.Times.ToArray()),
            RecordColumn<SeriesGroup>.Vector(
                Values, NumberDataViewType.Single, group => group.Values.ToArray(), SeriesAnnotations.Of(channels.Length)),
        ];
        return new RecordView<SeriesGroup>(() => Read(data, kept, time, channels), columns);

        DataViewSchema.Column Find(string name, string role, string expected, Func<DataViewType, bool> suits)
        {
            DataViewSchema.Column found = schema.GetColumnOrNull(name) ?? throw Schemas.Mismatch(context, "inputSchema", role, name);
            return suits(found.Type) ? found : throw Schemas.Mismatch(context, "inputSchema", role, name, expected, found.Type.ToString());
        }
    }

    private IEnumerable<string> Everything => [Id, Time, .. Channels, .. Carried, Times, Values];

    private static bool IsSingle(DataViewType type) => type is PrimitiveDataViewType;

    private static bool IsNumber(DataViewType type) => type is NumberDataViewType;

    private static bool IsTime(DataViewType type) =>
        type is NumberDataViewType or DateTimeDataViewType or DateTimeOffsetDataViewType or TimeSpanDataViewType;

    private List<SeriesGroup> Read(IDataView data, KeptColumn[] kept, DataViewSchema.Column time, DataViewSchema.Column[] channels)
    {
        using DataViewRowCursor cursor = data.GetRowCursor([.. kept.Select(column => column.Column), time, .. channels]);
        Func<object>[] keptReaders = [.. kept.Select(column => column.Open(cursor))];
        Func<double> timeReader = ScalarReader.Open(cursor, time);
        Func<double>[] channelReaders = [.. channels.Select(channel => ScalarReader.Open(cursor, channel))];
        var groups = new List<SeriesGroup>();
        var byId = new Dictionary<object, SeriesGroup>();
        while (cursor.MoveNext())
        {
            long row = cursor.Position;
            object[] values = [.. keptReaders.Select(read => read())];
            if (kept[0].IsMissing(values[0]))
                throw Wrong(row, $"the id column '{Id}' has no value");
            if (!byId.TryGetValue(kept[0].Key(values[0]), out SeriesGroup? group))
            {
                group = new SeriesGroup(values, row);
                byId.Add(kept[0].Key(values[0]), group);
                groups.Add(group);
            }
            CheckCarried(kept, group, values, row);
            AddTime(group, timeReader(), row);
            for (int i = 0; i < channels.Length; i++)
            {
                float value = (float)channelReaders[i]();
                group.Values.Add(!float.IsInfinity(value) ? value : throw Wrong(row, $"the channel '{channels[i].Name}' is {value}"));
            }
        }
        return groups;
    }

    private void CheckCarried(KeptColumn[] kept, SeriesGroup group, object[] values, long row)
    {
        for (int i = 1; i < kept.Length; i++)
            if (!kept[i].Key(values[i]).Equals(kept[i].Key(group.Kept[i])))
                throw Wrong(row,
                    $"the column '{kept[i].Column.Name}' is {KeptColumn.Describe(values[i])}, but {KeptColumn.Describe(group.Kept[i])} "
                    + $"in row {group.FirstRow} of the same series ('{Id}' is {KeptColumn.Describe(group.Kept[0])}); it must be the same in all rows of a series");
    }

    private void AddTime(SeriesGroup group, double time, long row)
    {
        if (!double.IsFinite(time))
            throw Wrong(
                row, $"the time column '{Time}' is {(double.IsNaN(time) ? "missing" : time.ToString(CultureInfo.InvariantCulture))}");
        if (group.Times.Count > 0 && !(time > group.Times[^1]))
        {
            string now = time.ToString(CultureInfo.InvariantCulture), before = group.Times[^1].ToString(CultureInfo.InvariantCulture);
            throw Wrong(row, time == group.Times[^1]
                ? $"the time {now} comes a second time, as in row {group.LastRow} of the same series; a series has each time once"
                : $"the time is {now}, after {before} in row {group.LastRow} of the same series; times must increase: sort the rows by '{Time}'");
        }
        group.Times.Add(time);
        group.LastRow = row;
    }

    private static InvalidOperationException Wrong(long row, string what) =>
        new($"The rows cannot be grouped into series: in row {row} (counted from 0) {what}.");
}

/// <summary>A series that rows are gathered into.</summary>
/// <param name="kept">Its id, and the values that are the same in all its rows.</param>
/// <param name="row">Its first row.</param>
internal sealed class SeriesGroup(object[] kept, long row)
{
    public object[] Kept { get; } = kept;

    public long FirstRow { get; } = row;

    public long LastRow { get; set; } = row;

    public List<double> Times { get; } = [];

    /// <summary>A time's channels after those of the time before.</summary>
    public List<float> Values { get; } = [];
}
