using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Training;

public class SoakTests
{
    [NativeHeapFact]
    [Trait("Category", "Slow")]
    public void A_thousand_epochs_leave_memory_as_it_was_after_the_first_hundred()
    {
        var mlContext = new MLContext(1);
        long tensors = 0, bytes = 0;
        using NeuralOdeRegressionTransformer model = mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 1000,
            BatchSize = 32,
            EncoderLayers = [8],
            DynamicsLayers = [8],
            ValidationFraction = 0.2,
            MaximumGradientNorm = 1,
            EpochCallback = report =>
            {
                if (report.Epoch is not (100 or 1000))
                    return;
                bytes = NativeHeap.BytesHeld() - bytes;
                tensors = TorchSharp.torch.Tensor.TotalCount - tensors;
            },
        }).Fit(TabularData.View(mlContext, TabularData.Circle(120)));

        model.TrainingHistory.Should().HaveCount(1000);
        tensors.Should().BeLessThanOrEqualTo(0, "no tensor may stay behind from 900 epochs");
        bytes.Should().BeLessThan(2 << 20, "nothing else may stay behind either, native or managed");
    }
}
