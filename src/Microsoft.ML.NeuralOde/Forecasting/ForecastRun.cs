using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Datasets;
using Microsoft.ML.NeuralOde.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde.Forecasting;

/// <summary>The training of the latent equation on windows, which are series of their own.</summary>
/// <param name="host">The trainer's host.</param>
/// <param name="options">The trainer's options.</param>
/// <param name="description">The network's structure.</param>
/// <param name="linear">The linear map.</param>
/// <param name="spreads">The root mean square of what the map leaves, of each channel.</param>
internal sealed class ForecastRun(
    IHost host, NeuralOdeTrainerOptions options, ForecastDescription description, LinearForecast linear, double[] spreads)
    : TrainingRun<ForecastNetwork>(
        host, options,
        new RowColumns(
            host, SeriesAnnotations.Values)
        {
            Series = new SeriesColumns(
                SeriesAnnotations.Times, [SeriesAnnotations.Values], description.Channels + description.Exogenous)
        })
{
    /// <summary>Windows as rows: a context, and behind it as many observations as there are leads; exogenous values are further
    /// channels.</summary>
    public static IDataView View(IReadOnlyList<ForecastWindow> windows, ForecastDescription description) => new RecordView<ObservedSeries>(
        () => windows.Select(window => Cut(window, description)),
        [
            RecordColumn<ObservedSeries>.Vector(
                SeriesAnnotations.Times, NumberDataViewType.Double, series => Numbers(series, i => series.Time(i))),
            RecordColumn<ObservedSeries>.Vector(
                SeriesAnnotations.Values, NumberDataViewType.Single, Packed,
                SeriesAnnotations.Of(description.Channels + description.Exogenous)),
        ]);

    protected override RowColumns ValidationColumns(DataViewSchema validation, DataViewSchema training) => Columns;

    protected override (string Name, string Value)[] Identity() =>
        [
            ("the structure", $"{description}"),
            ("the spread", string.Join(" ", spreads.Select(spread => spread.ToString("R", CultureInfo.InvariantCulture))))];

    protected override Func<ForecastNetwork> Design(TrainingData data, Action<string> warn) =>
        () => new ForecastNetwork(description, linear, spreads);

    protected override void Prepare(ForecastNetwork network, RowStatistics statistics)
    {
    }

    protected override ITrainable Learner(ForecastNetwork network) => new ForecastTraining(network);

    private static ObservedSeries Cut(ForecastWindow window, ForecastDescription description)
    {
        // The track has values behind the window's last observation too; what is packed are those at observations.
        var cut = new ObservedSeries("", description.Channels, window.Series.Exogenous, isKnownAhead: true);
        for (int i = Math.Max(0, window.End - description.ContextLength); i < window.End + description.Leads; i++)
            cut.Add(window.Series.Time(i), window.Series.Values(i));
        return cut;
    }

    private static float[] Packed(ObservedSeries series)
    {
        var packed = new List<float>();
        for (int i = 0; i < series.Count; i++)
        {
            packed.AddRange(series.Values(i));
            for (int column = 0; column < (series.Exogenous?.Channels ?? 0); column++)
                packed.Add((float)series.Exogenous!.At(column, series.Time(i), double.PositiveInfinity));
        }
        return [.. packed];
    }

    private static T[] Numbers<T>(ObservedSeries series, Func<int, T> of) => [.. Enumerable.Range(0, series.Count).Select(of)];
}

/// <summary>A forecaster that learns: the evidence lower bound, whose divergence comes in over the first half of the training.</summary>
internal sealed class ForecastTraining(ForecastNetwork network) : ITrainable
{
    public nn.Module Module => network;

    public TrainingMetric? Metric => null;

    public BatchResult Loss(RowBatch batch, TrainingMoment moment) => Judge(batch, Math.Min(1, 2 * moment.Progress), moment.Seed);

    public BatchResult Evaluate(RowBatch batch) => Judge(batch, 1, null);

    private BatchResult Judge(RowBatch batch, double klWeight, int? seed)
    {
        Tensor loss = network.Loss((SeriesRows)batch.Features, klWeight, seed);
        long rows = loss.size(0);
        loss = loss.mean();
        return new BatchResult(loss, loss, rows, null, 0, new SolverStatistics());
    }
}
