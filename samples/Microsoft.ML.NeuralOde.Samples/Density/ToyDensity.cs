using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Density;

/// <summary>A density of the plane that is known, and hard to learn in one way or another: those on which FFJORD was shown.</summary>
internal abstract class ToyDensity
{
    private static readonly Dictionary<string, Func<string, ToyDensity>> Known = new(StringComparer.OrdinalIgnoreCase)
    {
        ["8gaussians"] = NoisyCurve.EightGaussians,
        ["pinwheel"] = name => new Pinwheel(name),
        ["2spirals"] = NoisyCurve.TwoSpirals,
        ["checkerboard"] = name => new Checkerboard(name),
        ["rings"] = NoisyCurve.Rings,
        ["moons"] = NoisyCurve.Moons,
        ["circles"] = NoisyCurve.Circles,
        ["swissroll"] = NoisyCurve.SwissRoll,
    };

    protected ToyDensity(string name) => Name = name;

    public static IEnumerable<string> Names => Known.Keys;

    public string Name { get; }

    /// <exception cref="ArgumentException">There is no such density.</exception>
    public static ToyDensity Parse(string name) => Known.TryGetValue(name, out Func<string, ToyDensity>? create)
        ? create(name.ToLowerInvariant())
        : throw new ArgumentException($"'{name}' is unknown; {string.Join(", ", Known.Keys)} would be right.", nameof(name));

    public override string ToString() => Name;

    /// <summary>One random point.</summary>
    public abstract (double X, double Y) Draw(Random random);

    /// <summary>log p(x, y) in nats; −∞ outside of the support.</summary>
    public abstract double LogDensity(double x, double y);

    /// <summary>Random points, one after the other.</summary>
    public float[] Sample(int count, Random random)
    {
        var points = new float[2 * count];
        for (int i = 0; i < count; i++)
            (points[2 * i], points[2 * i + 1]) = Narrow(Draw(random));
        return points;

        static (float, float) Narrow((double X, double Y) point) => ((float)point.X, (float)point.Y);
    }

    /// <summary>The mean log-density of random points: what no model can exceed, up to the error of the mean.</summary>
    public double NegativeEntropy(int count, Random random)
    {
        double sum = 0;
        for (int i = 0; i < count; i++)
        {
            (double x, double y) = Draw(random);
            sum += LogDensity(x, y);
        }
        return sum / count;
    }
}

/// <summary>Black squares of side 2 on a board from −4 to 4.</summary>
internal sealed class Checkerboard(string name) : ToyDensity(name)
{
    public override (double X, double Y) Draw(Random random)
    {
        double x = 8 * random.NextDouble() - 4;
        int row = random.Next(2);
        // Of the four squares above x two are black, every other one, and the first of them changes from column to column.
        double y = 2 * random.NextDouble() - 4 + 4 * row + (IsOdd(x) ? 2 : 0);
        return (x, y);
    }

    public override double LogDensity(double x, double y) =>
        Math.Abs(x) <= 4 && Math.Abs(y) <= 4 && IsOdd(x) == IsOdd(y) ? -Math.Log(32) : double.NegativeInfinity;

    private static bool IsOdd(double value) => ((int)Math.Floor((value + 4) / 2) & 1) == 1;
}

/// <summary>Five arms, bent clockwise the more, the further out they reach.</summary>
internal sealed class Pinwheel(string name) : ToyDensity(name)
{
    private const int Arms = 5;
    private const double RadialDeviation = 0.3;
    private const double TangentialDeviation = 0.1;
    private const double Rate = -0.25;
    private const double Scale = 2;

    public override (double X, double Y) Draw(Random random)
    {
        double u = 1 + RadialDeviation * random.NextNormal(), v = TangentialDeviation * random.NextNormal();
        (double sin, double cos) = Math.SinCos(Angle(random.Next(Arms), u));
        return (Scale * (u * cos - v * sin), Scale * (u * sin + v * cos));
    }

    /// <summary>
    /// The sum over all (u, v) that lead to the point of p(u) p(v) / |∂(x, y)/∂(u, v)|: along each arm, the zeros in u of the difference
    /// between u and the first coordinate of the point turned back by the angle that belongs to u.
    /// </summary>
    public override double LogDensity(double x, double y)
    {
        const int Intervals = 160;
        const double From = 1 - 8 * RadialDeviation, To = 1 + 8 * RadialDeviation;
        double density = 0;
        for (int arm = 0; arm < Arms; arm++)
        {
            double before = Difference(arm, From, x, y, out _);
            for (int i = 1; i <= Intervals; i++)
            {
                double end = From + (To - From) * i / Intervals;
                double after = Difference(arm, end, x, y, out _);
                if (before < 0 != after < 0)
                    density += At(arm, Root(arm, From + (To - From) * (i - 1) / Intervals, end, before < 0, x, y), x, y);
                before = after;
            }
        }
        return Math.Log(density);
    }

    private static double Angle(int arm, double u) => 2 * Math.PI * arm / Arms + Rate * Math.Exp(u);

    private static double Difference(int arm, double u, double x, double y, out double v)
    {
        (double sin, double cos) = Math.SinCos(Angle(arm, u));
        v = (y * cos - x * sin) / Scale;
        return (x * cos + y * sin) / Scale - u;
    }

    private static double Root(int arm, double low, double high, bool isNegativeAtLow, double x, double y)
    {
        for (int i = 0; i < 50; i++)
        {
            double middle = (low + high) / 2;
            if (Difference(arm, middle, x, y, out _) < 0 == isNegativeAtLow)
                low = middle;
            else
                high = middle;
        }
        return (low + high) / 2;
    }

    private static double At(int arm, double u, double x, double y)
    {
        Difference(arm, u, x, y, out double v);
        // ∂(x, y)/∂(u, v) is the scale times a rotation times [1 − v θ′, 0; u θ′, 1].
        double jacobian = Scale * Scale * Math.Abs(1 - v * Rate * Math.Exp(u));
        double a = (u - 1) / RadialDeviation, b = v / TangentialDeviation;
        return Math.Exp(-0.5 * (a * a + b * b)) / (2 * Math.PI * RadialDeviation * TangentialDeviation * jacobian * Arms);
    }
}
