using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Datasets;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>Reads what is known of a series at each row: the row's own series, or all rows of its series up to it.</summary>
internal sealed class HistoryReader
{
    private readonly DataViewRow _row;
    private readonly ForecastInput _input;
    private readonly IReadOnlyDictionary<string, ExogenousTrack>? _ahead;
    private readonly Dictionary<string, ObservedSeries> _histories = [];
    private readonly ObservationReader? _observations;
    private readonly SeriesReader? _series, _exogenous;
    private readonly RowKey _key;
    private readonly int _kept;

    /// <param name="row">The row that moves.</param>
    /// <param name="input">The columns.</param>
    /// <param name="kept">How much of a series must be remembered; 0 for all of it.</param>
    /// <param name="ahead">The exogenous values of all series by their keys, where they are known before their rows are read.</param>
    public HistoryReader(
        DataViewRow row, ForecastInput input, int kept = 0, IReadOnlyDictionary<string, ExogenousTrack>? ahead = null)
    {
        (_row, _input, _kept, _ahead) = (row, input, kept, ahead);
        _key = new RowKey(row, input);
        if (input.Rows != ForecastRows.Series)
        {
            _observations = new ObservationReader(row, input);
            return;
        }
        _series = new SeriesReader(row, input.Series);
        if (input.Exogenous.Length > 0)
            _exogenous = new SeriesReader(row, new SeriesInput(input.Times, input.Exogenous, input.Exogenous.Length));
    }

    /// <summary>All series of data.</summary>
    public static List<ObservedSeries> ReadAll(IDataView data, ForecastInput input, Action checkAlive)
    {
        using DataViewRowCursor cursor = data.GetRowCursor(input.All);
        var reader = new HistoryReader(cursor, input);
        var all = new List<ObservedSeries>();
        var seen = new HashSet<ObservedSeries>();
        while (cursor.MoveNext())
        {
            if (cursor.Position % 1024 == 0)
                checkAlive();
            ObservedSeries series = reader.Read();
            if (seen.Add(series))
                all.Add(series);
        }
        if (input.Rows == ForecastRows.Series
            && input.Key is not null && all.GroupBy(series => series.Key).FirstOrDefault(same => same.Count() > 1) is { } twice)
            throw new InvalidOperationException(
                $"Two rows are the series '{twice.Key}' by the column '{input.Key.Value.Name}'; where each row is a series, "
                + "each has a key of its own.");
        return all;
    }

    /// <summary>The exogenous values of all series of data, an observation a row, by their keys.</summary>
    public static Dictionary<string, ExogenousTrack> ReadExogenous(IDataView data, ForecastInput input)
    {
        IEnumerable<DataViewSchema.Column?> columns = [input.Times, input.Key, .. input.Exogenous.Cast<DataViewSchema.Column?>()];
        using DataViewRowCursor cursor = data.GetRowCursor(columns.OfType<DataViewSchema.Column>());
        var key = new RowKey(cursor, input);
        Func<double>[] readers = [.. input.Exogenous.Select(column => ScalarReader.Open(cursor, column))];
        Func<double>? time = input.Times is { } times ? ScalarReader.Open(cursor, times) : null;
        var tracks = new Dictionary<string, ExogenousTrack>();
        float[] values = new float[readers.Length];
        while (cursor.MoveNext())
        {
            string name = key.Read();
            if (!tracks.TryGetValue(name, out ExogenousTrack? track))
                tracks.Add(name, track = new ExogenousTrack(input.ExogenousNames));
            for (int i = 0; i < values.Length; i++)
                values[i] = (float)readers[i]();
            double now = time is not null ? time() : track.Count == 0 ? 0 : track.LastTime + 1;
            if (track.FindDefect(now, values) is { } defect)
                throw Wrong(cursor, defect);
            track.Set(now, values);
        }
        return tracks;
    }

    /// <summary>What is known at the row at hand; the object is filled further where its series goes on.</summary>
    /// <exception cref="InvalidOperationException">An observation cannot come behind the others, the key or an exogenous value is missing;
    /// the message names the row.</exception>
    public ObservedSeries Read()
    {
        string key = _key.Read();
        if (_observations is null)
            return Whole(key);
        if (!_histories.TryGetValue(key, out ObservedSeries? series))
            _histories.Add(key, series = Begin(key));
        ReadOnlySpan<float> values = _observations.Values();
        double time = _observations.Time() ?? (series.Count == 0 ? 0 : series.LastTime + 1);
        if (series.FindDefect(time, values) is { } defect)
            throw Wrong(_row, defect);
        if (series.Exogenous is { } track && !series.IsKnownAhead)
        {
            ReadOnlySpan<float> exogenous = _observations.Exogenous();
            if (track.FindDefect(time, exogenous) is { } outside)
                throw Wrong(_row, outside);
            track.Set(time, exogenous);
        }
        series.Add(time, values);
        if (_kept > 0)
            series.Shorten(_kept);
        return series;
    }

    private ObservedSeries Begin(string key)
    {
        if (_input.Exogenous.Length == 0)
            return new ObservedSeries(key, _input.Channels);
        ExogenousTrack? known = _ahead?.GetValueOrDefault(key);
        return new ObservedSeries(key, _input.Channels, known ?? new ExogenousTrack(_input.ExogenousNames), known is not null);
    }

    private ObservedSeries Whole(string key)
    {
        RowValues row = _series!.Read();
        ObservedSeries series = Begin(key);
        int stride = SeriesReader.TimeParts + _input.Channels;
        for (int i = 0; i < row.Values.Length; i += stride)
        {
            double time = SeriesReader.TimeOf(row.Values[i..]);
            ReadOnlySpan<float> values = row.Values.Slice(i + SeriesReader.TimeParts, _input.Channels);
            if (series.FindDefect(time, values) is { } defect)
                throw Wrong(_row, defect);
            series.Add(time, values);
        }
        if (_exogenous is null)
            return series;
        row = _exogenous.Read();
        stride = SeriesReader.TimeParts + _input.Exogenous.Length;
        if (row.Values.Length / stride != series.Count)
            throw Wrong(_row, $"the column '{_input.Exogenous[0].Name}' has {row.Values.Length / stride} values "
                + $"and '{_input.Values[0].Name}' {series.Count} observations; both must be as long: "
                + "where exogenous values go on, the others are NaN");
        for (int i = 0; i < row.Values.Length; i += stride)
        {
            ReadOnlySpan<float> values = row.Values.Slice(i + SeriesReader.TimeParts, _input.Exogenous.Length);
            double time = SeriesReader.TimeOf(row.Values[i..]);
            if (series.Exogenous!.FindDefect(time, values) is { } defect)
                throw Wrong(_row, defect);
            series.Exogenous.Set(time, values);
        }
        return series.WithoutFuture();
    }

    private static InvalidOperationException Wrong(DataViewRow row, string what) => ObservationReader.Wrong(row, what);
}
