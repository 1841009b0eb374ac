using System.Globalization;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Datasets;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>Reads a row as an observation.</summary>
internal sealed class ObservationReader
{
    private readonly DataViewRow _row;
    private readonly ForecastInput _input;
    private readonly SeriesReader? _vector;
    private readonly Func<double>[] _values = [], _exogenous;
    private readonly Func<double>? _time;
    private readonly float[] _now, _outside;

    /// <param name="row">The row that moves.</param>
    /// <param name="input">The columns.</param>
    public ObservationReader(DataViewRow row, ForecastInput input)
    {
        (_row, _input) = (row, input);
        (_now, _outside) = (new float[input.Channels], new float[input.Exogenous.Length]);
        if (input.Rows == ForecastRows.Vectors)
            _vector = new SeriesReader(row, new SeriesInput(null, input.Values, input.Channels));
        else
            _values = [.. input.Values.Select(column => ScalarReader.Open(row, column))];
        _exogenous = [.. input.Exogenous.Select(column => ScalarReader.Open(row, column))];
        _time = input.Times is { } times ? ScalarReader.Open(row, times) : null;
    }

    /// <summary>The time of the row at hand; null where rows have none.</summary>
    public double? Time() => _time?.Invoke();

    /// <summary>The values of its channels, until the next ones are read.</summary>
    /// <exception cref="InvalidOperationException">There are not as many as channels; the message names the row.</exception>
    public ReadOnlySpan<float> Values()
    {
        if (_vector is not null)
        {
            ReadOnlySpan<float> packed = _vector.Read().Values;
            if (packed.Length != SeriesReader.TimeParts + _input.Channels)
                throw Wrong(_row, $"the column '{_input.Values[0].Name}' has "
                    + $"{packed.Length / (SeriesReader.TimeParts + _input.Channels) * _input.Channels} values; "
                    + $"an observation has {_input.Channels}");
            packed[SeriesReader.TimeParts..].CopyTo(_now);
        }
        for (int i = 0; i < _values.Length; i++)
            _now[i] = (float)_values[i]();
        return _now;
    }

    /// <summary>Its exogenous values, until the next ones are read.</summary>
    public ReadOnlySpan<float> Exogenous()
    {
        for (int i = 0; i < _exogenous.Length; i++)
            _outside[i] = (float)_exogenous[i]();
        return _outside;
    }

    public static InvalidOperationException Wrong(DataViewRow row, string what) => new($"In row {row.Position} (counted from 0) {what}.");
}

/// <summary>The key of the series that a row belongs to; empty where there is one series.</summary>
internal sealed class RowKey
{
    private readonly DataViewRow _row;
    private readonly KeptColumn? _column;
    private readonly Func<object>? _read;

    public RowKey(DataViewRow row, ForecastInput input)
    {
        _row = row;
        _column = input.Key is { } key ? KeptColumn.Of(key, 0) : null;
        _read = _column?.Open(row);
    }

    public string Read()
    {
        if (_read is null)
            return "";
        object key = _read();
        return _column!.IsMissing(key)
            ? throw ObservationReader.Wrong(_row, $"the key column '{_column.Column.Name}' has no value")
            : Convert.ToString(key, CultureInfo.InvariantCulture)!;
    }
}
