namespace Microsoft.ML.NeuralOde;

/// <summary>How a <see cref="ControlPath"/> leads from one observation to the next.</summary>
public enum PathInterpolation
{
    /// <summary>
    /// On straight lines. A missing value lies on the line between its channel's neighbours in time; before the first observation of a
    /// channel is its first value, behind the last its last. Kinks at the observations.
    /// </summary>
    Linear,

    /// <summary>
    /// Time goes on while the values stay; then the values change while time stays (J. Morrill et al., Neural controlled differential
    /// equations for online prediction tasks, 2021). Causal: up to an observation nothing depends on later ones. A missing value is the
    /// channel's last one, 0 before the first.
    /// </summary>
    Rectilinear,

    /// <summary>
    /// On cubic curves with the slopes of the intervals before (Hermite, backward differences; Morrill et al. 2021). Causal at the
    /// observations, and without kinks. Missing values as for <see cref="Rectilinear"/>.
    /// </summary>
    HermiteCubic,

    /// <summary>
    /// On the natural cubic spline through a channel's observations: the smoothest, and dependent on all of them. A channel stays at its
    /// first value before the first observation, and at its last behind the last.
    /// </summary>
    NaturalCubic,
}
