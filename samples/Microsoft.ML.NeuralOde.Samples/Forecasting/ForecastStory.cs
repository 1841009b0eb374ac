namespace Microsoft.ML.NeuralOde.Samples.Forecasting;

/// <summary>What a method was worth.</summary>
/// <param name="OneStep">The mean absolute error of the first step.</param>
/// <param name="LastStep">That of the last one.</param>
/// <param name="Mae">That of all.</param>
/// <param name="Mase">The same in units of the mean absolute change from one value to the next in training.</param>
/// <param name="Coverage">The share of values inside of the intervals.</param>
internal sealed record ForecastScore(double OneStep, double LastStep, double Mae, double Mase, double Coverage);

/// <summary>Forecasts, with what came.</summary>
internal sealed class ForecastTally(int horizon)
{
    private readonly double[] _errors = new double[horizon];
    private readonly int[] _counts = new int[horizon];
    private double _scaled;
    private int _inside;

    public void Add(int step, double forecast, double halfWidth, double value, double unit)
    {
        double error = Math.Abs(forecast - value);
        _errors[step] += error;
        _counts[step]++;
        _scaled += error / unit;
        _inside += error <= halfWidth ? 1 : 0;
    }

    public ForecastScore Finish()
    {
        int all = _counts.Sum();
        return new ForecastScore(
            _errors[0] / _counts[0], _errors[^1] / _counts[^1], _errors.Sum() / all, _scaled / all, _inside / (double)all);
    }
}

/// <summary>
/// Trains on the front of each series and forecasts its end, as values come: of one series the last fifth from each place in it, of several
/// the last horizon of each.
/// </summary>
internal sealed class ForecastStory(ForecastSet set, int horizon, double confidence, int? epochs)
{
    private const double TestShare = 0.2;

    private readonly SortedDictionary<string, ForecastTally> _baselines = [];

    /// <summary>The last forecast that was made, and the series it belongs to.</summary>
    public (Observation[] Series, SeriesForecast Forecast)? Last { get; private set; }

    public int TestCount { get; private set; }

    public LatentOdeForecastingTransformer? Model { get; private set; }

    public (ForecastScore Model, IReadOnlyDictionary<string, ForecastScore> Baselines) Run(
        MLContext context, Action<double> report, CancellationToken cancellationToken)
    {
        Observation[][] usable = [.. set.Series.Where(series => Border(series) > 2 * horizon)];
        if (usable.Length == 0)
            throw new UserException(
                $"--horizon: no series of {set.Name} is long enough for {horizon} steps; a smaller horizon would be right.");
        var options = new LatentOdeForecastingTrainer.Options
        {
            FeatureColumnName = nameof(Observation.Value),
            TimeColumnName = nameof(Observation.Time),
            SeriesKeyColumnName = nameof(Observation.Series),
            Horizon = horizon,
            ConfidenceLevel = confidence,
            Seed = 1,
            CancellationToken = cancellationToken,
            EpochCallback = epoch => report(epoch.Epoch / (double)epoch.NumberOfEpochs),
        };
        options.NumberOfEpochs = epochs ?? options.NumberOfEpochs;
        // A single series has no key that would be read.
        options.SeriesKeyColumnName = usable.Length == 1 ? null : options.SeriesKeyColumnName;
        Model = context.Forecasting.LatentOde(options).Fit(
            context.Data.LoadFromEnumerable(usable.SelectMany(series => series.Take(Border(series))).ToArray()));
        var tally = new ForecastTally(horizon);
        foreach (Observation[] series in usable)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Judge(series, tally, Model.CreateForecastingEngine(usable.Length == 1 ? null : series[0].Series));
        }
        return (tally.Finish(), _baselines.ToDictionary(pair => pair.Key, pair => pair.Value.Finish()));
    }

    private int Border(Observation[] series) =>
        series.Length - (set.Series.Count > 1 ? horizon : Math.Max(horizon, (int)(TestShare * series.Length)));

    private void Judge(Observation[] series, ForecastTally tally, NeuralOdeForecastingEngine engine)
    {
        int border = Border(series);
        double[] filled = ForecastBaselines.Filled(series.Select(row => row.Value)), training = filled[..border];
        double unit = Math.Max(1e-12, training.Skip(1).Zip(training, (next, value) => Math.Abs(next - value)).Average());
        IReadOnlyList<Baseline> baselines = ForecastBaselines.Of(training);
        double[][] widths = [.. baselines.Select(baseline => Widths(baseline, training))];
        for (int origin = border; origin + horizon <= series.Length; origin++)
        {
            SeriesForecast forecast = engine.Predict();
            Add(tally, i => forecast.Values[i], i => (forecast.UpperBounds[i] - forecast.LowerBounds[i]) / 2);
            for (int k = 0; k < baselines.Count; k++)
            {
                double[] simple = baselines[k].Continue(filled[..origin], horizon), width = widths[k];
                if (!_baselines.TryGetValue(baselines[k].Name, out ForecastTally? own))
                    _baselines.Add(baselines[k].Name, own = new ForecastTally(horizon));
                Add(own, i => simple[i], i => width[i]);
            }
            TestCount++;
            Last = (series, forecast);
            engine.Observe(new SeriesObservation(series[origin].Value, series[origin].Time));

            void Add(ForecastTally to, Func<int, double> value, Func<int, double> half)
            {
                for (int i = 0; i < horizon; i++)
                    if (!float.IsNaN(series[origin + i].Value))
                        to.Add(i, value(i), half(i), series[origin + i].Value, unit);
            }
        }
    }

    /// <summary>The half widths of a simple method's intervals: the quantiles of its errors at the end of the training part.</summary>
    private double[] Widths(Baseline baseline, double[] training)
    {
        int first = Math.Max(training.Length / 2, training.Length - horizon - Math.Max(20, training.Length / 5));
        var errors = Enumerable.Range(0, horizon).Select(_ => new List<double>()).ToArray();
        for (int origin = Math.Max(2, first); origin + horizon <= training.Length; origin++)
        {
            double[] simple = baseline.Continue(training[..origin], horizon);
            for (int i = 0; i < horizon; i++)
                errors[i].Add(Math.Abs(simple[i] - training[origin + i]));
        }
        return [.. errors.Select(some =>
            some.Order().ElementAt(Math.Min(some.Count - 1, (int)Math.Ceiling((some.Count + 1) * confidence) - 1)))];
    }
}
