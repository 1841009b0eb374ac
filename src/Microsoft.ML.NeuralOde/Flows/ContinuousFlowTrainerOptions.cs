using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde;

/// <summary>What the estimator of densities and the trainer of anomaly detectors have in common: the flow, and how it is trained.</summary>
/// <remarks>
/// The defaults differ from other trainers' where flows need it: 30 epochs (20 for anomalies) of 100 batches of up to 1,024 rows, a
/// learning rate of 0.002 (0.01 for anomalies) that rises during the first twentieth and falls along a cosine, gradients limited to a norm
/// of 1, and the classical Runge–Kutta method with 16 steps (4 for anomalies), which makes a row's score independent of its neighbours.
/// Features are standardised inside the model, one by one.
/// </remarks>
public abstract class ContinuousFlowTrainerOptions : NeuralOdeTrainerOptions
{
    /// <summary>For subclasses.</summary>
    protected ContinuousFlowTrainerOptions()
    {
        NumberOfEpochs = FlowDefaults.NumberOfEpochs;
        BatchSize = FlowDefaults.BatchSize;
        LearningRate = FlowDefaults.LearningRate;
        LearningRateSchedule = LearningRateSchedule.CosineAnnealing;
        WarmUpFraction = 0.05;
        MaximumGradientNorm = 1;
        Solver = OdeMethod.Rk4;
        StepSize = FlowDefaults.StepSize;
        Normalization = FeatureNormalization.PerSlot;
    }

    /// <summary>
    /// A column of Single, or of vectors of it of known size, on which the density depends: p(features | condition). Default: null, none.
    /// </summary>
    public string? ConditionColumnName;

    /// <summary>How the flow is trained. Default: <see cref="FlowTrainingMethod.FlowMatching"/>.</summary>
    public FlowTrainingMethod Method = FlowTrainingMethod.FlowMatching;

    /// <summary>
    /// Sizes of the hidden layers of the flow's right-hand side; with up to two the trace is exact and cheap. Default: 256, 256.
    /// </summary>
    public int[] HiddenLayers = [256, 256];

    /// <summary>The non-linearity between them, a smooth one. Default: <see cref="Activation.Silu"/>.</summary>
    public Activation Activation = Activation.Silu;

    /// <summary>Flows one after the other. Default: 1.</summary>
    public int Blocks = 1;

    /// <summary>
    /// Flows side by side, from different random weights. Their densities, or for anomalies their scores, are averaged, which makes them
    /// steadier, at that many times the cost. Default: 1.
    /// </summary>
    public int EnsembleSize = 1;

    /// <summary>
    /// Batches in an epoch; rows are shuffled again whenever all have been seen. Null for one pass over the rows. Default: 100, so that
    /// small data sets are trained as long as large ones.
    /// </summary>
    public int? BatchesPerEpoch = FlowDefaults.BatchesPerEpoch;

    /// <summary>
    /// Points on paths from noise to data that each batch is trained with in flow matching. The batch's rows all take part in each point's
    /// velocity, which is why batches are large and points few. Default: 192.
    /// </summary>
    public int PathsPerBatch = FlowDefaults.PathsPerBatch;

    /// <summary>
    /// The share of those points, from 0 to 1, that is put beside the data, up to <see cref="CoverageReach"/> away, where a flow would
    /// otherwise be left to chance: what makes outliers reliably improbable. Velocities are exact there too; needs flow matching without a
    /// condition. Default: 0 for densities, 0.3 for anomalies.
    /// </summary>
    public double CoverageShare;

    /// <summary>
    /// The largest distance of such points from a row, as the standard deviation of noise in the features' units. Default: 2.
    /// </summary>
    public double CoverageReach = FlowDefaults.CoverageReach;

    /// <summary>
    /// Standard deviation, in the features' units (see <see cref="FeatureScale"/>), of Gaussian noise added to the rows in training: the
    /// learned density is smoothed by it, which keeps it finite where values repeat and guards small data sets against overfitting (C.
    /// Rothfuss et al., Noise Regularization for Conditional Density Estimation, 2019). Default: 0.05 for densities, 0.45 for anomalies.
    /// </summary>
    public double Smoothing = FlowDefaults.Smoothing;

    /// <summary>
    /// Which features are reshaped by a monotone map, chosen by up to 20,000 rows whatever their weights. Features that are dequantised are
    /// not. Default: <see cref="FeatureReshaping.None"/> for densities, <see cref="FeatureReshaping.IrregularFeatures"/> for anomalies;
    /// take None where many anomalies are among the training rows.
    /// </summary>
    public FeatureReshaping Reshaping = FeatureReshaping.None;

