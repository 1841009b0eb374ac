namespace Microsoft.ML.NeuralOde.Series;

/// <summary>Densities of independent normal numbers.</summary>
internal static class Gaussians
{
    private static readonly double LogNormalizer = 0.5 * Math.Log(2 * Math.PI);

    /// <summary>log N(z; 0, 1) of each element.</summary>
    public static Tensor LogDensity(Tensor z) => z.Squared().Times(-0.5).Minus(LogNormalizer);

    /// <summary>KL(N(mean, scale²) ‖ N(0, 1)), summed over the last dimension.</summary>
    public static Tensor Divergence(Tensor mean, Tensor logScale)
    {
        Tensor twice = logScale.Times(2);
        return (mean.Squared().Plus(twice.exp()) - twice).Minus(1).sum(-1).Times(0.5);
    }
}
