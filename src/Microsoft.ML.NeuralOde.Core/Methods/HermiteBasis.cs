namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// The cubic through two points with their slopes, at a fraction s of the way: y(s) = (1 − End) y₀ + End y₁ + h (StartSlope f₀ + EndSlope
/// f₁).
/// </summary>
internal readonly record struct HermiteBasis(double End, double StartSlope, double EndSlope)
{
    public static HermiteBasis At(double s) => new(s * s * (3 - 2 * s), s * (1 - s) * (1 - s), s * s * (s - 1));

    /// <summary>The derivatives with respect to s.</summary>
    public static HermiteBasis DerivativeAt(double s) => new(6 * s * (1 - s), (1 - s) * (1 - 3 * s), s * (3 * s - 2));
}
