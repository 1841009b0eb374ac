namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>The standard normal density.</summary>
internal static class Gaussian
{
    private static readonly double LogNormalizer = 0.5 * Math.Log(2 * Math.PI);

    /// <summary>Its logarithm, summed over the last dimension.</summary>
    public static Tensor LogDensity(Tensor z)
    {
        using Tensor squares = z.Squared();
        using Tensor sum = squares.sum(dim: -1L);
        using Tensor exponent = sum.Times(-0.5);
        return exponent.Minus(LogNormalizer * z.shape[^1]);
    }
}
