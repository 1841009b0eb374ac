using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde;

public sealed partial class NeuralOdeClassificationTrainer
{
    /// <summary>The options of <see cref="NeuralOdeClassificationTrainer"/>.</summary>
    public sealed class Options
    {
        /// <summary>The label column, a key. Default: “Label”.</summary>
        public string LabelColumnName = DefaultColumnNames.Label;

        /// <summary>The feature column, a vector of Single of known size. Default: “Features”.</summary>
        public string FeatureColumnName = DefaultColumnNames.Features;

        /// <summary>The column of the predicted label. Default: “PredictedLabel”.</summary>
        public string PredictedLabelColumnName = DefaultColumnNames.PredictedLabel;

        /// <summary>The column of the class probabilities. Default: “Score”.</summary>
        public string ScoreColumnName = DefaultColumnNames.Score;

        /// <summary>Passes over the training data. Default: 10.</summary>
        public int NumberOfEpochs = Defaults.NumberOfEpochs;

        /// <summary>Rows in a batch. Default: 128.</summary>
        public int BatchSize = Defaults.BatchSize;

        /// <summary>Adam's learning rate; its maximum under <see cref="LearningRateSchedule.OneCycle"/>. Default: 0.001.</summary>
        public double LearningRate = Defaults.LearningRate;

        /// <summary>How the learning rate changes. Default: <see cref="LearningRateSchedule.Constant"/>.</summary>
        public LearningRateSchedule LearningRateSchedule = LearningRateSchedule.Constant;

        /// <summary>Adam's weight decay (an L2 penalty on the weights). Default: 0.</summary>
        public double WeightDecay;

        /// <summary>Gradients of a batch whose Euclidean norm is larger are scaled down to it. Default: null, no limit; 1.0 is usual.</summary>
        public double? MaximumGradientNorm;

        /// <summary>Sizes of the encoder's linear layers, with ReLU between them; the last is the size of the ODE's state. Default: 128, 64.</summary>
        public int[] EncoderLayers = [128, 64];

        /// <summary>Sizes of the hidden layers of the right-hand side, with tanh after each. Default: 64.</summary>
        public int[] DynamicsLayers = [64];

        /// <summary>The ODE is solved on [0, EndTime]. Default: 1.</summary>
        public double EndTime = 1;

        /// <summary>The numerical method. Default: <see cref="OdeMethod.Dopri5"/>.</summary>
        public OdeMethod Solver = OdeMethod.Dopri5;

        /// <summary>rtol of the solver. Default: 0.001.</summary>
        public double RelativeTolerance = Defaults.RelativeTolerance;

        /// <summary>atol of the solver. Default: 0.0001.</summary>
        public double AbsoluteTolerance = Defaults.AbsoluteTolerance;

        /// <summary>Step size of methods without error control; null for one step. Default: null.</summary>
        public double? StepSize;

        /// <summary>How gradients come back through the solver. Default: <see cref="GradientMethod.Checkpointed"/>, exact and fast.</summary>
        public GradientMethod GradientMethod = GradientMethod.Checkpointed();

        /// <summary>How features are normalised. Default: <see cref="FeatureNormalization.Global"/>.</summary>
        public FeatureNormalization Normalization = FeatureNormalization.Global;

        /// <summary>Seed of the weights and of the order of rows. Default: null, drawn from the MLContext, whose seed decides.</summary>
        public int? Seed;

        /// <summary>Data on which the accuracy is reported after each epoch. Default: null.</summary>
        public IDataView? ValidationSet;

        /// <summary>Fraction of the rows kept from training for that, where no validation set is given; between 0 and 1. Default: null.</summary>
        public double? ValidationFraction;

        /// <summary>Called after each epoch, on the training thread. Default: null.</summary>
        public Action<NeuralOdeEpochReport>? EpochCallback;

        /// <summary>Ends the training, looked at before each batch.</summary>
        public CancellationToken CancellationToken;

