using System.Globalization;
using Microsoft.ML.NeuralOde.Forecasting;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Forecasts one series from where it stands, and takes new values as they come. Made by
/// <see cref="LatentOdeForecastingTransformer.CreateForecastingEngine(string)"/>; several threads may use one, one after the other.
/// </summary>
/// <remarks>It uses the weights of the model, which must not be disposed of before.</remarks>
public sealed class NeuralOdeForecastingEngine
{
    private readonly LatentOdeForecastingTransformer _transformer;
    private readonly ObservedSeries _series;
    private readonly Lock _gate = new();

    internal NeuralOdeForecastingEngine(LatentOdeForecastingTransformer transformer, ObservedSeries series)
    {
        _transformer = transformer;
        _series = series;
    }

    /// <summary>The series' key; empty where there is one series.</summary>
    public string SeriesKey => _series.Key;

    /// <summary>The horizon of the training.</summary>
    internal int Horizon => Model.Horizon;

    private LatentOdeForecastingModel Model => _transformer.Model;

    /// <summary>Forecasts the horizon of the training.</summary>
    /// <exception cref="InvalidOperationException">Fewer than two values of a channel are known among the last ones, too many are missing
    /// behind them, or exogenous values to come are not known.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public SeriesForecast Predict() => Predict(Model.Horizon);

    /// <summary>Takes a new value, and forecasts what follows it.</summary>
    /// <param name="observation">The value.</param>
    /// <exception cref="ArgumentException">A value is infinite, there are not as many as channels or exogenous columns, or the time is not
    /// behind the last one.</exception>
    /// <inheritdoc cref="Predict()"/>
    public SeriesForecast Predict(SeriesObservation observation)
    {
        lock (_gate)
        {
            Observe(observation);
            return Predict();
        }
    }

    /// <summary>Forecasts some steps.</summary>
    /// <param name="horizon">How many, up to the horizon of the training.</param>
    /// <param name="confidenceLevel">The share of values that are to lie inside of the intervals; null for that of the training.</param>
    /// <exception cref="ArgumentOutOfRangeException">The horizon or the level makes no sense.</exception>
    /// <inheritdoc cref="Predict()"/>
    public SeriesForecast Predict(int horizon, double? confidenceLevel = null)
    {
        double level = Check(horizon, confidenceLevel);
        lock (_gate)
            return Forecast(_series, null, horizon, level);
    }

    /// <summary>Forecasts asked times, which need not lie at steps.</summary>
    /// <remarks>Between two steps values lie on the straight line between theirs, and an interval is as wide as at the later one.</remarks>
    /// <param name="times">The times, which increase and lie behind the last observation, at most the horizon of the training.</param>
    /// <param name="confidenceLevel">The share of values that are to lie inside of the intervals; null for that of the training.</param>
    /// <exception cref="ArgumentException">The times make no sense, or one lies behind the horizon of the training.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The level makes no sense.</exception>
    /// <inheritdoc cref="Predict()"/>
    public SeriesForecast Predict(IReadOnlyList<double> times, double? confidenceLevel = null)
    {
        ArgumentNullException.ThrowIfNull(times);
        return Predict(new SeriesFuture { Times = times }, confidenceLevel);
    }

    /// <summary>Forecasts asked times, or the next steps, with the exogenous values that are known of them.</summary>
    /// <param name="future">What is asked for.</param>
    /// <param name="confidenceLevel">The share of values that are to lie inside of the intervals; null for that of the training.</param>
    /// <exception cref="ArgumentException">Times or exogenous values make no sense; the message says which.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The level makes no sense.</exception>
    /// <inheritdoc cref="Predict()"/>
    public SeriesForecast Predict(SeriesFuture future, double? confidenceLevel = null)
    {
        ArgumentNullException.ThrowIfNull(future);
        double level = Level(confidenceLevel);
        lock (_gate)
        {
            if (future.Times is { } asked)
                CheckTimes(asked);
            if (future.Exogenous is not { } exogenous)
                return Forecast(_series, future.Times, future.Times?.Count ?? Model.Horizon, level);
            if (Model.ExogenousCount == 0)
                throw new ArgumentException("The model was trained without exogenous columns and takes none.", nameof(future));
            int count = future.Times?.Count ?? exogenous.Count;
            Require(
                count >= 1 && (future.Times is not null || count <= Model.Horizon), count, nameof(future),
                "the number of exogenous values");
            if (exogenous.Count != count)
                throw new ArgumentException($"There are {exogenous.Count} arrays of exogenous values for {count} times.", nameof(future));
            ContextView context = Context();
            ObservedSeries told = _series.Tail(_series.Count);
            for (int i = 0; i < count; i++)
                Tell(told, future.Times?[i] ?? _series.LastTime + (i + 1) * context.Step, exogenous[i], nameof(future));
            return Forecast(told, future.Times, count, level);
        }
    }

