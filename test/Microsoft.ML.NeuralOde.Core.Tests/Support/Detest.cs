using System.Text.Json;

namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>
/// The test set of T. E. Hull, W. H. Enright, B. M. Fellen and A. E. Sedgwick, Comparing numerical methods for ordinary differential
/// equations, SIAM J. Numer. Anal. 9, 1972: five classes of five problems on [0, 20]. The final states in detest.json are by SciPy's DOP853
/// at tolerance 3e-14, which its LSODA confirms to 1e-9 or better.
/// </summary>
internal sealed record Detest(string Name, Func<Tensor, Tensor, Tensor> F, double[] InitialState)
{
    private static readonly JsonElement FinalStates = Load();

    public static IReadOnlyList<Detest> All { get; } =
    [
        // A: single equations.
        new("A1", (t, y) => -y, [1]),
        new("A2", (t, y) => -y.pow(3) / 2, [1]),
        new("A3", (t, y) => y * t.cos(), [1]),
        new("A4", (t, y) => y / 4 * (1 - y / 20), [1]),
        new("A5", (t, y) => (y - t) / (y + t), [4]),
        // B: small systems.
        new("B1", (t, y) => stack([2 * (y[0] - y[0] * y[1]), y[0] * y[1] - y[1]]), [1, 3]),
        new("B2", (t, y) => stack([y[1] - y[0], y[0] - 2 * y[1] + y[2], y[1] - y[2]]), [2, 0, 1]),
        new("B3", (t, y) => stack([-y[0], y[0] - y[1].square(), y[1].square()]), [1, 0, 0]),
        new("B4", Torus, [3, 0, 0]),
        new("B5", (t, y) => stack([y[1] * y[2], -y[0] * y[2], -0.51 * y[0] * y[1]]), [0, 1, 1]),
        // C: moderate systems.
        new("C1", Linear(10, i => i < 9 ? -1 : 0, i => 1, i => 0), Unit(10)),
        new("C2", Linear(10, i => i < 9 ? -(i + 1) : 0, i => i, i => 0), Unit(10)),
        new("C3", Linear(10, i => -2, i => 1, i => 1), Unit(10)),
        new("C4", Linear(51, i => -2, i => 1, i => 1), Unit(51)),
        new("C5", FiveBodies, [.. Positions, .. Velocities]),
        // D: orbits of growing eccentricity.
        Orbit("D1", 0.1),
        Orbit("D2", 0.3),
        Orbit("D3", 0.5),
        Orbit("D4", 0.7),
        Orbit("D5", 0.9),
        // E: equations of higher order.
        new("E1", (t, y) => stack([y[1], -(y[1] / (t + 1) + (1 - 0.25 / (t + 1).square()) * y[0])]),
            [0.671396707141803, 0.0954005144474744]),
        new("E2", (t, y) => stack([y[1], (1 - y[0].square()) * y[1] - y[0]]), [2, 0]),
        new("E3", (t, y) => stack([y[1], y[0].pow(3) / 6 - y[0] + 2 * (2.78535 * t).sin()]), [0, 0]),
        new("E4", (t, y) => stack([y[1], 0.032 - 0.4 * y[1].square()]), [30, 0]),
        new("E5", (t, y) => stack([y[1], (1 + y[1].square()).sqrt() / (25 - t)]), [0, 0]),
    ];

    /// <summary>
    /// Mass of the sun with the inner planets, masses of the outer planets, and the gravitational constant, in the paper's units.
    /// </summary>
    private const double SunMass = 1.00000597682, Gravity = 2.95912208286;

    private static double[] Masses =>
        [0.000954786104043, 0.000285583733151, 0.0000437273164546, 0.0000517759138449, 0.00000277777777777778];

    private static double[] Positions =>
    [
        3.42947415189, 3.35386959711, 1.35494901715, 6.64145542550, 5.97156957878, 2.18231499728, 11.2630437207, 14.6952576794,
        6.27960525067,
        -30.1552268759, 1.65699966404, 1.43785752721, -21.1238353380, 28.4465098142, 15.3882659679,
    ];

    private static double[] Velocities =>
    [
        -0.557160570446, 0.505696783289, 0.230578543901, -0.415570776342, 0.365682722812, 0.169143213293, -0.325325669158, 0.189706021964,
        0.0877265322780,
        -0.0240476254170, -0.287659532608, -0.117219543175, -0.176860753121, -0.216393453025, -0.0148647893090,
    ];

