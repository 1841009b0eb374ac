using Microsoft.ML.NeuralOde.Tests.Density;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>A training that is cancelled was cancelled, wherever it stands: on the way forward, on the way back, in validation.</summary>
public sealed class CancellationTests : IDisposable
{
    private readonly MLContext _mlContext = new(1);
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public static TheoryData<string> Gradients => ["adjoint", "checkpointed", "direct"];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Gradients))]
    public void Fifty_trainings_that_are_cancelled_at_some_moment_end_as_cancelled(string gradient)
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(200));
        for (int attempt = 0; attempt < 50; attempt++)
        {
            using var source = new CancellationTokenSource();
            // Tight tolerances: the solves, not what is between them, take the time.
            NeuralOdeRegressionTrainer trainer = _mlContext.Regression.Trainers.NeuralOde(new NeuralOdeRegressionTrainer.Options
            {
                LabelColumnName = "Target",
                NumberOfEpochs = 100_000,
                BatchSize = 64,
                EncoderLayers = [4],
                DynamicsLayers = [4],
                RelativeTolerance = 1e-6,
                AbsoluteTolerance = 1e-7,
                ValidationFraction = attempt % 2 == 0 ? null : 0.2,
                GradientMethod = GradientMethod.Parse(gradient),
                CancellationToken = source.Token,
            });
            source.CancelAfter(TimeSpan.FromMilliseconds(5 + attempt));
            Action fit = () => trainer.Fit(data);
            fit.Should().Throw<OperationCanceledException>();
        }
    }

    [Theory]
    [MemberData(nameof(Gradients))]
    public void Flows_that_are_cancelled_end_as_cancelled(string gradient)
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(DensityRows.Gaussian(100));
        for (int attempt = 0; attempt < 20; attempt++)
        {
            using var source = new CancellationTokenSource();
            ContinuousFlowDensityEstimator estimator =
                _mlContext.Transforms.ContinuousFlowDensity(new ContinuousFlowDensityEstimator.Options
                {
                    Method = FlowTrainingMethod.MaximumLikelihood,
                    NumberOfEpochs = 100_000,
                    BatchesPerEpoch = 1,
                    BatchSize = 100,
                    HiddenLayers = [4],
                    Solver = OdeMethod.Dopri5,
                    StepSize = null,
                    GradientMethod = GradientMethod.Parse(gradient),
                    CheckpointFolder = _folder,
                    CheckpointInterval = TimeSpan.Zero,
                    ResumeFromCheckpoint = false,
                    CancellationToken = source.Token,
                });
            source.CancelAfter(TimeSpan.FromMilliseconds(20 + 3 * attempt));
            Action fit = () => estimator.Fit(data);
            fit.Should().Throw<OperationCanceledException>();
        }
    }
}
