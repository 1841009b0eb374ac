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
/// <param name="spread">The root mean square of what the map leaves.</param>
internal sealed class ForecastRun(
    IHost host, NeuralOdeTrainerOptions options, ForecastDescription description, LinearForecast linear, double spread)
    : TrainingRun<ForecastNetwork>(
        host, options,
        new RowColumns(
            host, SeriesAnnotations.Values)
        { Series = new SeriesColumns(SeriesAnnotations.Times, [SeriesAnnotations.Values], 1) })
{
    /// <summary>Windows as rows: a context, and behind it as many observations as there are leads.</summary>
    public static IDataView View(IReadOnlyList<ForecastWindow> windows, ForecastDescription description) => new RecordView<ObservedSeries>(
        () => windows.Select(window => Cut(window, description)),
        [
            RecordColumn<ObservedSeries>.Vector(
                SeriesAnnotations.Times, NumberDataViewType.Double, series => Numbers(series, i => series.Time(i))),
            RecordColumn<ObservedSeries>.Vector(
                SeriesAnnotations.Values, NumberDataViewType.Single, series => Numbers(series, i => series.Value(i)),
                SeriesAnnotations.Of(1)),
        ]);

    protected override RowColumns ValidationColumns(DataViewSchema validation, DataViewSchema training) => Columns;

    protected override (string Name, string Value)[] Identity() =>
        [("the structure", $"{description}"), ("the spread", spread.ToString("R", CultureInfo.InvariantCulture))];

    protected override Func<ForecastNetwork> Design(TrainingData data, Action<string> warn) =>
        () => new ForecastNetwork(description, linear, spread);

    protected override void Prepare(ForecastNetwork network, RowStatistics statistics)
    {
    }

    protected override ITrainable Learner(ForecastNetwork network) => new ForecastTraining(network);

    private static ObservedSeries Cut(ForecastWindow window, ForecastDescription description)
    {
        var cut = new ObservedSeries("");
        for (int i = Math.Max(0, window.End - description.ContextLength); i < window.End + description.Leads; i++)
            cut.Add(window.Series.Time(i), window.Series.Value(i));
        return cut;
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
