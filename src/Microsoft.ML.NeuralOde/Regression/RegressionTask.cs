using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde.Regression;

/// <summary>
/// Numbers, squared errors: of targets with their mean and scale taken out in the loss, in their own units in the figure.
/// </summary>
internal sealed class RegressionTask(int targets) : PredictionTask
{
    private ILabelScale? _network;

    public override int OutputCount { get; } = targets;

    public override TrainingMetric Metric { get; } = new("RMSE", Math.Sqrt);

    public override void Prepare(RowStatistics statistics, ILabelScale network)
    {
        network.NormalizeOutput(statistics.Labels());
        _network = network;
    }

    public override Tensor Losses(Tensor outputs, Tensor labels) => (outputs - _network!.ToOutputs(labels)).Squared().mean([1L]);

    public override Tensor Figures(Tensor outputs, Tensor labels) => (_network!.FromOutputs(outputs) - labels).Squared().mean([1L]);
}
