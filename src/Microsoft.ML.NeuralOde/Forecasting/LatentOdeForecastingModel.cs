using Microsoft.ML.NeuralOde.Data;
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
        LatentShares = [.. network.Shares];
    }

    /// <summary>The number of steps that are forecast.</summary>
    public int Horizon => _description.Horizon;

    /// <summary>The number of observations that a forecast looks at.</summary>
    public int ContextLength => _description.ContextLength;

    /// <summary>The number of weights of the latent equation and its networks.</summary>
    public long ParameterCount { get; }

    /// <summary>
    /// How much of the latent equation's forecast is added to that of the linear map, from 0 to 1: as much as helped on the windows for
    /// validation. Of several channels their mean.
    /// </summary>
    public double LatentShare => LatentShares.Average();

    /// <summary><see cref="LatentShare"/> of each channel.</summary>
    public IReadOnlyList<double> LatentShares { get; }

    /// <summary>The number of channels of a series.</summary>
    public int ChannelCount => _description.Channels;

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
    int IRowScorer.OutputCount => 3 * ForecastSize;

    int IRowScorer.InputCount => 0;

    bool IRowScorer.NeedsOrder => true;

    /// <summary>The numbers of a forecast: a step's channels stand behind those of the step before.</summary>
    internal int ForecastSize => Horizon * ChannelCount;

    /// <summary>The number of exogenous columns.</summary>
    internal int ExogenousCount => _description.Exogenous;

    /// <summary>Frees the weights; where other threads are scoring, once they are done with the rows at hand.</summary>
    public void Dispose() => _network.Dispose();

    IRowScorer IRowScorer.Beside(IDataView data, ScoredSchema schema) =>
        ExogenousCount > 0 && schema.Inputs.Forecast!.Rows != ForecastRows.Series ? new AheadScorer(this, data) : this;

    RowScoring IRowScorer.Open(DataViewRow row, ScoredSchema schema, int capacity)
    {
        ForecastInput input = schema.Inputs.Forecast!;
        return ExogenousCount == 0 || input.Rows == ForecastRows.Series ? Open(row, input, null) : throw new InvalidOperationException(
            $"A forecast needs the exogenous values to come ('{string.Join("', '", input.ExogenousNames)}'), "
            + "which rows one by one do not have: use Transform on data whose later rows have them, a row a series, or "
            + "CreateForecastingEngine.");
    }

    internal RowScoring Open(DataViewRow row, ForecastInput input, IReadOnlyDictionary<string, ExogenousTrack>? ahead) =>
        new ForecastScoring(
            new HistoryReader(row, input, Remembered(_description), ahead), Remembered(_description), 3 * ForecastSize, Score);

    /// <summary>How much of a series' end is kept: a context, and what may be missing behind it.</summary>
    internal static int Remembered(ForecastDescription description) => description.ContextLength + description.Leads;

    internal SharedNetwork<ForecastNetwork>.Loan Borrow() => _network.Borrow();

    /// <exception cref="ObjectDisposedException">The model was disposed of.</exception>
    internal void ThrowIfDisposed() => _network.ThrowIfDisposed();

    /// <summary>The forecast behind the end of a series; null where fewer than two values of a channel are known.</summary>
    /// <param name="series">The series.</param>
    /// <param name="times">The times that are asked for; null for the steps of the horizon.</param>
    /// <param name="horizon">The steps, where no times are given.</param>
    /// <param name="confidence">The share of values that are to lie inside of the intervals.</param>
    /// <returns>NaN at times of which nothing can be said: too far behind the last value, or without exogenous values.</returns>
    internal SeriesForecast? Forecast(ObservedSeries series, IReadOnlyList<double>? times, int horizon, double confidence) =>
        Forecast([series], times, horizon, confidence)[0];

    /// <summary>The end of a series as forecasts see it; null where too little is known.</summary>
    internal ContextView? ContextOf(ObservedSeries series) => ContextView.Of(series, series.Count, ContextLength);

    private SeriesForecast?[] Forecast(
        IReadOnlyList<ObservedSeries> all, IReadOnlyList<double>? times, int horizon, double confidence)
    {
        ContextView?[] contexts = [.. all.Select(ContextOf)];
        ContextView[] known = [.. contexts.OfType<ContextView>()];
        var forecasts = new SeriesForecast?[all.Count];
        if (known.Length == 0)
            return forecasts;
        using SharedNetwork<ForecastNetwork>.Loan loan = Borrow();
        WindowForecast[] made = loan.Network.Forecast(known);
        for (int i = 0, next = 0; i < forecasts.Length; i++)
            if (contexts[i] is { } context)
            {
                double last = all[i].LastTime;
                IReadOnlyList<double> asked =
                    times ?? [.. Enumerable.Range(1, horizon).Select(step => last + step * context.Step)];
                forecasts[i] = InUnits(made[next++], context, asked, confidence);
            }
        return forecasts;
    }

    private SeriesForecast InUnits(WindowForecast made, ContextView context, IReadOnlyList<double> times, double confidence)
    {
        int channels = ChannelCount, size = times.Count * channels;
        var forecast = new SeriesForecast([.. times], new float[size], new float[size], new float[size], confidence)
        {
            ChannelCount = channels,
        };
        for (int place = 0; place < size; place++)
        {
            int channel = place % channels;
            double lead = context.Lead(times[place / channels], channel);
            int step = Math.Clamp((int)Math.Ceiling(lead - 1e-6) - 1, 0, _description.Leads - 1) * channels + channel;
            double value = context.Level(channel)
                + context.Scale(channel) * LinearForecast.Between(made.Means, lead, channel, channels);
            double half = context.Scale(channel) * made.Deviations[step] * Calibration.HalfWidth(step, confidence);
            forecast.Values[place] = (float)value;
            forecast.LowerBounds[place] = (float)(value - half);
            forecast.UpperBounds[place] = (float)(value + half);
        }
        return forecast;
    }

    private void Score(IReadOnlyList<ObservedSeries> rows, float[] outputs)
    {
        SeriesForecast?[] forecasts = Forecast(rows, null, Horizon, _confidence);
        for (int i = 0; i < forecasts.Length; i++)
        {
            Span<float> row = outputs.AsSpan(3 * ForecastSize * i, 3 * ForecastSize);
            if (forecasts[i] is not { } forecast)
            {
                row.Fill(float.NaN);
                continue;
            }
            forecast.Values.CopyTo(row);
            forecast.LowerBounds.CopyTo(row[ForecastSize..]);
            forecast.UpperBounds.CopyTo(row[(2 * ForecastSize)..]);
        }
    }
}
