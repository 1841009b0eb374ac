namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>Implicit methods as data.</summary>
internal static class ImplicitTableaux
{
    /// <summary>Written with an explicit first stage, whose difference to the second estimates the error.</summary>
    public static ImplicitTableau Euler { get; } = new(
        order: 1, a: [[0, 0], [0, 1]], b: [0, 1], c: [0, 1], error: [-1.0 / 2, 1.0 / 2], errorOrder: 1, filter: 1);

    public static ImplicitTableau Midpoint { get; } = new(order: 2, a: [[1.0 / 2]], b: [1], c: [1.0 / 2]);

    public static ImplicitTableau Trapezoid { get; } = new(order: 2, a: [[0, 0], [1.0 / 2, 1.0 / 2]], b: [1.0 / 2, 1.0 / 2], c: [0, 1]);

    /// <summary>R. Alexander, Diagonally implicit Runge–Kutta methods for stiff ODEs, SIAM J. Numer. Anal. 14, 1977; estimate of order 1 from the first stage.</summary>
    public static ImplicitTableau Sdirk2 { get; } = AlexanderSdirk2(1 - 1 / Math.Sqrt(2));

    /// <summary>M. E. Hosea, L. F. Shampine, Analysis and implementation of TR-BDF2, Appl. Numer. Math. 20, 1996.</summary>
    public static ImplicitTableau TrBdf2 { get; } = TrapezoidBdf2(2 - Math.Sqrt(2), Math.Sqrt(2) / 4);

    public static ImplicitTableau Kvaerno3 { get; } = KvaernoThree(0.4358665215084590);

    public static ImplicitTableau Kvaerno4 { get; } = KvaernoFour(0.5728160624821349);

    public static ImplicitTableau Kvaerno5 { get; } = KvaernoFive(0.26);

    /// <summary>Two-stage Radau IIA; the estimate has weight 0.4 on f at the start.</summary>
    public static ImplicitTableau Radau3 { get; } = Collocation(
        3, [[5.0 / 12, -1.0 / 12], [3.0 / 4, 1.0 / 4]], [3.0 / 4, 1.0 / 4], [1.0 / 3, 1], startWeight: 0.4);

    /// <summary>Three-stage Radau IIA with its classical estimate, whose weight on f at the start is the inverse of the real eigenvalue of A⁻¹.</summary>
    public static ImplicitTableau Radau5 { get; } = RadauThreeStages(Math.Sqrt(6));

    public static ImplicitTableau Gauss4 { get; } = GaussTwoStages(Math.Sqrt(3) / 6);

    public static ImplicitTableau Gauss6 { get; } = GaussThreeStages(Math.Sqrt(15));

    private static ImplicitTableau AlexanderSdirk2(double g) => new(
        order: 2, a: [[g, 0], [1 - g, g]], b: [1 - g, g], c: [g, 1], error: [-g, g], errorOrder: 1, filter: g);

    private static ImplicitTableau TrapezoidBdf2(double g, double w)
    {
        double d = g / 2;
        return new(
            order: 2, a: [[0, 0, 0], [d, d, 0], [w, w, d]], b: [w, w, d], c: [0, g, 1],
            error: [w - (1 - w) / 3, w - (3 * w + 1) / 3, d - d / 3], errorOrder: 2, filter: d);
    }

    // A. Kværnø, Singly diagonally implicit Runge–Kutta methods with an explicit first stage, BIT 44, 2004. The estimate is the difference of
    // the last two stages, both of which are solutions at the step's end.
    private static ImplicitTableau KvaernoThree(double g) => Kvaerno(3, g,
    [
        [],
        [g],
        [(-4 * g * g + 6 * g - 1) / (4 * g), (1 - 2 * g) / (4 * g)],
        [(6 * g - 1) / (12 * g), -1 / ((24 * g - 12) * g), (-6 * g * g + 6 * g - 1) / (6 * g - 3)],
    ]);

    private static ImplicitTableau KvaernoFour(double g)
    {
        double p = 12 * g * g - 6 * g + 1, q = 12 * g * g - 9 * g + 2, r = 3 * g - 1, s = 6 * g * g - 6 * g + 1;
        return Kvaerno(4, g,
        [
            [],
            [g],
            [g * Polynomial(g, 144, -180, 81, -15, 1) / (p * p), g * Polynomial(g, -36, 39, -15, 2) / (p * p)],
            [
                Polynomial(g, -144, 396, -330, 117, -18, 1) / (12 * g * g * q), Polynomial(g, 72, -126, 69, -15, 1) / (12 * g * g * r),
                -s * p * p / (12 * g * g * q * r),
            ],
            [
                Polynomial(g, 288, -312, 120, -18, 1) / (48 * g * g * q), Polynomial(g, 24, -12, 1) / (48 * g * g * r),
                -p * p * p / (48 * g * g * r * q * s), Polynomial(g, -24, 36, -12, 1) / Polynomial(g, 24, -24, 4),
            ],
        ]);
    }

