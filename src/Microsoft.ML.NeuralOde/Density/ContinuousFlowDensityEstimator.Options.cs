namespace Microsoft.ML.NeuralOde;

public sealed partial class ContinuousFlowDensityEstimator
{
    /// <summary>The options of <see cref="ContinuousFlowDensityEstimator"/>.</summary>
    public sealed class Options : ContinuousFlowTrainerOptions
    {
        /// <summary>The column of log p(features), in nats. Default: “LogDensity”.</summary>
        public string LogDensityColumnName = DefaultLogDensityColumnName;

        /// <summary>
        /// The column of −log₂ p / features, the bits that a perfect code would spend on a feature; null for none. Default: null.
        /// </summary>
        public string? BitsPerDimensionColumnName;

        /// <summary>
        /// The column of the latent vector z, to which the flow carries the row: standard normal over the training data. Null for none;
        /// needs an <see cref="ContinuousFlowTrainerOptions.EnsembleSize"/> of 1. Default: null.
        /// </summary>
        public string? LatentColumnName;

        internal override void Validate()
        {
            base.Validate();
            RequireColumn(LogDensityColumnName, nameof(LogDensityColumnName));
            Require(
                BitsPerDimensionColumnName is null || !string.IsNullOrWhiteSpace(BitsPerDimensionColumnName),
                nameof(BitsPerDimensionColumnName),
                BitsPerDimensionColumnName, "the name of a column or null");
            Require(LatentColumnName is null || !string.IsNullOrWhiteSpace(LatentColumnName), nameof(LatentColumnName), LatentColumnName,
                "the name of a column or null");
            RequireDifferent(
                (LogDensityColumnName, nameof(LogDensityColumnName)), (BitsPerDimensionColumnName, nameof(BitsPerDimensionColumnName)),
                (LatentColumnName, nameof(LatentColumnName)));
            Require(LatentColumnName is null || EnsembleSize == 1, nameof(EnsembleSize), EnsembleSize,
                "1 where LatentColumnName is set: each flow has latent vectors of its own");
        }
    }
}
