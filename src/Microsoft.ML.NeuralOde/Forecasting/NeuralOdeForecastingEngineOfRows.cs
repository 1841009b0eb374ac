using System.Collections;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Datasets;
using Microsoft.ML.NeuralOde.Forecasting;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A <see cref="NeuralOdeForecastingEngine"/> whose observations and forecasts are objects with the columns of the training as members, as
/// those of ML.NET's <c>TimeSeriesPredictionEngine</c> are. Made by
/// <see cref="LatentOdeForecastingTransformer.CreateForecastingEngine{TIn, TOut}"/>; several threads may use one, one after the other.
/// </summary>
/// <remarks>It uses the weights of the model, which must not be disposed of before.</remarks>
/// <typeparam name="TIn">An observation: values, and the time, the key and exogenous values, where the training has columns of
/// them.</typeparam>
/// <typeparam name="TOut">
/// A forecast: arrays of <see cref="float"/> for the forecast and the ends of its intervals by the names of their columns, a time's channels
/// behind those of the time before; and, if wanted, <c>Times</c>, an array of <see cref="double"/>.
/// </typeparam>
public sealed class NeuralOdeForecastingEngine<TIn, TOut> : IDisposable
    where TIn : class
    where TOut : class, new()
{
    private readonly NeuralOdeForecastingEngine _engine;
    private readonly Endless<TIn> _rows = new();
    private readonly Endless<SeriesForecast> _forecasts = new();
    private readonly DataViewRowCursor _cursor;
    private readonly ObservationReader _reader;
    private readonly RowKey _key;
    private readonly string? _keyColumn;
    private readonly bool _hasExogenous;
    private readonly IEnumerator<TOut> _outputs;
    private readonly Lock _gate = new();

    internal NeuralOdeForecastingEngine(
        NeuralOdeForecastingEngine engine, ForecastOutputs outputs, Func<DataViewSchema, ForecastInput> find, SchemaDefinition? inputSchema,
        SchemaDefinition? outputSchema)
    {
        _engine = engine;
        var mlContext = new MLContext();
        IDataView rows = mlContext.Data.LoadFromEnumerable(_rows, inputSchema);
        ForecastInput input = find(rows.Schema);
        if (input.Rows == ForecastRows.Series)
            throw new ArgumentException(
                $"'{input.Values[0].Name}' of {typeof(TIn).Name} is a whole series; an engine takes observations one by one: give it a number, "
                + "or an array of known length with the channels of one ([VectorType(n)]), or use the engine without types.", nameof(inputSchema));
        (_keyColumn, _hasExogenous) = (input.Key?.Name, input.Exogenous.Length > 0);
        _outputs = mlContext.Data.CreateEnumerable<TOut>(
            new RecordView<SeriesForecast>(() => _forecasts, Columns(outputs)), false, false, outputSchema).GetEnumerator();
        _cursor = rows.GetRowCursor(input.All);
        _key = new RowKey(_cursor, input);
        _reader = new ObservationReader(_cursor, input);
    }

    /// <summary>The series' key; empty where there is one series.</summary>
    public string SeriesKey => _engine.SeriesKey;

    /// <summary>Forecasts the next steps.</summary>
    /// <param name="horizon">How many, up to the horizon of the training; null for that.</param>
    /// <param name="confidenceLevel">The share of values that are to lie inside of the intervals; null for that of the training.</param>
    /// <exception cref="ArgumentOutOfRangeException">The horizon or the level makes no sense.</exception>
    /// <exception cref="InvalidOperationException">Fewer than two values of a channel are known among the last ones, too many are missing
    /// behind them, or exogenous values to come are not known.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public TOut Predict(int? horizon = null, double? confidenceLevel = null)
    {
        lock (_gate)
            return Made(_engine.Predict(horizon ?? _engine.Horizon, confidenceLevel));
    }

    /// <summary>Takes a new observation, and forecasts what follows it.</summary>
    /// <param name="example">The observation.</param>
    /// <param name="horizon">The steps, up to the horizon of the training; null for that.</param>
    /// <param name="confidenceLevel">The share of values that are to lie inside of the intervals; null for that of the training.</param>
    /// <exception cref="ArgumentException">The observation belongs to another series, a value is infinite, or the time is not behind the
    /// last one; the state is as before then.</exception>
    /// <inheritdoc cref="Predict(int?, double?)" path="/*[not(self::param or self::summary)]"/>
    public TOut Predict(TIn example, int? horizon = null, double? confidenceLevel = null)
    {
        _engine.Check(horizon ?? _engine.Horizon, confidenceLevel);
        lock (_gate)
        {
            Observe(example);
            return Predict(horizon, confidenceLevel);
        }
    }

    /// <summary>Forecasts the times of rows to come, with their exogenous values; their values are not looked at, nor remembered.</summary>
    /// <param name="future">The rows, in the order of their times, where the training has a column of them: one a step otherwise.</param>
    /// <param name="confidenceLevel">The share of values that are to lie inside of the intervals; null for that of the training.</param>
    /// <exception cref="ArgumentException">A row belongs to another series, or times or exogenous values make no sense; the message says
    /// which.</exception>
    /// <inheritdoc cref="Predict(int?, double?)" path="/*[not(self::param or self::summary)]"/>
    public TOut Predict(IReadOnlyList<TIn> future, double? confidenceLevel = null)
    {
        ArgumentNullException.ThrowIfNull(future);
        var times = new List<double>();
        var exogenous = new List<float[]>();
        lock (_gate)
        {
            foreach (TIn row in future)
            {
                MoveTo(row, nameof(future));
                if (_reader.Time() is { } time)
                    times.Add(time);
                exogenous.Add(_reader.Exogenous().ToArray());
            }
            return times.Count == 0 && !_hasExogenous ? Predict(future.Count, confidenceLevel) : Made(_engine.Predict(
                new SeriesFuture
                {
                    Times = times.Count > 0 ? times : null,
                    Exogenous = _hasExogenous ? exogenous : null,
                },
                confidenceLevel));
        }
    }

    /// <summary>Takes a new observation.</summary>
    /// <param name="example">The observation.</param>
    /// <exception cref="ArgumentException">The observation belongs to another series, a value is infinite, or the time is not behind the
    /// last one; the state is as before then.</exception>
    public void Observe(TIn example)
    {
        lock (_gate)
        {
            MoveTo(example, nameof(example));
            _engine.Observe(new SeriesObservation(_reader.Values().ToArray(), _reader.Time())
            {
                Exogenous = _hasExogenous ? _reader.Exogenous().ToArray() : null,
            });
        }
    }

    /// <inheritdoc cref="NeuralOdeForecastingEngine.CheckPoint"/>
    public void CheckPoint(string path) => _engine.CheckPoint(path);

    /// <summary>Frees what reads and writes the objects; the model stays.</summary>
    public void Dispose()
    {
        _cursor.Dispose();
        _outputs.Dispose();
    }

    private static List<RecordColumn<SeriesForecast>> Columns(ForecastOutputs outputs)
    {
        var columns = new List<RecordColumn<SeriesForecast>>();
        Add(outputs.Forecast, forecast => forecast.Values);
        Add(outputs.LowerBound, forecast => forecast.LowerBounds);
        Add(outputs.UpperBound, forecast => forecast.UpperBounds);
        if (!columns.Exists(column => column.Name == SeriesAnnotations.Times))
            columns.Add(RecordColumn<SeriesForecast>.Vector(
                SeriesAnnotations.Times, NumberDataViewType.Double, forecast => forecast.Times));
        return columns;

        void Add(string? name, Func<SeriesForecast, float[]> values)
        {
            if (name is not null)
                columns.Add(RecordColumn<SeriesForecast>.Vector(name, NumberDataViewType.Single, values));
        }
    }

    private void MoveTo(TIn row, string argument)
    {
        ArgumentNullException.ThrowIfNull(row, argument);
        _rows.Now = row;
        ObjectDisposedException.ThrowIf(!_cursor.MoveNext(), this);
        if (_keyColumn is not null && _key.Read() is var key && key != SeriesKey)
            throw new ArgumentException(
                $"'{_keyColumn}' is '{key}'; this engine forecasts the series '{SeriesKey}'.", argument);
    }

    private TOut Made(SeriesForecast forecast)
    {
        _forecasts.Now = forecast;
        ObjectDisposedException.ThrowIf(!_outputs.MoveNext(), this);
        return _outputs.Current;
    }

    /// <summary>Rows without end: at each step that which is at hand.</summary>
    private sealed class Endless<T> : IEnumerable<T>
        where T : class
    {
        public T? Now { get; set; }

        public IEnumerator<T> GetEnumerator()
        {
            while (true)
                yield return Now!;
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