    private static ImplicitTableau KvaernoFive(double g) => Kvaerno(5, g,
    [
        [],
        [g],
        [0.13, 0.84033320996790809],
        [0.22371961478320505, 0.47675532319799699, -0.06470895363112615],
        [0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998],
        [0.13855640231268224, 0, -0.04245337201752043, 0.02446657898003141, 0.61943039072480676],
        [0.13659751177640291, 0, -0.05496908796538376, -0.04118626728321046, 0.62993304899016403, 0.06962479448202728],
    ]);

    private static ImplicitTableau Kvaerno(int order, double g, double[][] lower)
    {
        int stages = lower.Length;
        var a = new double[stages][];
        var c = new double[stages];
        for (int i = 0; i < stages; i++)
        {
            a[i] = new double[stages];
            lower[i].CopyTo(a[i], 0);
            a[i][i] = i == 0 ? 0 : g;
            c[i] = a[i].Sum();
        }
        c[^1] = c[^2] = 1;
        double[] error = [.. a[^1].Zip(a[^2], (last, before) => last - before)];
        return new(order, a, [.. a[^1]], c, error, errorOrder: order - 1, filter: g);
    }

    private static ImplicitTableau RadauThreeStages(double root)
    {
        double[] c = [(4 - root) / 10, (4 + root) / 10, 1];
        double[][] a =
        [
            [(88 - 7 * root) / 360, (296 - 169 * root) / 1800, (-2 + 3 * root) / 225],
            [(296 + 169 * root) / 1800, (88 + 7 * root) / 360, (-2 - 3 * root) / 225],
            [(16 - root) / 36, (16 + root) / 36, 1.0 / 9],
        ];
        double realEigenvalue = (6 + Math.Cbrt(81) - Math.Cbrt(9)) / 30;
        return Collocation(5, a, [.. a[2]], c, startWeight: realEigenvalue);
    }

    private static ImplicitTableau GaussTwoStages(double r) => new(
        order: 4, a: [[1.0 / 4, 1.0 / 4 - r], [1.0 / 4 + r, 1.0 / 4]], b: [1.0 / 2, 1.0 / 2], c: [1.0 / 2 - r, 1.0 / 2 + r]);

    private static ImplicitTableau GaussThreeStages(double r) => new(
        order: 6,
        a:
        [
            [5.0 / 36, 2.0 / 9 - r / 15, 5.0 / 36 - r / 30],
            [5.0 / 36 + r / 24, 2.0 / 9, 5.0 / 36 - r / 24],
            [5.0 / 36 + r / 30, 2.0 / 9 + r / 15, 5.0 / 36],
        ],
        b: [5.0 / 18, 4.0 / 9, 5.0 / 18],
        c: [1.0 / 2 - r / 10, 1.0 / 2, 1.0 / 2 + r / 10]);

    /// <summary>
    /// A method with the estimate b̂ that has a given weight on f at the start and is of order s: Σ b̂_i c_i^(q−1) = 1/q − [q = 1] weight.
    /// </summary>
    private static ImplicitTableau Collocation(int order, double[][] a, double[] b, double[] c, double startWeight)
    {
        int s = b.Length;
        var system = new double[s, s + 1];
        for (int q = 0; q < s; q++)
        {
            for (int i = 0; i < s; i++)
                system[q, i] = Math.Pow(c[i], q);
            system[q, s] = 1.0 / (q + 1) - (q == 0 ? startWeight : 0);
        }
        double[] embedded = Eliminate(system);
        return new(order, a, b, c, [.. embedded.Zip(b, (hat, weight) => hat - weight)], startWeight, errorOrder: s, filter: startWeight);
    }

    private static double[] Eliminate(double[,] system)
    {
        int n = system.GetLength(0);
        for (int p = 0; p < n; p++)
            for (int row = 0; row < n; row++)
            {
                double factor = system[row, p] / system[p, p];
                for (int column = p; row != p && column <= n; column++)
                    system[row, column] -= factor * system[p, column];
            }
        return [.. Enumerable.Range(0, n).Select(i => system[i, n] / system[i, i])];
    }

    private static double Polynomial(double x, params double[] coefficients) => coefficients.Aggregate(0.0, (sum, coefficient) => sum * x + coefficient);
}
