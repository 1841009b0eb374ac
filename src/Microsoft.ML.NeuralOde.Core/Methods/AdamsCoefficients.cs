using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>The coefficients of Adams methods for the actual times of the steps, which need not be equally spaced.</summary>
internal static class AdamsCoefficients
{
    /// <summary>Gauss's rule with seven points on [0, 1], exact for the polynomials through up to 14 derivatives.</summary>
    private static readonly (double Node, double Weight)[] Rule = GaussLegendre(7);

    /// <summary>The integrals over the step, in units of its size, of the Lagrange polynomials of some times.</summary>
    public static double[] Weights(StepSpan span, ReadOnlySpan<double> times)
    {
        var weights = new double[times.Length];
        foreach ((double node, double weight) in Rule)
        {
            double t = span.Start[0] + node * span.Size[0];
            for (int j = 0; j < times.Length; j++)
            {
                double value = weight;
                for (int i = 0; i < times.Length; i++)
                    if (i != j)
                        value *= (t - times[i]) / (times[j] - times[i]);
                weights[j] += value;
            }
        }
        return weights;
    }

    /// <summary>Nodes and weights on [0, 1]: the roots of the Legendre polynomial by Newton's method.</summary>
    private static (double Node, double Weight)[] GaussLegendre(int points)
    {
        var rule = new (double, double)[points];
        for (int i = 0; i < points; i++)
        {
            double x = Math.Cos(Math.PI * (i + 0.75) / (points + 0.5));
            double slope = 0;
            for (int iteration = 0; iteration < 20; iteration++)
            {
                double current = 1, before = 0;
                for (int n = 1; n <= points; n++)
                    (current, before) = (((2 * n - 1) * x * current - (n - 1) * before) / n, current);
                slope = points * (x * current - before) / (x * x - 1);
                x -= current / slope;
            }
            rule[i] = ((1 + x) / 2, 1 / ((1 - x * x) * slope * slope));
        }
        return rule;
    }
}
