namespace Microsoft.ML.NeuralOde.Training;

/// <summary>How to train.</summary>
internal sealed record TrainingPlan(
    int NumberOfEpochs, int BatchSize, NeuralOdeOptimizer Optimizer, LearningRates LearningRates, double Momentum, double WeightDecay,
    double? MaximumGradientNorm, int? EarlyStoppingPatience, bool KeepBestWeights, int Seed, CheckpointStore? Checkpoints,
    int BatchesPerReport, CancellationToken CancellationToken);