    /// <summary>The final state's largest error in units of the tolerance times (1 + |y|).</summary>
    public double ScaledError(OdeMethod method, double tolerance, out SolverStatistics statistics)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGrad = no_grad();
        Tensor exact = tensor([.. FinalStates.GetProperty(Name).EnumerateArray().Select(value => value.GetDouble())]);
        OdeSolution solution = Ode.Solve(
            F, tensor(InitialState), tensor(new[] { 0.0, 20.0 }),
            new OdeSolverOptions { Method = method, RelativeTolerance = tolerance, AbsoluteTolerance = tolerance });
        statistics = solution.Statistics;
        return ((solution.Final - exact).abs() / (tolerance * (1 + exact.abs()))).max().ToDouble();
    }

    /// <summary>The same of a solve in plain memory.</summary>
    public double NativeScaledError(OdeMethod method, double tolerance)
    {
        double[] exact = [.. FinalStates.GetProperty(Name).EnumerateArray().Select(value => value.GetDouble())];
        using IDisposable noGrad = no_grad();
        NativeOdeSolution solution = Ode.Solve(
            (t, y, dy) =>
            {
                using DisposeScope scope = NewDisposeScope();
                F(tensor(t), tensor(y.ToArray())).data<double>().ToArray().CopyTo(dy);
            },
            InitialState, [0, 20], new OdeSolverOptions { Method = method, RelativeTolerance = tolerance, AbsoluteTolerance = tolerance });
        return Enumerable.Range(0, exact.Length)
            .Max(i => Math.Abs(solution.Final[i] - exact[i]) / (tolerance * (1 + Math.Abs(exact[i]))));
    }

    private static Tensor Torus(Tensor t, Tensor y)
    {
        Tensor r = (y[0].square() + y[1].square()).sqrt();
        return stack([-y[1] - y[0] * y[2] / r, y[0] - y[1] * y[2] / r, y[0] / r]);
    }

    private static double[] Unit(int n) => [1, .. new double[n - 1]];

    private static Func<Tensor, Tensor, Tensor> Linear(int n, Func<int, double> diagonal, Func<int, double> below, Func<int, double> above)
    {
        var matrix = new double[n, n];
        for (int i = 0; i < n; i++)
        {
            matrix[i, i] = diagonal(i);
            if (i > 0)
                matrix[i, i - 1] = below(i);
            if (i < n - 1)
                matrix[i, i + 1] = above(i);
        }
        Tensor a = tensor(matrix).DetachFromDisposeScope();
        return (t, y) => a.matmul(y);
    }

    private static Detest Orbit(string name, double eccentricity) => new(
        name,
        (t, y) =>
        {
            Tensor place = y.narrow(0, 0, 2);
            return cat([y.narrow(0, 2, 2), -place / place.square().sum().pow(1.5)]);
        },
        [1 - eccentricity, 0, 0, Math.Sqrt((1 + eccentricity) / (1 - eccentricity))]);

    private static Tensor FiveBodies(Tensor t, Tensor y)
    {
        Tensor mass = tensor(Masses).unsqueeze(1);
        Tensor place = y.narrow(0, 0, 15).reshape(5, 3);
        Tensor toSun = place / place.square().sum(1, keepdim: true).pow(1.5);
        Tensor between = place.unsqueeze(0) - place.unsqueeze(1);
        Tensor cubed = (between.square().sum(2, keepdim: true) + eye(5, dtype: ScalarType.Float64)!.unsqueeze(2)).pow(1.5);
        // A planet does not pull at itself: its own terms cancel between the two sums below.
        Tensor pull = (mass.unsqueeze(0) * between / cubed).sum(1) - (mass * toSun).sum(0, keepdim: true) + mass * toSun;
        Tensor acceleration = Gravity * (pull - (SunMass + mass) * toSun);
        return cat([y.narrow(0, 15, 15), acceleration.reshape(15)]);
    }

    private static JsonElement Load()
    {
        using Stream stream = typeof(Detest).Assembly.GetManifestResourceStream("detest.json")!;
        return JsonDocument.Parse(stream).RootElement;
    }
}
