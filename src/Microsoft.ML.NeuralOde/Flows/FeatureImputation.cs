namespace Microsoft.ML.NeuralOde;

/// <summary>
/// What stands in for features that are missing (NaN), in training and in scoring. Infinite values and conditions are never replaced.
/// </summary>
public enum FeatureImputation
{
    /// <summary>Nothing: rows with missing values are left out of the training, and are not scored.</summary>
    None,

    /// <summary>
    /// The feature's median over the training rows that have a value, the lower one of two in the middle. A missing value counts as an
    /// ordinary one then, so that a row is judged by what is known of it, and its log p is the density at the filled place, not the
    /// marginal density of what is known. Rows in which all features are missing are treated as with <see cref="None"/>.
    /// </summary>
    Median,
}
