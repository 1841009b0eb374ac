namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Which features a flow sees through a monotone map that evens out their distribution, before all are standardised. The map is piecewise
/// linear, goes on linearly beyond the training rows, and is part of the model and of its density.
/// </summary>
/// <remarks>
/// Standardisation measures a feature in standard deviations. Where a few large values decide the deviation, or many rows share one value,
/// ordinary rows then lie so close together that smoothing hides what sets them apart. In return the map draws large values in, which
/// matters where anomalies are among the training rows.
/// </remarks>
public enum FeatureReshaping
{
    /// <summary>None: all are only standardised.</summary>
    None,

    /// <summary>
    /// Those of more than twenty different values with one frequent value (in more than a quarter of the rows) or with long tails (an
    /// excess kurtosis above 3). The former become the normal scores of their ranks (B. L. van der Waerden, 1952), in which gaps without
    /// rows close; the latter the mean of normal score and inverse hyperbolic sine of the distance from the median in units of the
    /// interquartile range (J. B. Burbidge, L. Magee, A. L. Robb, 1988).
    /// </summary>
    IrregularFeatures,
}
