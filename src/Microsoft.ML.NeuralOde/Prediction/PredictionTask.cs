using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>What a network's outputs mean, and how far they are from the labels.</summary>
internal abstract class PredictionTask : IDisposable
{
    /// <summary>Outputs of the network.</summary>
    public abstract int OutputCount { get; }

    public abstract TrainingMetric Metric { get; }

    /// <summary>Looks at the training data before the training.</summary>
    /// <exception cref="InvalidOperationException">They are not fit for the task.</exception>
    public abstract void Prepare(RowStatistics statistics, ILabelScale network);

    /// <summary>The loss of each row, shape <c>[rows]</c>.</summary>
    /// <param name="outputs">What the network says, before it is turned into units of the label, shape <c>[rows, outputs]</c>.</param>
    /// <param name="labels">Shape <c>[rows, numbers]</c>.</param>
    public abstract Tensor Losses(Tensor outputs, Tensor labels);

    /// <summary>The figure of each row, shape <c>[rows]</c>.</summary>
    public abstract Tensor Figures(Tensor outputs, Tensor labels);

    /// <summary>What a network's outputs for a batch are worth.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="outputs">As for <see cref="Losses"/>, on the network's device.</param>
    /// <param name="statistics">What the solve cost.</param>
    public BatchResult Judge(RowBatch batch, Tensor outputs, SolverStatistics statistics)
    {
        Tensor labels = batch.Labels!.to(outputs.device);
        Tensor? weights = batch.Weights?.to(outputs.device);
        Tensor? rowWeights = Product(weights, Weights(labels));
        (Tensor loss, double weight) = Mean(Losses(outputs, labels), rowWeights);
        (Tensor figure, double figureWeight) = Mean(Figures(outputs.detach(), labels), weights);
        return new BatchResult(loss, loss.detach(), weight, figure, figureWeight, statistics);
    }

    /// <summary>How much each row counts in the loss, beside its own weight, shape <c>[rows]</c>; null for all the same.</summary>
    public virtual Tensor? Weights(Tensor labels) => null;

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
    }

    private static Tensor? Product(Tensor? a, Tensor? b) => a is null ? b : b is null ? a : a * b;

    private static (Tensor Mean, double Weight) Mean(Tensor values, Tensor? weights)
    {
        if (weights is null)
            return (values.mean(), values.shape[0]);
        Tensor sum = weights.sum();
        // Rows that all weigh nothing say nothing.
        return ((values * weights).sum() / sum.AtLeast(1e-30), sum.ToDouble());
    }
}

/// <summary>The part that both classifications share: labels are classes, the figure is the accuracy.</summary>
internal abstract class ClassificationTask(int classes, ClassWeighting weighting, string labelColumn) : PredictionTask
{
    private Tensor? _classWeights;

    public override TrainingMetric Metric { get; } = new(NeuralOdeEpochReport.Accuracy, mean => mean);

    public override void Prepare(RowStatistics statistics, ILabelScale network)
    {
        IReadOnlyDictionary<float, double> weights = statistics.LabelWeights;
        if (weights.Count < 2)
            throw new InvalidOperationException(
                $"All {statistics.Count} rows have the same class in the label column '{labelColumn}'; a classifier needs rows of at least two.");
        if (weighting != ClassWeighting.Balanced)
            return;
        double total = weights.Values.Sum();
        // A class without rows has no weight to find.
        float[] values = [.. Enumerable.Range(0, classes)
            .Select(i => weights.TryGetValue(i, out double weight) && weight > 0 ? (float)(total / (weights.Count * weight)) : 1)];
        _classWeights = tensor(values, device: CPU).DetachFromDisposeScope();
    }

    public override Tensor? Weights(Tensor labels)
    {
        if (_classWeights is null)
            return null;
        if (_classWeights.device_type != labels.device_type)
            _classWeights = _classWeights.to(labels.device).DetachFromDisposeScope();
        return _classWeights.index_select(0, labels.squeeze(1).to(ScalarType.Int64));
    }

    protected override void Dispose(bool disposing)
    {
        _classWeights?.Dispose();
        base.Dispose(disposing);
    }
}
