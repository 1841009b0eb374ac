namespace Microsoft.ML.NeuralOde.Benchmarks.Small;

/// <summary>Systems of a few states in plain memory.</summary>
internal static class NativeWorkloads
{
    public static SmallWorkload[] All { get; } =
    [
        new("Robertson to 4e10, radau5, rtol 1e-4, with Jacobian", () => Robertson(jacobian: true)),
        new("Robertson to 4e10, radau5, rtol 1e-4, Jacobian by differences", () => Robertson(jacobian: false)),
        new("Lotka–Volterra to t = 10, tsit5, tolerances 1e-8", LotkaVolterra),
    ];

    private static SolverStatistics Robertson(bool jacobian)
    {
        var options = new OdeSolverOptions { Method = OdeMethod.Radau5, RelativeTolerance = 1e-4, AbsoluteTolerance = 1e-8 };
        return Ode.Solve(Kinetics, [1, 0, 0], [0, 4e10], options, jacobian ? KineticsJacobian : null).Statistics;
    }

    private static SolverStatistics LotkaVolterra()
    {
        var options = new OdeSolverOptions { Method = OdeMethod.Tsit5, RelativeTolerance = 1e-8, AbsoluteTolerance = 1e-8 };
        return Ode.Solve(
            (t, y, dy) => (dy[0], dy[1]) = (1.5 * y[0] - y[0] * y[1], y[0] * y[1] - 3 * y[1]), [1, 1], [0, 10], options).Statistics;
    }

    private static void Kinetics(double t, ReadOnlySpan<double> y, Span<double> dy)
    {
        double slow = 0.04 * y[0], back = 1e4 * y[1] * y[2], fast = 3e7 * y[1] * y[1];
        (dy[0], dy[1], dy[2]) = (back - slow, slow - back - fast, fast);
    }

    private static void KineticsJacobian(double t, ReadOnlySpan<double> y, Span<double> j)
    {
        (j[0], j[1], j[2]) = (-0.04, 1e4 * y[2], 1e4 * y[1]);
        (j[3], j[4], j[5]) = (0.04, -1e4 * y[2] - 6e7 * y[1], -1e4 * y[1]);
        j[7] = 6e7 * y[1];
    }
}
