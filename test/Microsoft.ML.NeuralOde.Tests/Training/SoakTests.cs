using System.Diagnostics;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Training;

public class SoakTests
{
    [Fact]
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
                (long liveTensors, long residentBytes) = Measure();
                if (report.Epoch == 100)
                    (tensors, bytes) = (liveTensors, residentBytes);
                else
                    (tensors, bytes) = (liveTensors - tensors, residentBytes - bytes);
            },
        }).Fit(TabularData.View(mlContext, TabularData.Circle(120)));

        model.TrainingHistory.Should().HaveCount(1000);
        tensors.Should().BeLessThanOrEqualTo(0, "no tensor may stay behind from 900 epochs");
        (bytes >> 20).Should().BeLessThan(16, "the process may not grow");

        static (long Tensors, long Bytes) Measure()
        {
            for (int i = 0; i < 3; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
            using var process = Process.GetCurrentProcess();
            return (TorchSharp.torch.Tensor.TotalCount, process.WorkingSet64);
        }
    }
}
