namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>Implicit methods as data.</summary>
internal static class ImplicitTableaux
{
    /// <summary>Written with an explicit first stage, whose difference to the second estimates the error.</summary>
    public static ImplicitTableau Euler { get; } = new(
        order: 1, a: [[0, 0], [0, 1]], b: [0, 1], c: [0, 1], error: [-1.0 / 2, 1.0 / 2], errorOrder: 1, filter: 1);

    public static ImplicitTableau Midpoint { get; } = new(order: 2, a: [[1.0 / 2]], b: [1], c: [1.0 / 2]);

    public static ImplicitTableau Trapezoid { get; } = new(order: 2, a: [[0, 0], [1.0 / 2, 1.0 / 2]], b: [1.0 / 2, 1.0 / 2], c: [0, 1]);

    /// <summary>
    /// R. Alexander, Diagonally implicit Runge–Kutta methods for stiff ODEs, SIAM J. Numer. Anal. 14, 1977; estimate of order 1 from the
    /// first stage.
    /// </summary>
    public static ImplicitTableau Sdirk2 { get; } = AlexanderSdirk2(1 - 1 / Math.Sqrt(2));

    /// <summary>M. E. Hosea, L. F. Shampine, Analysis and implementation of TR-BDF2, Appl. Numer. Math. 20, 1996.</summary>
    public static ImplicitTableau TrBdf2 { get; } = TrapezoidBdf2(2 - Math.Sqrt(2), Math.Sqrt(2) / 4);

    public static ImplicitTableau Kvaerno3 { get; } = KvaernoThree(0.4358665215084590);

    /// <summary>
    /// ESDIRK4(3)6L[2]SA, the implicit half of ARK4(3)6L[2]SA (C. A. Kennedy, M. H. Carpenter, Additive Runge–Kutta schemes for
    /// convection–diffusion–reaction equations, Appl. Numer. Math. 44, 2003).
    /// </summary>
    public static ImplicitTableau Esdirk4 { get; } = FourthOrderEsdirk();

    /// <summary>
    /// ESDIRK5(4)7L[2]SA2 (C. A. Kennedy, M. H. Carpenter, Diagonally implicit Runge–Kutta methods for stiff ODEs, Appl. Numer. Math. 146,
    /// 2019).
    /// </summary>
    public static ImplicitTableau Esdirk5 { get; } = FifthOrderEsdirk();

    /// <summary>Two-stage Radau IIA; the estimate has weight 0.4 on f at the start.</summary>
    public static ImplicitTableau Radau3 { get; } = Collocation(
        3, [[5.0 / 12, -1.0 / 12], [3.0 / 4, 1.0 / 4]], [3.0 / 4, 1.0 / 4], [1.0 / 3, 1], startWeight: 0.4);

    /// <summary>
    /// Three-stage Radau IIA with its classical estimate, whose weight on f at the start is the inverse of the real eigenvalue of A⁻¹.
    /// </summary>
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

    // A. Kværnø, Singly diagonally implicit Runge–Kutta methods with an explicit first stage, BIT 44, 2004. The estimate is the difference
    // of the last two stages, both of which are solutions at the step's end. Her methods of order 4 and 5 have nodes behind the step's end.
    private static ImplicitTableau KvaernoThree(double g) => Kvaerno(3, g,
    [
        [],
        [g],
        [(-4 * g * g + 6 * g - 1) / (4 * g), (1 - 2 * g) / (4 * g)],
        [(6 * g - 1) / (12 * g), -1 / ((24 * g - 12) * g), (-6 * g * g + 6 * g - 1) / (6 * g - 3)],
    ]);

    private static ImplicitTableau FourthOrderEsdirk()
    {
        const double G = 1.0 / 4;
        double[][] a = Diagonal(G,
        [
            [],
            [G],
            [8611.0 / 62500, -1743.0 / 31250],
            [5012029.0 / 34652500, -654441.0 / 2922500, 174375.0 / 388108],
            [15267082809.0 / 155376265600, -71443401.0 / 120774400, 730878875.0 / 902184768, 2285395.0 / 8070912],
            [82889.0 / 524892, 0, 15625.0 / 83664, 69875.0 / 102672, -2260.0 / 8211],
        ]);
        double[] c = [0, 1.0 / 2, 83.0 / 250, 31.0 / 50, 17.0 / 20, 1];
        double[] embedded =
            [4586570599.0 / 29645900160, 0, 178811875.0 / 945068544, 814220225.0 / 1159782912, -3700637.0 / 11593932, 61727.0 / 225920];
        double[] b = [.. a[^1]];
        // The condition left over lets one error of order 5 grow to that at the step's end, with which all the others stay below those
        // there.
        double[] last = Times(a, Power(c, 3));
        var extension = ContinuousExtension.Meeting(4, [.. FourthOrderConditions(a, c), (last, [0, 0, 0, 0, Dot(b, last)])]);
        return new(4, a, b, c, Difference(embedded, b), errorOrder: 3, filter: G, extension: extension);
    }

