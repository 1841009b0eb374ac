using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>
/// Points on curves, each as likely as the others, moved by normal noise of equal size in both coordinates, and where a curve is a band
/// also uniformly within a square.
/// </summary>
internal sealed class NoisyCurve : ToyDensity
{
    /// <summary>Points of each curve that stand for it in the density; their distance is well below the noise.</summary>
    private const int Nodes = 600;

    private readonly Curve[] _curves;
    private readonly double _noise;
    private readonly (double X, double Y, double Band)[] _nodes;

    /// <param name="name">The density's name.</param>
    /// <param name="noise">Standard deviation of the noise.</param>
    /// <param name="curves">The curves.</param>
    private NoisyCurve(string name, double noise, params Curve[] curves)
        : base(name)
    {
        _noise = noise;
        _curves = curves;
        int nodes = curves.All(curve => curve.IsPoint) ? 1 : Nodes;
        _nodes = [.. curves.SelectMany(curve => Enumerable.Range(0, nodes).Select(i =>
        {
            (double x, double y) = curve.At((i + 0.5) / nodes);
            return (x, y, curve.Band);
        }))];
    }

    public static NoisyCurve EightGaussians(string name) =>
        new(name, 0.5 / 1.414, [.. Enumerable.Range(0, 8).Select(i => new Curve(_ => Circle(4 / 1.414, i / 8.0), IsPoint: true))]);

    /// <summary>One and a half turns; the second spiral is the first, turned by half a turn.</summary>
    public static NoisyCurve TwoSpirals(string name)
    {
        return new NoisyCurve(name, 0.1, new Curve(Spiral, 0.5 / 3), new Curve(u => (-Spiral(u).X, -Spiral(u).Y), -0.5 / 3));

        static (double X, double Y) Spiral(double u)
        {
            double angle = 3 * Math.PI * Math.Sqrt(u);
            return (-angle * Math.Cos(angle) / 3, angle * Math.Sin(angle) / 3);
        }
    }

    public static NoisyCurve Rings(string name) =>
        new(name, 0.08, [.. new[] { 3, 2.25, 1.5, 0.75 }.Select(radius => new Curve(u => Circle(radius, u)))]);

    public static NoisyCurve Circles(string name) =>
        new(name, 0.24, new Curve(u => Circle(3, u)), new Curve(u => Circle(1.5, u)));

    public static NoisyCurve Moons(string name) => new(
        name, 0.2,
        new Curve(u => (2 * Math.Cos(Math.PI * u) - 1, 2 * Math.Sin(Math.PI * u) - 0.2)),
        new Curve(u => (1 - 2 * Math.Cos(Math.PI * u), 0.8 - 2 * Math.Sin(Math.PI * u))));

    public static NoisyCurve SwissRoll(string name) => new(name, 0.2, new Curve(u =>
    {
        double angle = 1.5 * Math.PI * (1 + 2 * u);
        return (angle * Math.Cos(angle) / 5, angle * Math.Sin(angle) / 5);
    }));

    public override (double X, double Y) Draw(Random random)
    {
        Curve curve = _curves[random.Next(_curves.Length)];
        (double x, double y) = curve.At(random.NextDouble());
        return (x + curve.Band * random.NextDouble() + _noise * random.NextNormal(),
            y + curve.Band * random.NextDouble() + _noise * random.NextNormal());
    }

    public override double LogDensity(double x, double y)
    {
        // Terms relative to the largest, which a point far away would otherwise lose.
        double largest = double.NegativeInfinity, sum = 0;
        foreach ((double nodeX, double nodeY, double band) in _nodes)
        {
            double term = LogKernel(x - nodeX, band) + LogKernel(y - nodeY, band);
            if (term <= largest)
            {
                sum += Math.Exp(term - largest);
                continue;
            }
            sum = sum * Math.Exp(largest - term) + 1;
            largest = term;
        }
        return largest + Math.Log(sum / _nodes.Length);
    }

    private double LogKernel(double distance, double band)
    {
        if (band == 0)
            return -0.5 * Math.Pow(distance / _noise, 2) - Math.Log(_noise * Math.Sqrt(2 * Math.PI));
        // A uniform variable on [0, band] with noise: a difference of two distribution functions.
        (double low, double high) = band > 0 ? (distance - band, distance) : (distance, distance - band);
        double mass = ErrorFunction(high / _noise) - ErrorFunction(low / _noise);
        return mass > 1e-5 ? Math.Log(mass / Math.Abs(band))
            : -0.5 * Math.Pow(Math.Min(Math.Abs(low), Math.Abs(high)) / _noise, 2) - Math.Log(Math.Abs(band));
    }

    /// <summary>The standard normal distribution function (M. Abramowitz, I. A. Stegun, 7.1.26, error below 1.5e-7).</summary>
    private static double ErrorFunction(double x)
    {
        double z = Math.Abs(x) / Math.Sqrt(2), t = 1 / (1 + 0.3275911 * z);
        double tail =
            t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.Exp(-z * z) / 2;
        return x > 0 ? 1 - tail : tail;
    }

    private static (double X, double Y) Circle(double radius, double turns) =>
        (radius * Math.Cos(2 * Math.PI * turns), radius * Math.Sin(2 * Math.PI * turns));

    /// <param name="At">A point for each number from 0 to 1, which are equally likely.</param>
    /// <param name="Band">Side of the square within which the point moves, from the point up and right, or, where negative, down and
    /// left.</param>
    /// <param name="IsPoint">Whether all its points are one.</param>
    private sealed record Curve(Func<double, (double X, double Y)> At, double Band = 0, bool IsPoint = false);
}
