using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Fitting;

/// <summary>What a network that was trained on a record was worth behind its end.</summary>
/// <param name="System">The system.</param>
/// <param name="Observations">How many there were.</param>
/// <param name="Noise">Their noise, as a share of the deviation of each component.</param>
/// <param name="Weights">The weights of the network.</param>
/// <param name="Seconds">The time of the training.</param>
/// <param name="Residual">The root of the mean square of its residuals, in deviations of the components.</param>
/// <param name="End">The time of the last observation.</param>
/// <param name="AheadEnd">The end of the next two periods.</param>
/// <param name="Error">
/// The largest error of a component within them, as a share of the component's amplitude there: of its largest true value.
/// </param>
internal sealed record NetworkResult(
    string System, int Observations, double Noise, long Weights, double Seconds, double Residual, double End, double AheadEnd, double Error);

/// <summary>Trains a network as the right-hand side of a system, and goes on with it for two periods.</summary>
/// <param name="system">The system.</param>
/// <param name="create">Makes the network, with weights drawn from torch's generator.</param>
internal sealed class NetworkStory(FitSystem system, Func<nn.Module<Tensor, Tensor, Tensor>> create)
{
    private const double Noise = 0.01;

    /// <summary>The width of the networks' layer.</summary>
    private const int Hidden = 16;

    /// <summary>Sign changes of a component that swings around zero in two periods.</summary>
    private const int SignChanges = 4;

    /// <summary>True states in a unit of time, by which signs and errors are looked at.</summary>
    private const int Fineness = 40;

    /// <summary>A spiral towards the origin.</summary>
    public static NetworkStory Spiral { get; } = new(
        new FitSystem(
            "spiral", ["x", "y"], static (_, y, dy) => (dy[0], dy[1]) = (-0.1 * y[0] + 2 * y[1], -2 * y[0] - 0.1 * y[1]), [2, 0], 8,
            100), Dense);

    /// <summary>
    /// The spiral of R. T. Q. Chen et al. (Neural Ordinary Differential Equations, 2018), which slows down with the square of its radius. As
    /// there, the network sees the cubes of the state: nothing else would tell it how slow the next periods are, where nothing was observed.
    /// </summary>
    public static NetworkStory CubicSpiral { get; } = new(
        new FitSystem("cubic spiral", ["x", "y"], Cubic, [2, 0], 10, 200), static () => new CubicDynamics(2, Hidden));

    /// <summary>A pendulum with friction, from a large angle.</summary>
    public static NetworkStory Pendulum { get; } = new(
        new FitSystem(
            "damped pendulum", ["angle", "speed"], static (_, y, dy) => (dy[0], dy[1]) = (y[1], -Math.Sin(y[0]) - 0.1 * y[1]), [2, 0], 20,
            100), Dense);

    public FitSystem System => system;

    /// <summary>Times from 0 on, over the observations and the next two periods.</summary>
    public double[] Times { get; } = Span(system);

    /// <summary>Trains.</summary>
    /// <returns>The figures, the observations, and the states of the trained network at <see cref="Times"/>.</returns>
    public (NetworkResult Result, OdeTrajectory Observed, double[,] Found) Run(int iterations, int seed, CancellationToken cancellationToken)
    {
        OdeTrajectory observed = system.Observe(Noise, seed);
        manual_seed(seed);
        using nn.Module<Tensor, Tensor, Tensor> network = create();
        network.to(ScalarType.Float64);
        var clock = Stopwatch.StartNew();
        OdeNetworkFitResult fit = OdeFit.Fit(
            network, [observed], new OdeNetworkFitOptions { MaximumIterations = iterations, CancellationToken = cancellationToken });
        double seconds = clock.Elapsed.TotalSeconds;
        double[,] found = fit.Solve(fit.InitialStates[0], Times);
        return (
            new NetworkResult(
                system.Name, observed.Times.Count, Noise, network.parameters().Sum(weight => weight.numel()), seconds, fit.Residual,
                system.End, Times[^1], Error(found)),
            observed, found);
    }

    private static DenseDynamics Dense() => new(2, [Hidden], time: TimeDependence.None);

    private static void Cubic(double time, ReadOnlySpan<double> y, Span<double> dy)
    {
        double x = y[0] * y[0] * y[0], z = y[1] * y[1] * y[1];
        (dy[0], dy[1]) = (-0.1 * x + 2 * z, -2 * x - 0.1 * z);
    }

    /// <summary>The largest error behind the observations.</summary>
    private double Error(double[,] found)
    {
        double[,] truth = system.Solve(Times);
        int first = Array.FindIndex(Times, time => time > system.End);
        return Enumerable.Range(0, system.Start.Length).Max(component =>
        {
            double[] exact = FitSystem.Column(truth, component)[first..], own = FitSystem.Column(found, component)[first..];
            return exact.Zip(own, (a, b) => Math.Abs(a - b)).Max() / exact.Max(Math.Abs);
        });
    }

    private static double[] Span(FitSystem system)
    {
        for (double end = 2 * system.End; ; end *= 2)
        {
            double[] times = [.. Enumerable.Range(0, (int)(end * Fineness) + 1).Select(i => i / (double)Fineness)];
            double[] first = FitSystem.Column(system.Solve(times), 0);
            int changes = 0;
            for (int i = Array.FindIndex(times, time => time >= system.End); i + 1 < times.Length; i++)
            {
                changes += first[i] * first[i + 1] < 0 ? 1 : 0;
                if (changes > SignChanges)
                    return times[..(i + 1)];
            }
        }
    }
}
