using Microsoft.ML.NeuralOde.Forecasting;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Forecasts one series from where it stands, and takes new values as they come. Made by
/// <see cref="LatentOdeForecastingTransformer.CreateForecastingEngine"/>; several threads may use one, one after the other.
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

    /// <summary>Forecasts the horizon of the training.</summary>
    /// <exception cref="InvalidOperationException">Fewer than two values are known.</exception>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public SeriesForecast Predict() => Predict(_transformer.Model.Horizon);

    /// <summary>Takes a new value, and forecasts what follows it.</summary>
    /// <param name="observation">The value.</param>
    /// <exception cref="ArgumentException">The value is infinite, or its time not behind the last one.</exception>
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
        LatentOdeForecastingModel model = _transformer.Model;
        if (horizon < 1 || horizon > model.Horizon)
            throw new ArgumentOutOfRangeException(
                nameof(horizon), horizon,
                $"horizon is {horizon}; it must be from 1 to {model.Horizon}, the Horizon that the model was trained for.");
        double level = confidenceLevel ?? _transformer.ConfidenceLevel;
        if (!(level is > 0 and < 1))
            throw new ArgumentOutOfRangeException(
                nameof(confidenceLevel), confidenceLevel, $"confidenceLevel is {level}; it must be between 0 and 1, such as 0.95.");
        lock (_gate)
            return model.Forecast(_series, horizon, level) ?? throw new InvalidOperationException(
                $"The series{(SeriesKey.Length == 0 ? "" : $" '{SeriesKey}'")} has fewer than two values among its last {model.ContextLength}; a forecast "
                + "needs two.");
    }

    /// <summary>Takes a new value.</summary>
    /// <param name="observation">The value.</param>
    /// <exception cref="ArgumentException">The value is infinite, or its time not behind the last one.</exception>
    public void Observe(SeriesObservation observation)
    {
        lock (_gate)
        {
            double time = observation.Time ?? NextTime();
            if (_series.FindDefect(time, observation.Value) is { } defect)
                throw new ArgumentException($"The observation cannot be taken: {defect}.", nameof(observation));
            _series.Add(time, observation.Value);
            _series.Shorten(LatentOdeForecastingModel.Remembered(_transformer.Model.Description));
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

    private double NextTime()
    {
        ContextView? context = ContextView.Of(_series, _series.Count, _transformer.Model.ContextLength);
        return _series.Count == 0 ? 0 : _series.LastTime + (context?.Step ?? 1);
    }
}
