namespace Microsoft.ML.NeuralOde;

/// <summary>How a continuous flow is trained.</summary>
public enum FlowTrainingMethod
{
    /// <summary>
    /// Regression of the velocity that carries noise to data, without solving the equation: fast, and the better choice for tables
    /// (Y. Lipman et al., Flow Matching for Generative Modeling, 2023). The likelihood is exact afterwards all the same.
    /// </summary>
    FlowMatching,

    /// <summary>
    /// Maximum likelihood, through the solver (W. Grathwohl et al., FFJORD, 2019): many times slower, for a few features and where the last
    /// tenth of a nat counts.
    /// </summary>
    MaximumLikelihood,
}

/// <summary>Which features get uniform noise of one unit's width in training, so that a density exists where their values repeat.</summary>
public enum Dequantization
{
    /// <summary>None.</summary>
    None,

    /// <summary>
    /// Those whose values are all whole numbers: counts, codes of categories, one-hot slots. The density at a whole number is then the
    /// probability of the unit interval around it. Samples are rounded, and lie within the values of the training rows; of the slots of
    /// a category, as OneHotEncoding notes them, exactly one is 1.
    /// </summary>
    Integers,
}
