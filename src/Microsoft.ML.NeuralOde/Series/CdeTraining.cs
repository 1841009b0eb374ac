using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>A network on series that learns to predict a label.</summary>
internal sealed class CdeTraining(CdeNetwork network, PredictionTask task) : ITrainable
{
    public nn.Module Module => network;

    public TrainingMetric Metric => task.Metric;

    // What is left out of a layer's features is drawn anew in each batch.
    public BatchResult Loss(RowBatch batch, TrainingMoment moment) => network.Description.Dropout > 0
        ? TorchSeed.Run(Seeds.Rows(moment.Seed, batch.First), () => Judge(batch))
        : Judge(batch);

    public BatchResult Evaluate(RowBatch batch) => Judge(batch);

    private BatchResult Judge(RowBatch batch) => task.Judge(batch, network.call((SeriesRows)batch.Features), new SolverStatistics());
}
