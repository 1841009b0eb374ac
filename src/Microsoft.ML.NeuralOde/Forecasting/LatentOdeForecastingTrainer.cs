using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Forecasting;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Trains a forecaster of one series or of many: a linear map of the last values, and a latent differential equation that forecasts what
/// the map leaves (Y. Rubanova, R. T. Q. Chen, D. Duvenaud, Latent Ordinary Differential Equations for Irregularly-Sampled Time Series,
/// 2019).
/// </summary>
/// <remarks>
/// <para>Created by
/// <see cref="SeriesCatalog.LatentOde(ForecastingCatalog, string, string, int, double, string, string, string, string, string[])"/>.</para>
/// <list type="table">
/// <item><term>Columns of series</term><description>a value a row in the order of time, <see cref="float"/> or <see cref="double"/>, NaN
/// where it is missing; with it a time, if any (a number, or a <see cref="DateTime"/>, counted in seconds), and a key, if there are several
/// series. Or a series a row: vectors of values and of times</description></item>
/// <item><term>Channels</term><description>several columns of values, or a column of vectors: forecast together, each with intervals of its
/// own</description></item>
/// <item><term>Exogenous columns</term><description>numbers that are known of the times to come as well, such as prices or
/// holidays</description></item>
/// <item><term>Output columns</term><description><c>Forecast</c>, a vector of <see cref="float"/> of known size, the horizon times the
/// channels: the values at the next times, which follow the row's in the series' usual (median) distance; and the ends of their intervals,
/// where they are named</description></item>
/// <item><term>Normalisation</term><description>of each window by its own last value and spread, so that levels that were never seen are
/// continued</description></item>
/// <item><term>Validation</term><description>the end of each series. By it the length of the context, the linear map, the share of the
/// latent equation and the width of the intervals are chosen</description></item>
/// <item><term>Export to ONNX</term><description>none</description></item>
/// </list>
/// </remarks>
/// <example>
/// <code>
/// LatentOdeForecastingTransformer model = mlContext.Forecasting.LatentOde("Forecast", "Sales", horizon: 7).Fit(sales);
/// SeriesForecast next = model.CreateForecastingEngine().Predict();
/// </code>
/// </example>
public sealed partial class LatentOdeForecastingTrainer : IEstimator<LatentOdeForecastingTransformer>
{
    private readonly IHost _host;
    private readonly Options _options;

    internal LatentOdeForecastingTrainer(IHostEnvironment environment, Options options)
    {
        ArgumentNullException.ThrowIfNull(environment);
        ArgumentNullException.ThrowIfNull(options);
        _host = environment.Register(nameof(LatentOdeForecastingTrainer));
        _options = (Options)options.Clone();
        _options.Validate();
    }

