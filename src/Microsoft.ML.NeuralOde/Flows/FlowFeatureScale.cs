namespace Microsoft.ML.NeuralOde;

/// <summary>
/// What a flow counts as one unit of a feature: smoothing is measured in it, and the weight of a feature among the others.
/// </summary>
public enum FlowFeatureScale
{
    /// <summary>The standard deviation.</summary>
    StandardDeviation,

    /// <summary>
    /// √(standard deviation · range / 5): features that fill a range evenly, or have a few values, count for more than those in which a few
    /// values lie far out.
    /// </summary>
    DeviationAndRange,
}