    private static ImplicitTableau FifthOrderEsdirk()
    {
        const double G = 23.0 / 125;
        const double A3 = 791020047304.0 / 3561426431547, A4 = -158159076358.0 / 11257294102345, A5 = -1653327111580.0 / 4048416487981;
        const double A6 = -4540011970825.0 / 8418487046959, B = -188593204321.0 / 4778616380481, Embedded = -582099335757.0 / 7214068459310;
        double[][] a = Diagonal(G,
        [
            [],
            [G],
            [A3, A3],
            [A4, A4, -85517644447.0 / 5003708988389],
            [A5, A5, 1514767744496.0 / 9099671765375, 14283835447591.0 / 12247432691556],
            [A6, A6, -1790937573418.0 / 7393406387169, 10819093665085.0 / 7266595846747, 4109463131231.0 / 7386972500302],
            [B, B, 2809310203510.0 / 10304234040467, 1021729336898.0 / 2364210264653, 870612361811.0 / 2470410392208,
                -1307970675534.0 / 8059683598661],
        ]);
        double[] c = [.. a.Select(row => row.Sum())];
        c[^1] = 1;
        double[] embedded =
        [
            Embedded, Embedded, 615023338567.0 / 3362626566945, 3192122436311.0 / 6174152374399, 6156034052041.0 / 14430468657929,
            -1011318518279.0 / 9693750372484, 1914490192573.0 / 13754262428401,
        ];
        double[] b = [.. a[^1]];
        // Order 5 on linear equations; and equal weights of the first two stages, as in a, keep stiff components bounded inside the step
        // too.
        var extension = ContinuousExtension.Meeting(
            4, [.. FourthOrderConditions(a, c), (Times(a, Times(a, Power(c, 2))), [0, 0, 0, 0, 1.0 / 60]), ([1, -1, 0, 0, 0, 0, 0], [0])]);
        return new(5, a, b, c, Difference(embedded, b), errorOrder: 4, filter: G, extension: extension);
    }

    /// <summary>The conditions of order 4 at a fraction σ of the step, for methods of stage order 2.</summary>
    private static (double[] Row, double[] Right)[] FourthOrderConditions(double[][] a, double[] c) =>
    [
        .. Enumerable.Range(0, 4).Select(q => (Power(c, q), (double[])[.. new double[q], 1.0 / (q + 1)])),
        (Times(a, Power(c, 2)), [0, 0, 0, 1.0 / 12]),
    ];

    private static ImplicitTableau Kvaerno(int order, double g, double[][] lower)
    {
        double[][] a = Diagonal(g, lower);
        double[] c = [.. a.Select(row => row.Sum())];
        c[^1] = c[^2] = 1;
        return new(order, a, [.. a[^1]], c, Difference(a[^1], a[^2]), errorOrder: order - 1, filter: g);
    }

    /// <summary>a with an explicit first stage and g on the diagonal of the others.</summary>
    private static double[][] Diagonal(double g, double[][] lower)
    {
        var a = new double[lower.Length][];
        for (int i = 0; i < a.Length; i++)
        {
            a[i] = new double[a.Length];
            lower[i].CopyTo(a[i], 0);
            a[i][i] = i == 0 ? 0 : g;
        }
        return a;
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
        double[][] powers = [.. Enumerable.Range(0, s).Select(q => Power(c, q))];
        double[] embedded = [.. LinearEquations
            .Solve(powers, [.. powers.Select((_, q) => new[] { 1.0 / (q + 1) - (q == 0 ? startWeight : 0) })])
            .Select(row => row[0])];
        // The solution's own polynomial with the slope at the start besides.
        var extension = ContinuousExtension.Meeting(
            s + 1, [.. Enumerable.Range(0, s + 1).Select(q => (Power([0, .. c], q), (double[])[.. new double[q], 1.0 / (q + 1)]))]);
        return new(order, a, b, c, Difference(embedded, b), startWeight, errorOrder: s, filter: startWeight, extension: extension);
    }

    private static double[] Power(double[] c, int exponent) => Array.ConvertAll(c, node => Math.Pow(node, exponent));

    private static double[] Times(double[][] a, double[] vector) => Array.ConvertAll(a, row => Dot(row, vector));

    private static double Dot(double[] x, double[] y) => x.Zip(y, (left, right) => left * right).Sum();

    private static double[] Difference(double[] x, double[] y) => [.. x.Zip(y, (left, right) => left - right)];
}