    /// <summary>
    /// The share of the training rows, from 0 to below 0.5, that the flow does not learn from: those in the emptiest places, by the
    /// distance to a neighbour whose rank is twice the number of rows left out, so that anomalies which lie together cannot vouch for each
    /// other. Set it to the share of anomalies that are known to be among the training rows. Needs all rows in memory
    /// (<see cref="NeuralOdeTrainerOptions.MemoryBudgetMegabytes"/>) and no condition. Detectors still compare scores with those of all
    /// training rows. Default: 0.
    /// </summary>
    public double TrimmedShare;

    /// <summary>
    /// What counts as one unit of a feature. Default: <see cref="FlowFeatureScale.StandardDeviation"/> for densities,
    /// <see cref="FlowFeatureScale.DeviationAndRange"/> for anomalies.
    /// </summary>
    public FlowFeatureScale FeatureScale = FlowFeatureScale.StandardDeviation;

    /// <summary>
    /// What stands in for missing features (NaN), in training and in scoring. Default: <see cref="FeatureImputation.None"/>, rows with some
    /// are left out of the training and answered by NaN.
    /// </summary>
    [Option(OptionUse.Decides, IsLeftOutWhenZero = true)]
    public FeatureImputation Imputation = FeatureImputation.None;

    /// <summary>
    /// Which features are dequantised. Default: <see cref="Dequantization.None"/>; <see cref="Smoothing"/> does for most.
    /// </summary>
    public Dequantization Dequantization = Dequantization.None;

    internal override NeuralOdeTrainerOptions Clone()
    {
        var copy = (ContinuousFlowTrainerOptions)base.Clone();
        copy.HiddenLayers = (int[])HiddenLayers?.Clone()!;
        return copy;
    }

    internal override void Validate()
    {
        base.Validate();
        Require(ConditionColumnName is null || !string.IsNullOrWhiteSpace(ConditionColumnName), nameof(ConditionColumnName),
            ConditionColumnName, "the name of a column or null");
        Require(ConditionColumnName is null || ConditionColumnName != FeatureColumnName, nameof(ConditionColumnName), ConditionColumnName,
            "another column than the features");
        RequireDefined(Method, nameof(Method));
        Require(
            HiddenLayers is { Length: > 0 } && Array.TrueForAll(HiddenLayers, size => size > 0), nameof(HiddenLayers),
            HiddenLayers is null ? null : $"[{string.Join(", ", HiddenLayers)}]", "at least one positive size");
        RequireDefined(Activation, nameof(Activation));
        Require(Activation != Activation.Relu, nameof(Activation), Activation, "a smooth one: Tanh, Softplus or Silu");
        Require(Blocks > 0, nameof(Blocks), Blocks, "at least 1");
        Require(EnsembleSize > 0, nameof(EnsembleSize), EnsembleSize, "at least 1");
        Require(BatchesPerEpoch is null or > 0, nameof(BatchesPerEpoch), BatchesPerEpoch, "at least 1, or null");
        Require(PathsPerBatch > 0, nameof(PathsPerBatch), PathsPerBatch, "at least 1");
        Require(CoverageShare is >= 0 and <= 1, nameof(CoverageShare), CoverageShare, "from 0 to 1");
        RequirePositive(CoverageReach, nameof(CoverageReach));
        RequireWeight(Smoothing, nameof(Smoothing));
        Require(TrimmedShare is >= 0 and < 0.5, nameof(TrimmedShare), TrimmedShare, "from 0 to below 0.5");
        Require(TrimmedShare == 0 || ConditionColumnName is null, nameof(TrimmedShare), TrimmedShare,
            "0 with a condition, on which it depends what is normal");
        RequireDefined(Reshaping, nameof(Reshaping));
        RequireDefined(FeatureScale, nameof(FeatureScale));
        RequireDefined(Dequantization, nameof(Dequantization));
        RequireDefined(Imputation, nameof(Imputation));
        Require(Normalization == FeatureNormalization.PerSlot, nameof(Normalization), Normalization,
            "PerSlot: a flow needs every feature at unit scale");
    }
}

/// <summary>Defaults that catalog methods and options have in common.</summary>
internal static class FlowDefaults
{
    public const int NumberOfEpochs = 30;
    public const int BatchesPerEpoch = 100;
    public const int BatchSize = 1024;
    public const int PathsPerBatch = 192;
    public const double LearningRate = 2e-3;
    public const double StepSize = 1.0 / 16;
    public const double AnomalyCoverageShare = 0.3;
    public const double CoverageReach = 2;
    public const double Smoothing = 0.05;
    public const double AnomalySmoothing = 0.45;
    public const int AnomalyEpochs = 20;

    // Targets are means over a batch, so that gradients have little noise: large steps come as far in a third of the time.
    public const double AnomalyLearningRate = 1e-2;

    // Scores differ from those of 8 steps by some 0.005 of their spread in the median: nothing to a ranking.
    public const double AnomalyStepSize = 1.0 / 4;
    public const double Contamination = 0.05;
}
