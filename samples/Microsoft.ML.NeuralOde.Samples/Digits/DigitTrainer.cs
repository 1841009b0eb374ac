namespace Microsoft.ML.NeuralOde.Samples.Digits;

/// <summary>The neural ODE in the pipeline.</summary>
internal static class DigitTrainer
{
    public static IEstimator<ITransformer> Create(
        MLContext mlContext, MnistSettings settings, int numberOfEpochs, int batchSize, double weightDecay,
        Action<NeuralOdeEpochReport> onEpoch, CancellationToken cancellationToken, TrainingGroup? group = null)
    {
        var options = new NeuralOdeClassificationTrainer.Options
        {
            FeatureColumnName = DigitPipeline.Features,
            NumberOfEpochs = numberOfEpochs,
            BatchSize = batchSize,
            LearningRate = settings.LearningRate,
            LearningRateSchedule = settings.Schedule,
            WeightDecay = weightDecay,
            Solver = settings.Solver,
            RelativeTolerance = settings.RelativeTolerance,
            AbsoluteTolerance = settings.AbsoluteTolerance,
            GradientMethod = settings.Gradient,
            Regularization = new PathRegularization { ErrorEstimate = settings.ErrorPenalty, Stiffness = settings.StiffnessPenalty },
            EndTimeSpread = settings.EndTimeSpread,
            Normalization = FeatureNormalization.Global,
            ValidationFraction = settings.ValidationFraction > 0 ? settings.ValidationFraction : null,
            EarlyStoppingPatience = settings.ValidationFraction > 0 ? settings.Patience : null,
            CheckpointFolder = settings.Checkpoints,
            Distributed = group,
            EpochCallback = onEpoch,
            CancellationToken = cancellationToken,
        };
        return mlContext.MulticlassClassification.Trainers.NeuralOde(options);
    }

    public static bool IsModel(ITransformer step) => step is NeuralOdeClassificationTransformer;
}
