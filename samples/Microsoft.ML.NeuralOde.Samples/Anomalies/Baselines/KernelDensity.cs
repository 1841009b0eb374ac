using System.Numerics.Tensors;

namespace Microsoft.ML.NeuralOde.Samples.Anomalies.Baselines;

/// <summary>
/// Minus the logarithm of a density of Gaussian bumps around the training rows, as wide as D. Scott's rule has it, n^(−1/(d + 4)) standard
/// deviations for n rows of d features; up to a constant.
/// </summary>
internal static class KernelDensity
{
    public static double[] Score(float[][] training, float[][] test)
    {
        double width = Math.Pow(training.Length, -1.0 / (training[0].Length + 4));
        var scores = new double[test.Length];
        Parallel.For(0, test.Length, row =>
        {
            double[] exponents = [.. training.Select(other => Exponent(TensorPrimitives.Distance<float>(other, test[row]) / width))];
            double largest = exponents.Max();
            scores[row] = -largest - Math.Log(exponents.Sum(exponent => Math.Exp(exponent - largest)));
        });
        return scores;
    }

    private static double Exponent(double distance) => -distance * distance / 2;
}