    /// <summary>The columns that the fitted model will produce.</summary>
    /// <param name="inputSchema">The columns of the training data.</param>
    /// <returns>The input columns and those of the forecasts.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        _options.ToColumns().Check(_host, inputSchema);
        return Schemas.WithNumbers(
            inputSchema, (_options.ForecastColumnName, true), (_options.ConfidenceLowerBoundColumn, true),
            (_options.ConfidenceUpperBoundColumn, true));
    }

    /// <summary>Trains a forecaster.</summary>
    /// <param name="input">The series.</param>
    /// <returns>The fitted model, which also knows the ends of the series.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or has the wrong type.</exception>
    /// <exception cref="InvalidOperationException">No series is long enough, all values are missing, a value is infinite, or times do not
    /// increase: the message names the row.</exception>
    /// <exception cref="NeuralOdeTrainingException">The training diverged; the message says what to try.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public LatentOdeForecastingTransformer Fit(IDataView input) => Fit(input, null);

    /// <summary>Trains a forecaster on all windows of series, and chooses and calibrates by those of others.</summary>
    /// <inheritdoc cref="Fit(IDataView)" path="/*[not(self::param)]"/>
    /// <param name="input">The series.</param>
    /// <param name="validationData">Series in the same columns; null for the ends of the series.</param>
    public LatentOdeForecastingTransformer Fit(IDataView input, IDataView? validationData)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (_options is { Distributed: not null, DistributedRows: not DistributedRows.Same })
            throw new NotSupportedException(
                $"{nameof(LatentOdeForecastingTrainer)}: DistributedRows is {_options.DistributedRows}. The linear map, the windows and the "
                + "intervals of a forecaster are made of all series, so that every process must be given all of them: "
                + "set DistributedRows to Same.");
        TorchRuntime.EnsureAvailable();
        _options.ToColumns().Check(_host, Schemas.ShapeOf(input.Schema));
        ForecastInput found = _options.ToColumns().Find(_host, input.Schema);
        List<ObservedSeries> series = HistoryReader.ReadAll(input, found, CheckAlive);
        int leads = ForecastDescription.LeadsOf(_options.Horizon);
        validationData ??= _options.ValidationSet;
        ForecastWindows windows = validationData is null
            ? ForecastWindows.Of(series, leads, _options.ValidationFraction!.Value, _options.MaximumWindows)
            : new ForecastWindows(
                ForecastWindows.All(series, leads), ForecastWindows.All(Read(validationData, found.Channels), leads));
        Check(series, windows, leads, found);
        var shape = new LinearShape(leads, _options.ContextLength ?? 0, found.Channels, found.Exogenous.Length);
        Check(shape with { ContextLength = _options.ContextLength ?? LinearForecast.ShortestContext });
        LinearForecast linear = LinearForecast.Fit(windows, shape);
        ForecastDescription description = _options.ToDescription(linear.Shape);
        windows = windows.Usable(description.ContextLength);
        Check(series, windows, leads, found);
        double[] spreads = [.. Enumerable.Range(0, found.Channels)
            .Select(channel => RootMeanSquare(Left(windows.Training, linear, channel)))];
        var run = new ForecastRun(_host, _options, description, linear, spreads);
        FittedNetwork<ForecastNetwork> fitted =
            run.Run(ForecastRun.View(windows.Training, description), ForecastRun.View(windows.Validation, description));
        ForecastCalibration calibration = Judge(fitted.Network, windows.Validation);
        ForecastColumns columns = _options.ToColumns();
        var kept = new ForecastModelDescription(
            description, found.Channels == 1 ? columns : columns with { ChannelCount = found.Channels }, _options.ToOutputs(),
            [.. series.Select(one => SeriesTail.Of(one, LatentOdeForecastingModel.Remembered(description)))], fitted.History,
            OptionTexts.Of(_options));
        return new LatentOdeForecastingTransformer(
            _host, new LatentOdeForecastingModel(fitted.Network, calibration, _options.ConfidenceLevel), kept);
    }

    private List<ObservedSeries> Read(IDataView validation, int channels)
    {
        ForecastInput found = _options.ToColumns().Find(_host, validation.Schema);
        return found.Channels == channels ? HistoryReader.ReadAll(validation, found, CheckAlive) : throw Schemas.Mismatch(
            _host, "validationData", "series", found.Values[0].Name, $"{channels} channels", $"{found.Channels}");
    }

    private void CheckAlive()
    {
        _options.CancellationToken.ThrowIfCancellationRequested();
        _host.CheckAlive();
    }

    private void Check(List<ObservedSeries> series, ForecastWindows windows, int leads, ForecastInput input)
    {
        for (int channel = 0; channel < input.Channels; channel++)
            if (series.Sum(one => one.CountObserved(0, one.Count, channel)) == 0)
                throw new InvalidOperationException(
                    $"The column '{input.ChannelNames[channel]}' has no value: "
                    + $"{(series.Count == 0 ? "there are no rows" : "all are missing")}.");
        if (windows.Training.Count > 0 && windows.Validation.Count > 0)
            return;
        throw new InvalidOperationException(
            $"No series is long enough for a Horizon of {_options.Horizon}: the longest of {series.Count} has "
            + $"{series.Max(one => one.Count)} observations, {series.Max(one => one.CountObserved(0, one.Count))} of them not missing; at least "
            + $"{2 * leads + 2} are needed, and more to learn from, with two values of each channel in front of where a forecast begins. "
            + "Make Horizon smaller, or give more data.");
    }

    private void Check(LinearShape shape)
    {
        if (shape.Weights > ForecastDescription.MostWeights)
            throw new InvalidOperationException(string.Create(
                CultureInfo.InvariantCulture,
                $"A linear map of {shape.ContextLength} observations of {shape.Channels} channels and {shape.Exogenous} exogenous columns to "
                + $"{_options.Horizon} steps would have {shape.Weights:E1} weights; at most {ForecastDescription.MostWeights:E1} are possible: "
                + $"make ContextLength or Horizon smaller, or forecast fewer channels together."));
    }

    private static IEnumerable<double> Left(IEnumerable<ForecastWindow> windows, LinearForecast linear, int channel)
    {
        LinearShape shape = linear.Shape;
        foreach (ForecastWindow window in windows)
        {
            ContextView context = window.Context(shape.ContextLength)!;
            double[] targets = window.Targets(context, shape.Leads), forecasts = linear.At(context);
            for (int place = channel; place < targets.Length; place += shape.Channels)
                if (!double.IsNaN(targets[place] - forecasts[place]))
                    yield return targets[place] - forecasts[place];
        }
    }

    private static double RootMeanSquare(IEnumerable<double> values) =>
        Math.Sqrt(values.Select(value => value * value).DefaultIfEmpty(0).Average());

    /// <summary>Finds, on windows that were not trained on, how much the latent equation helps, and how wide intervals must be.</summary>
    private ForecastCalibration Judge(ForecastNetwork network, IReadOnlyList<ForecastWindow> windows)
    {
        LinearShape shape = network.Linear.Shape;
        ContextView[] contexts = [.. windows.Select(window => window.Context(shape.ContextLength)!)];
        (ContextView Context, double[] Targets)[] judged =
            [.. contexts.Zip(windows, (context, window) => (context, window.Targets(context, shape.Leads)))];
        (double[] Means, double[] Deviations)[] corrections = network.Corrections(contexts);
        double[] product = new double[shape.Channels], square = new double[shape.Channels];
        for (int i = 0; i < judged.Length; i++)
        {
            double[] linear = network.Linear.At(contexts[i]);
            for (int place = 0; place < linear.Length; place++)
            {
                int channel = place % shape.Channels;
                double left = (judged[i].Targets[place] - linear[place]) / network.Spreads[channel], said = corrections[i].Means[place];
                if (double.IsNaN(left))
                    continue;
                product[channel] += left * said;
                square[channel] += said * said;
            }
        }
        network.Shares = [.. product.Zip(square, (both, own) => own > 0 ? (float)Math.Clamp(both / own, 0, 1) : 0.0)];
        return _options.ConformalIntervals
            ? ForecastCalibration.Of(judged, network.Forecast(contexts), shape.Leads, shape.Channels)
            : new ForecastCalibration(null);
    }
}
