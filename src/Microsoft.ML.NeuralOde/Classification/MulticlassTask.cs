using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Prediction;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Classification;

/// <summary>Logits of several classes, cross-entropy.</summary>
internal sealed class MulticlassTask(int classes, ClassWeighting weighting, string labelColumn)
    : ClassificationTask(classes, weighting, labelColumn)
{
    // Up to here float32, in which labels are kept, holds every whole number.
    private const ulong MostClasses = 1 << 24;

    public override int OutputCount { get; } = classes;

    /// <exception cref="InvalidOperationException">The column has fewer than two classes, or more than a classifier can have.</exception>
    public static MulticlassTask Of(DataViewSchema.Column label, ClassWeighting weighting)
    {
        ulong count = ((KeyDataViewType)label.Type).Count;
        if (count > MostClasses)
            throw new InvalidOperationException(
                $"The label column '{label.Name}' has {count} classes, as many as its keys can have; a classifier, which has an output " +
                $"for each, can have {MostClasses} at most. Where labels were hashed, " +
                "take mlContext.Transforms.Conversion.MapValueToKey instead, which counts the classes that occur.");
        return count < 2
            ? throw new InvalidOperationException($"The label column '{label.Name}' has a single class; a classifier needs at least two.")
            : new MulticlassTask((int)count, weighting, label.Name);
    }

    public override Tensor Losses(Tensor outputs, Tensor labels) =>
        functional.cross_entropy(outputs, Indices(labels), reduction: Reduction.None);

    public override Tensor Figures(Tensor outputs, Tensor labels) => outputs.argmax(1).eq(Indices(labels)).to(ScalarType.Float32);

    private static Tensor Indices(Tensor labels) => labels.squeeze(1).to(ScalarType.Int64);
}
