namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>A problem in plain memory, and the same one on tensors.</summary>
internal sealed record NativeCase(string Name, OdeFunction F, OdeJacobian Jacobian, double[] InitialState, double[] Times)
{
    public static IReadOnlyList<NativeCase> All { get; } =
    [
        new("quadratic", (t, y, dy) => dy[0] = -y[0] * y[0] * Math.Cos(t), (t, y, j) => j[0] = -2 * y[0] * Math.Cos(t), [0.8],
            [0, 0.3, 1.7, 4]),
        new("lotka-volterra", LotkaVolterra, LotkaVolterraJacobian, [1, 1], [0, 1, 2.5, 6]),
        new("robertson", Robertson, RobertsonJacobian, [1, 0, 0], [0, 0.4, 4, 40]),
        VanDerPol(5, 10),
        new("backward", LotkaVolterra, LotkaVolterraJacobian, [1, 1], [2, 1.5, 0.1]),
    ];

    public static NativeCase VanDerPol(double mu, double end) => new(
        $"van der pol {mu}",
        (t, y, dy) => (dy[0], dy[1]) = (y[1], mu * (1 - y[0] * y[0]) * y[1] - y[0]),
        (t, y, j) => (j[0], j[1], j[2], j[3]) = (0, 1, -2 * mu * y[0] * y[1] - 1, mu * (1 - y[0] * y[0])),
        [2, 0], [0, end / 3, end / 2, end]);

    public static void LotkaVolterra(double t, ReadOnlySpan<double> y, Span<double> dy)
    {
        dy[0] = 1.5 * y[0] - y[0] * y[1];
        dy[1] = y[0] * y[1] - 3 * y[1];
    }

    public static void LotkaVolterraJacobian(double t, ReadOnlySpan<double> y, Span<double> j) =>
        (j[0], j[1], j[2], j[3]) = (1.5 - y[1], -y[0], y[1], y[0] - 3);

    public static void Robertson(double t, ReadOnlySpan<double> y, Span<double> dy)
    {
        double slow = 0.04 * y[0], back = 1e4 * y[1] * y[2], fast = 3e7 * y[1] * y[1];
        (dy[0], dy[1], dy[2]) = (back - slow, slow - back - fast, fast);
    }

    public static void RobertsonJacobian(double t, ReadOnlySpan<double> y, Span<double> j)
    {
        (j[0], j[1], j[2]) = (-0.04, 1e4 * y[2], 1e4 * y[1]);
        (j[3], j[4], j[5]) = (0.04, -1e4 * y[2] - 6e7 * y[1], -1e4 * y[1]);
        j[7] = 6e7 * y[1];
    }

    public NativeOdeSolution Solve(OdeSolverOptions options) => Ode.Solve(F, InitialState, Times, options, Jacobian);

    /// <summary>The same on tensors of one row.</summary>
    public (double[] States, SolverStatistics Statistics) SolveOnTensors(OdeSolverOptions options)
    {
        using IDisposable noGrad = no_grad();
        using OdeSolution solution = Ode.Solve(
            (t, y) => Call(y, InitialState.Length, (state, result) => F(t.ToDouble(), state, result)), tensor(InitialState), tensor(Times),
            options with
            {
                Jacobian = (t, y) =>
                Call(y, InitialState.Length * InitialState.Length, (state, result) => Jacobian(t.ToDouble(), state, result))
            },
            parameters: []);
        return (solution.States.data<double>().ToArray(), solution.Statistics);
    }

    private static Tensor Call(Tensor state, int size, Action<double[], double[]> function)
    {
        var result = new double[size];
        function(state.data<double>().ToArray(), result);
        return tensor(result);
    }
}
