using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde.Classification;

/// <summary>Cross-entropy over rows in memory.</summary>
internal sealed class ClassificationTraining : ITrainable
{
    private const long ValidationBatch = 1024;

    private readonly ClassificationNetwork _network;
    private readonly LabeledRows _rows;
    private readonly LabeledRows? _validation;

    public ClassificationTraining(ClassificationNetwork network, LabeledRows rows, LabeledRows? validation)
    {
        _network = network;
        _rows = rows;
        _validation = validation;
    }

    public nn.Module Module => _network;

    public long RowCount => _rows.Count;

    public (Tensor Loss, Tensor Correct, SolverStatistics Statistics) Loss(Tensor rows)
    {
        Tensor labels = _rows.Labels.index_select(0, rows);
        (Tensor logits, SolverStatistics statistics) = _network.Train(_rows.Features.index_select(0, rows));
        return (nn.functional.cross_entropy(logits, labels), logits.detach().argmax(1).eq(labels).sum(), statistics);
    }

    public double? Validate()
    {
        if (_validation is null)
            return null;
        using IDisposable noGrad = no_grad();
        long correct = 0;
        for (long first = 0; first < _validation.Count; first += ValidationBatch)
        {
            using DisposeScope scope = NewDisposeScope();
            long size = Math.Min(ValidationBatch, _validation.Count - first);
            Tensor logits = _network.call(_validation.Features.narrow(0, first, size));
            correct += logits.argmax(1).eq(_validation.Labels.narrow(0, first, size)).sum().ToInt64();
        }
        return correct / (double)_validation.Count;
    }

    /// <summary>Mean and reciprocal standard deviation of the features; a constant slot keeps its scale.</summary>
    public static (Tensor Mean, Tensor Scale) Statistics(Tensor features, FeatureNormalization normalization)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor mean = normalization == FeatureNormalization.Global ? features.mean().reshape(1) : features.mean([0L]);
        Tensor variance = normalization == FeatureNormalization.Global
            ? (features.square().mean() - mean.square()).reshape(1)
            : features.var(0, unbiased: false);
        Tensor deviation = variance.clamp(min: 0).sqrt();
        Tensor scale = where(deviation > 1e-6, 1 / deviation, ones_like(deviation));
        return (mean.MoveToOuterDisposeScope(), scale.MoveToOuterDisposeScope());
    }
}