    /// <summary>Takes a new value.</summary>
    /// <param name="observation">The value.</param>
    /// <exception cref="ArgumentException">A value is infinite, there are not as many as channels or exogenous columns, or the time is not
    /// behind the last one.</exception>
    public void Observe(SeriesObservation observation)
    {
        lock (_gate)
        {
            double time = observation.Time ?? NextTime();
            float[] values = observation.Values is { } several ? [.. several] : [observation.Value];
            if (values.Length != Model.ChannelCount)
                throw new ArgumentException(
                    $"The observation has {values.Length} {(values.Length == 1 ? "value" : "values")}; "
                    + $"the series has {Model.ChannelCount} channels"
                    + (observation.Values is null ? ": give its Values." : "."), nameof(observation));
            if (_series.FindDefect(time, values) is { } defect)
                throw new ArgumentException($"The observation cannot be taken: {defect}.", nameof(observation));
            if (observation.Exogenous is { } exogenous)
                Tell(_series, time, exogenous, nameof(observation));
            else if (_series.Exogenous is { } track && !(track.LastTime >= time))
                throw new ArgumentException(
                    $"The observation needs exogenous values, one for each of '{string.Join("', '", track.Names)}': give its Exogenous.",
                    nameof(observation));
            _series.Add(time, values);
            _series.Shorten(LatentOdeForecastingModel.Remembered(Model.Description));
        }
    }

    /// <summary>Saves the model with the series as it stands now: loaded with <c>mlContext.Model.Load</c>, it makes engines that go on from
    /// there.</summary>
    /// <param name="path">The file, which is replaced at once.</param>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public void CheckPoint(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        lock (_gate)
        {
            LatentOdeForecastingTransformer now = _transformer.With(_series);
            AtomicFile.Write(path, stream =>
            {
                using var whole = new MemoryStream();
                now.SaveTo(whole);
                whole.WriteTo(stream);
            });
        }
    }

    /// <summary>Checks what is asked for.</summary>
    /// <returns>The level.</returns>
    internal double Check(int horizon, double? confidenceLevel)
    {
        double level = Level(confidenceLevel);
        Require(horizon >= 1 && horizon <= Model.Horizon, horizon, nameof(horizon), "horizon");
        return level;
    }

    private double Level(double? confidenceLevel)
    {
        double level = confidenceLevel ?? _transformer.ConfidenceLevel;
        return level is > 0 and < 1 ? level : throw new ArgumentOutOfRangeException(
            nameof(confidenceLevel), confidenceLevel, $"confidenceLevel is {level}; it must be between 0 and 1, such as 0.95.");
    }

    private SeriesForecast Forecast(ObservedSeries series, IReadOnlyList<double>? times, int horizon, double level)
    {
        ContextView context = Context();
        double last = times is null ? series.LastTime + horizon * context.Step : times[^1];
        double longest = Enumerable.Range(0, Model.ChannelCount).Max(channel => context.Lead(last, channel));
        if (longest > Model.Description.Leads + 1e-6)
            throw new InvalidOperationException(
                $"The last value{OfKey} lies {longest:F0} steps before the last time that is asked for; at most "
                + $"{Model.Description.Leads} can be forecast: observe newer values.");
        SeriesForecast forecast = Model.Forecast(series, times, horizon, level)!;
        int unknown = Array.FindIndex(forecast.Values, float.IsNaN);
        return unknown < 0 ? forecast : throw new InvalidOperationException(string.Create(
            CultureInfo.InvariantCulture,
            $"The exogenous values '{string.Join("', '", series.Exogenous?.Names ?? [])}' are known until {series.Exogenous?.LastTime}, ")
            + string.Create(
                CultureInfo.InvariantCulture,
                $"and not at {forecast.Times[unknown / Model.ChannelCount]}: give them with a SeriesFuture."));
    }

    private ContextView Context() => Model.ContextOf(_series) ?? throw new InvalidOperationException(
        $"The series{OfKey} has fewer than two values{OfChannel()} among its last {Model.ContextLength}; a forecast needs two.");

    private string OfKey => SeriesKey.Length == 0 ? "" : $" '{SeriesKey}'";

    private string OfChannel() => Model.ChannelCount == 1
        ? "" : $" of channel {ContextView.FindUnknown(_series, _series.Count, Model.ContextLength)}";

    private void CheckTimes(IReadOnlyList<double> times)
    {
        if (times.Count == 0)
            throw new ArgumentException("No time is asked for; at least one is needed.", nameof(times));
        ContextView context = Context();
        double before = _series.LastTime, most = before + Model.Horizon * context.Step;
        foreach (double time in times)
        {
            if (!double.IsFinite(time) || !(time > before))
                throw new ArgumentException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"A time that is asked for is {time}, after {before}; times must increase, and lie behind the last observation."),
                    nameof(times));
            if (time > most + 1e-6 * context.Step)
                throw new ArgumentException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"A time that is asked for is {time}; the Horizon of {Model.Horizon} "
                        + $"that the model was trained for ends at {most}."),
                    nameof(times));
            before = time;
        }
    }

    private static void Tell(ObservedSeries series, double time, IReadOnlyList<float> exogenous, string argument)
    {
        if (series.Exogenous is not { } track)
            throw new ArgumentException("The model was trained without exogenous columns and takes none.", argument);
        float[] values = [.. exogenous ?? []];
        if (values.Length != track.Channels)
            throw new ArgumentException(
                $"There are {values.Length} exogenous values for the {track.Channels} columns '{string.Join("', '", track.Names)}'.",
                argument);
        if (track.FindDefect(time, values) is { } defect)
            throw new ArgumentException($"The exogenous values cannot be taken: {defect}.", argument);
        track.Set(time, values);
    }

    private void Require(bool isSound, int number, string argument, string name)
    {
        if (!isSound)
            throw new ArgumentOutOfRangeException(
                argument, number, $"{name} is {number}; it must be from 1 to {Model.Horizon}, the Horizon that the model was trained for.");
    }

    private double NextTime() => _series.Count == 0 ? 0 : _series.LastTime + (Model.ContextOf(_series)?.Step ?? 1);
}
