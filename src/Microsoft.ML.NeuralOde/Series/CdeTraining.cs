using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>A network on series that learns to predict a label.</summary>
internal sealed class CdeTraining : ITrainable
{
    private readonly CdeNetwork _network;
    private readonly PredictionTask _task;
    private readonly SeriesAugmenter? _augmenter;

    public CdeTraining(CdeNetwork network, PredictionTask task, SeriesAugmentation augmentation)
    {
        (_network, _task) = (network, task);
        if (augmentation.IsActive)
            _augmenter = new SeriesAugmenter(augmentation, network.Description.ChannelCount, network.InputStatistics());
    }

    public nn.Module Module => _network;

    public TrainingMetric Metric => _task.Metric;

    public BatchResult Loss(RowBatch batch, TrainingMoment moment)
    {
        var series = (SeriesRows)batch.Features;
        SeriesRows seen = _augmenter is null ? series : _augmenter.Apply(series, moment.Seed, batch.First);
        // What is left out of a layer's features is drawn anew in each batch.
        return _network.Description.Dropout > 0
            ? TorchSeed.Run(Seeds.Rows(moment.Seed, batch.First), () => Judge(batch, seen))
            : Judge(batch, seen);
    }

    public BatchResult Evaluate(RowBatch batch) => Judge(batch, (SeriesRows)batch.Features);

    private BatchResult Judge(RowBatch batch, SeriesRows series) => _task.Judge(batch, _network.call(series), new SolverStatistics());
}
