namespace Microsoft.ML.NeuralOde;

/// <summary>By what a flow tells anomalies from normal rows.</summary>
public enum FlowAnomalyScore
{
    /// <summary>
    /// By −log p and, where that is the clearer of the two, by the distance |z|² of the latent vector from the origin. Both are counted
    /// from their median over the training rows, in units of the spread around it (from the 16th to the 84th percentile). The density alone
    /// is blind to rows far out in directions in which the flow contracts strongly; the latent distance is not.
    /// </summary>
    DensityOrLatent,

    /// <summary>
    /// By −log p alone, in nats; of the row with its features reshaped, see <see cref="ContinuousFlowTrainerOptions.Reshaping"/>.
    /// </summary>
    Density,
}
