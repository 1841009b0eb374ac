using System.Globalization;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Datasets;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>Reads what is known of a series at each row: the row's own series, or all rows of its series up to it.</summary>
internal sealed class HistoryReader
{
    private readonly DataViewRow _row;
    private readonly Dictionary<string, ObservedSeries> _histories = [];
    private readonly SeriesReader? _whole;
    private readonly Func<double>? _value;
    private readonly Func<double>? _time;
    private readonly Func<object>? _key;
    private readonly KeptColumn? _keyColumn;
    private readonly int _kept;

    /// <param name="row">The row that moves.</param>
    /// <param name="input">The columns.</param>
    /// <param name="kept">How much of a series must be remembered; 0 for all of it.</param>
    public HistoryReader(DataViewRow row, ForecastInput input, int kept = 0)
    {
        _row = row;
        _kept = kept;
        if (input.Key is { } key)
        {
            _keyColumn = KeptColumn.Of(key, 0);
            _key = _keyColumn.Open(row);
        }
        if (input.AreVectors)
        {
            _whole = new SeriesReader(row, input.Series);
            return;
        }
        _value = ScalarReader.Open(row, input.Values);
        _time = input.Times is { } times ? ScalarReader.Open(row, times) : null;
    }

    /// <summary>All series of data.</summary>
    public static List<ObservedSeries> ReadAll(IDataView data, ForecastInput input, Action checkAlive)
    {
        DataViewSchema.Column?[] columns = [input.Values, input.Times, input.Key];
        using DataViewRowCursor cursor = data.GetRowCursor(columns.OfType<DataViewSchema.Column>());
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
        if (input.AreVectors
            && input.Key is not null && all.GroupBy(series => series.Key).FirstOrDefault(same => same.Count() > 1) is { } twice)
            throw new InvalidOperationException(
                $"Two rows are the series '{twice.Key}' by the column '{input.Key.Value.Name}'; where each row is a series, each has a key of its own.");
        return all;
    }

    /// <summary>What is known at the row at hand; the object is filled further where its series goes on.</summary>
    /// <exception cref="InvalidOperationException">An observation cannot come behind the others, or the key is missing; the message names
    /// the row.</exception>
    public ObservedSeries Read()
    {
        string key = Key();
        if (_whole is not null)
            return Whole(key);
        if (!_histories.TryGetValue(key, out ObservedSeries? series))
            _histories.Add(key, series = new ObservedSeries(key));
        float value = (float)_value!();
        double time = _time is not null ? _time() : series.Count == 0 ? 0 : series.LastTime + 1;
        if (series.FindDefect(time, value) is { } defect)
            throw Wrong(defect);
        series.Add(time, value);
        if (_kept > 0)
            series.Shorten(_kept);
        return series;
    }

    private ObservedSeries Whole(string key)
    {
        RowValues row = _whole!.Read();
        var series = new ObservedSeries(key);
        for (int i = 0; i < row.Values.Length; i += SeriesReader.TimeParts + 1)
        {
            double time = (double)row.Values[i] + row.Values[i + 1];
            float value = row.Values[i + SeriesReader.TimeParts];
            if (series.FindDefect(time, value) is { } defect)
                throw Wrong(defect);
            series.Add(time, value);
        }
        return series;
    }

    private string Key()
    {
        if (_key is null)
            return "";
        object key = _key();
        return _keyColumn!.IsMissing(key)
            ? throw Wrong($"the key column '{_keyColumn.Column.Name}' has no value")
            : Convert.ToString(key, CultureInfo.InvariantCulture)!;
    }

    private InvalidOperationException Wrong(string what) => new($"In row {_row.Position} (counted from 0) {what}.");
}
