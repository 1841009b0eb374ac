using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Samples.Oscillators;

/// <summary>How a learned pendulum keeps its energy.</summary>
/// <param name="Model">The kind of equation.</param>
/// <param name="Solver">How it was solved.</param>
/// <param name="Fit">The root of the mean square of the errors in the derivatives that it learned from.</param>
/// <param name="Drift">By how much the pendulum's energy, a mean over a period, differs between the first period and the last.</param>
internal sealed record PendulumResult(string Model, string Solver, double Fit, double Drift);

/// <summary>q″ = −sin q, learned from states and their derivatives, and then solved for a hundred periods.</summary>
internal static class Pendulum
{
    private const int Points = 1000, Hidden = 48, StepsAPeriod = 128;
    private const double Amplitude = 1.2;

    public static IReadOnlyList<PendulumResult> Run(int steps, int periods, int seed, CancellationToken cancellationToken)
    {
        using DisposeScope scope = NewDisposeScope();
        random.manual_seed(seed);
        Tensor states = (rand(Points, 2) * 2 - 1) * 2;
        Tensor slopes = Slopes(states);
        double period = Period();
        var results = new List<PendulumResult>();
        foreach ((string name, Module<Tensor, Tensor, Tensor> dynamics, OdeSolverOptions options) in new (string, Module<Tensor, Tensor,
            Tensor>, OdeSolverOptions)[]
        {
            ("separable energy", new HamiltonianDynamics(1, [Hidden], isSeparable: true),
                new() { Method = OdeMethod.Leapfrog, StepSize = period / StepsAPeriod }),
            ("energy", new HamiltonianDynamics(1, [Hidden]), new() { Method = OdeMethod.GaussLegendre4, StepSize = period / 32 }),
            ("plain network", new DenseDynamics(2, [2 * Hidden], time: TimeDependence.None),
                new() { RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-8 }),
        })
            results.Add(Run(name, dynamics, options, states, slopes, period, steps, periods, cancellationToken));
        return results;
    }

    private static PendulumResult Run(
        string name, Module<Tensor, Tensor, Tensor> dynamics, OdeSolverOptions options, Tensor states, Tensor slopes, double period,
        int steps, int periods,
        CancellationToken cancellationToken)
    {
        const double Rate = 0.02;
        using var optimizer = new AdamOptimizer(dynamics.parameters(), Rate);
        Tensor time = zeros([]);
        double loss = 0;
        for (int step = 0; step < steps; step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            optimizer.LearningRate = Rate * 0.5 * (1 + Math.Cos(Math.PI * step / steps));
            optimizer.ZeroGradients();
            Tensor error = functional.mse_loss(dynamics.call(time, states), slopes);
            error.backward();
            optimizer.Step();
            loss = error.ToDouble();
        }
        using IDisposable noGrad = no_grad();
        using DisposeScope last = NewDisposeScope();
        dynamics.to(ScalarType.Float64);
        Tensor start = tensor(new[] { Amplitude, 0.0 }, [1, 2]);
        const int Samples = 32;
        Tensor times = linspace(0, periods * period, periods * Samples + 1, ScalarType.Float64);
        using OdeSolution solution = Ode.Solve(dynamics, start, times, options);
        Tensor energy = Energy(solution.States.squeeze(1));
        double drift = Math.Abs(energy.narrow(0, periods * Samples - Samples, Samples)
            .mean().ToDouble() - energy.narrow(0, 0, Samples).mean().ToDouble());
        return new PendulumResult(name, options.ToString(), Math.Sqrt(loss), drift);
    }

    private static Tensor Slopes(Tensor states) => cat([states.narrow(1, 1, 1), -states.narrow(1, 0, 1).sin()], 1);

    private static Tensor Energy(Tensor states) => states.select(1, 1).square() / 2 - states.select(1, 0).cos();

    /// <summary>4 K(sin(amplitude / 2)), by the arithmetic–geometric mean.</summary>
    private static double Period()
    {
        double a = 1, b = Math.Cos(Amplitude / 2);
        for (int i = 0; i < 20; i++)
            (a, b) = ((a + b) / 2, Math.Sqrt(a * b));
        return 2 * Math.PI / a;
    }
}