        internal Options Clone()
        {
            var copy = (Options)MemberwiseClone();
            copy.EncoderLayers = (int[])EncoderLayers?.Clone()!;
            copy.DynamicsLayers = (int[])DynamicsLayers?.Clone()!;
            return copy;
        }

        internal OdeSolverOptions SolverOptions() => new()
        {
            Method = Solver,
            RelativeTolerance = RelativeTolerance,
            AbsoluteTolerance = AbsoluteTolerance,
            StepSize = StepSize,
            Gradient = GradientMethod,
            CancellationToken = CancellationToken,
        };

        internal void Validate()
        {
            Require(!string.IsNullOrWhiteSpace(LabelColumnName), nameof(LabelColumnName), LabelColumnName, "the name of a column");
            Require(!string.IsNullOrWhiteSpace(FeatureColumnName), nameof(FeatureColumnName), FeatureColumnName, "the name of a column");
            Require(!string.IsNullOrWhiteSpace(PredictedLabelColumnName), nameof(PredictedLabelColumnName), PredictedLabelColumnName, "the name of a column");
            Require(!string.IsNullOrWhiteSpace(ScoreColumnName), nameof(ScoreColumnName), ScoreColumnName, "the name of a column");
            Require(NumberOfEpochs > 0, nameof(NumberOfEpochs), NumberOfEpochs, "at least 1");
            Require(BatchSize > 0, nameof(BatchSize), BatchSize, "at least 1");
            Require(LearningRate > 0 && double.IsFinite(LearningRate), nameof(LearningRate), LearningRate, "a positive number");
            Require(Enum.IsDefined(LearningRateSchedule), nameof(LearningRateSchedule), LearningRateSchedule, "one of the schedules");
            Require(WeightDecay >= 0 && double.IsFinite(WeightDecay), nameof(WeightDecay), WeightDecay, "zero or a positive number");
            Require(MaximumGradientNorm is null or > 0, nameof(MaximumGradientNorm), MaximumGradientNorm, "a positive number or null");
            Require(EncoderLayers is { Length: > 0 } && Array.TrueForAll(EncoderLayers, size => size > 0), nameof(EncoderLayers), Join(EncoderLayers), "at least one positive size");
            Require(DynamicsLayers is not null && Array.TrueForAll(DynamicsLayers, size => size > 0), nameof(DynamicsLayers), Join(DynamicsLayers), "a list of positive sizes");
            Require(EndTime != 0 && double.IsFinite(EndTime), nameof(EndTime), EndTime, "a finite number other than zero");
            Require(Solver is not null, nameof(Solver), Solver, "a method such as OdeMethod.Dopri5");
            Require(RelativeTolerance > 0 && double.IsFinite(RelativeTolerance), nameof(RelativeTolerance), RelativeTolerance, "a positive number");
            Require(AbsoluteTolerance > 0 && double.IsFinite(AbsoluteTolerance), nameof(AbsoluteTolerance), AbsoluteTolerance, "a positive number");
            Require(StepSize is null || (StepSize > 0 && double.IsFinite(StepSize.Value)), nameof(StepSize), StepSize, "a positive number or null");
            Require(GradientMethod is not null, nameof(GradientMethod), GradientMethod, "a gradient method such as GradientMethod.Adjoint()");
            Require(Enum.IsDefined(Normalization), nameof(Normalization), Normalization, "one of the normalisations");
            Require(ValidationFraction is null or (> 0 and < 1), nameof(ValidationFraction), ValidationFraction, "between 0 and 1, or null");
        }

        private static string Join(int[]? sizes) => sizes is null ? "null" : $"[{string.Join(", ", sizes)}]";

        private static void Require(bool condition, string option, object? found, string expected)
        {
            if (!condition)
                throw new ArgumentOutOfRangeException(option, $"{option} is {found ?? "null"}; it must be {expected}.");
        }
    }

    internal static class Defaults
    {
        public const int NumberOfEpochs = 10;
        public const int BatchSize = 128;
        public const double LearningRate = 1e-3;
        public const double RelativeTolerance = 1e-3;
        public const double AbsoluteTolerance = 1e-4;
    }
}
