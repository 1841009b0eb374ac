using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde;

public sealed partial class ContinuousFlowAnomalyTrainer
{
    /// <summary>The options of <see cref="ContinuousFlowAnomalyTrainer"/>.</summary>
    public sealed class Options : ContinuousFlowTrainerOptions
    {
        /// <summary>
        /// The defaults. <see cref="NeuralOdeTrainerOptions.StepSize"/> is 1/4, enough to rank rows; take 1/16 for log-densities in nats,
        /// and for <see cref="FlowTrainingMethod.MaximumLikelihood"/>, which trains with these steps too.
        /// <see cref="NeuralOdeTrainerOptions.LearningRate"/> is 0.01; take 0.002, and more epochs, for
        /// <see cref="FlowTrainingMethod.MaximumLikelihood"/> and where there is a condition, whose targets are single pairs.
        /// </summary>
        public Options()
        {
            NumberOfEpochs = FlowDefaults.AnomalyEpochs;
            LearningRate = FlowDefaults.AnomalyLearningRate;
            StepSize = FlowDefaults.AnomalyStepSize;
            Smoothing = FlowDefaults.AnomalySmoothing;
            CoverageShare = FlowDefaults.AnomalyCoverageShare;
            Reshaping = FeatureReshaping.IrregularFeatures;
            FeatureScale = FlowFeatureScale.DeviationAndRange;
        }

        /// <summary>The column of the anomaly score. Default: “Score”.</summary>
        public string ScoreColumnName = DefaultColumnNames.Score;

        /// <summary>The column that says whether a row is an anomaly. Default: “PredictedLabel”.</summary>
        public string PredictedLabelColumnName = DefaultColumnNames.PredictedLabel;

        /// <summary>What the score is made of. Default: <see cref="FlowAnomalyScore.DensityOrLatent"/>.</summary>
        public FlowAnomalyScore Score = FlowAnomalyScore.DensityOrLatent;

        /// <summary>
        /// The share of the training rows that lie above the threshold of PredictedLabel, between 0 and 1: about how many false alarms are
        /// accepted where the training data are clean. Null finds it in the scores: what lies beyond
        /// an exponential tail, fitted between median and third quartile, are anomalies; 0 where nothing stands out. Default: 0.05.
        /// </summary>
        public double? Contamination = FlowDefaults.Contamination;

        /// <summary>
        /// What is said of rows with missing values when they are scored. Default: <see cref="MissingValueHandling.Anomaly"/>, since a
        /// detector that passes over a sensor that has failed is worse than a false alarm. Values that
        /// <see cref="ContinuousFlowTrainerOptions.Imputation"/> replaces are not missing.
        /// </summary>
        public MissingValueHandling MissingValues = MissingValueHandling.Anomaly;

        internal override void Validate()
        {
            base.Validate();
            RequireDefined(MissingValues, nameof(MissingValues));
            RequireColumn(ScoreColumnName, nameof(ScoreColumnName));
            RequireColumn(PredictedLabelColumnName, nameof(PredictedLabelColumnName));
            RequireDifferent((ScoreColumnName, nameof(ScoreColumnName)), (PredictedLabelColumnName, nameof(PredictedLabelColumnName)));
            RequireDefined(Score, nameof(Score));
            Require(Contamination is null or (> 0 and < 1), nameof(Contamination), Contamination, "between 0 and 1, or null");
        }
    }
}
