using Microsoft.ML.NeuralOde.Prediction;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.BinaryClassification;

/// <summary>The logarithm of the odds of true, cross-entropy.</summary>
internal sealed class BinaryTask(ClassWeighting weighting, string labelColumn) : ClassificationTask(2, weighting, labelColumn)
{
    private static readonly Scalar Half = 0.5;

    public override int OutputCount => 1;

    public override Tensor Losses(Tensor outputs, Tensor labels) =>
        functional.binary_cross_entropy_with_logits(outputs, labels, reduction: Reduction.None).squeeze(1);

    public override Tensor Figures(Tensor outputs, Tensor labels) =>
        outputs.gt(Numbers.Zero).eq(labels.gt(Half)).to(ScalarType.Float32).squeeze(1);
}
