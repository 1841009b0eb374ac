namespace Microsoft.ML.NeuralOde.Samples.Data;

/// <summary>Random numbers of other distributions.</summary>
internal static class RandomNumbers
{
    /// <summary>A number with mean 0 and standard deviation 1 (G. E. P. Box, M. E. Muller, 1958).</summary>
    public static double NextNormal(this Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
