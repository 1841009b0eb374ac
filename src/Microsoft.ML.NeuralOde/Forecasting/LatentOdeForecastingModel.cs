using Microsoft.ML.NeuralOde.Forecasting;
using Microsoft.ML.NeuralOde.Scoring;

namespace Microsoft.ML.NeuralOde;

/// <summary>A trained forecaster: what is known of series in, what comes next out. May serve several threads at once.</summary>
public sealed class LatentOdeForecastingModel : IRowScorer, IDisposable
{
    private readonly SharedNetwork<ForecastNetwork> _network;
    private readonly ForecastDescription _description;
    private readonly double _confidence;

    internal LatentOdeForecastingModel(ForecastNetwork network, ForecastCalibration calibration, double confidence)
    {
        _network = new SharedNetwork<ForecastNetwork>(network, typeof(LatentOdeForecastingModel));
        _description = network.Description;
        _confidence = confidence;
        Calibration = calibration;
        network.eval();
        ParameterCount = network.parameters().Sum(parameter => parameter.numel());
        LatentShare = network.Share;
    }

    /// <summary>The number of steps that are forecast.</summary>
    public int Horizon => _description.Horizon;

    /// <summary>The number of observations that a forecast looks at.</summary>
    public int ContextLength => _description.ContextLength;

    /// <summary>The number of weights of the latent equation and its networks.</summary>
    public long ParameterCount { get; }

    /// <summary>
    /// How much of the latent equation's forecast is added to that of the linear map, from 0 to 1: as much as helped on the windows for
    /// validation.
    /// </summary>
    public double LatentShare { get; }

    /// <summary>The model's structure.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public NeuralOdeModelSummary Summary
    {
        get
        {
            using SharedNetwork<ForecastNetwork>.Loan loan = Borrow();
            return loan.Network.Summarize();
        }
    }

    /// <summary>A copy of all weights and statistics by their names.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    public IReadOnlyDictionary<string, ModelWeights> Weights
    {
        get
        {
            using SharedNetwork<ForecastNetwork>.Loan loan = Borrow();
            return ModelWeights.Of(loan.Network.ToArrays());
        }
    }

    internal ForecastCalibration Calibration { get; }

    internal ForecastDescription Description => _description;

    /// <summary>Forecasts, and both ends of their intervals.</summary>
    int IRowScorer.OutputCount => 3 * Horizon;

    int IRowScorer.InputCount => 0;

    bool IRowScorer.NeedsOrder => true;

    /// <summary>Frees the weights; where other threads are scoring, once they are done with the rows at hand.</summary>
    public void Dispose() => _network.Dispose();

    RowScoring IRowScorer.Open(DataViewRow row, ScoredSchema schema, int capacity) => new ForecastScoring(
        new HistoryReader(row, schema.Inputs.Forecast!, Remembered(_description)), Remembered(_description), 3 * Horizon, Score);

    /// <summary>How much of a series' end is kept: a context, and what may be missing behind it.</summary>
    internal static int Remembered(ForecastDescription description) => description.ContextLength + description.Leads;

    internal SharedNetwork<ForecastNetwork>.Loan Borrow() => _network.Borrow();

    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    internal void ThrowIfDisposed() => _network.ThrowIfDisposed();

    /// <summary>The forecast behind the end of a series; null where fewer than two values are known.</summary>
    internal SeriesForecast? Forecast(ObservedSeries series, int horizon, double confidence) => Forecast([series], horizon, confidence)[0];

    private SeriesForecast?[] Forecast(IReadOnlyList<ObservedSeries> all, int horizon, double confidence)
    {
        ContextView?[] contexts = [.. all.Select(series => ContextView.Of(series, series.Count, ContextLength))];
        ContextView[] known = [.. contexts.OfType<ContextView>()];
        var forecasts = new SeriesForecast?[all.Count];
        if (known.Length == 0)
            return forecasts;
        using SharedNetwork<ForecastNetwork>.Loan loan = Borrow();
        WindowForecast[] made = loan.Network.Forecast(known);
        for (int i = 0, next = 0; i < forecasts.Length; i++)
            if (contexts[i] is { } context)
                forecasts[i] = InUnits(made[next++], context, all[i].LastTime, horizon, confidence);
        return forecasts;
    }

    private SeriesForecast InUnits(WindowForecast made, ContextView context, double last, int horizon, double confidence)
    {
        var forecast = new SeriesForecast(new double[horizon], new float[horizon], new float[horizon], new float[horizon], confidence);
        for (int i = 0; i < horizon; i++)
        {
            double time = last + (i + 1) * context.Step, lead = context.Lead(time);
            int step = Math.Clamp((int)Math.Ceiling(lead - 1e-6) - 1, 0, made.Means.Length - 1);
            double value = context.Level + context.Scale * LinearForecast.Between(made.Means, lead);
            double half = context.Scale * made.Deviations[step] * Calibration.HalfWidth(step, confidence);
            forecast.Times[i] = time;
            forecast.Values[i] = (float)value;
            forecast.LowerBounds[i] = (float)(value - half);
            forecast.UpperBounds[i] = (float)(value + half);
        }
        return forecast;
    }

    private void Score(IReadOnlyList<ObservedSeries> rows, float[] outputs)
    {
        SeriesForecast?[] forecasts = Forecast(rows, Horizon, _confidence);
        for (int i = 0; i < forecasts.Length; i++)
        {
            Span<float> row = outputs.AsSpan(3 * Horizon * i, 3 * Horizon);
            if (forecasts[i] is not { } forecast)
            {
                row.Fill(float.NaN);
                continue;
            }
            forecast.Values.CopyTo(row);
            forecast.LowerBounds.CopyTo(row[Horizon..]);
            forecast.UpperBounds.CopyTo(row[(2 * Horizon)..]);
        }
    }
}
