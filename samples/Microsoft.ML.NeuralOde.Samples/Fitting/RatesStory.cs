using System.Diagnostics;

namespace Microsoft.ML.NeuralOde.Samples.Fitting;

/// <summary>A parameter beside its true value.</summary>
/// <param name="Name">Its name.</param>
/// <param name="True">The true value.</param>
/// <param name="Found">The value that was found.</param>
/// <param name="StandardError">Its standard error.</param>
internal sealed record FittedRate(string Name, double True, double Found, double StandardError)
{
    /// <summary>The distance, as a share of the true value.</summary>
    public double Error => Math.Abs(Found / True - 1);
}

/// <summary>What a fit of parameters was worth.</summary>
internal sealed record RatesResult(string System, int Observations, double Noise, double Seconds, IReadOnlyList<FittedRate> Parameters)
{
    public double LargestError => Parameters.Max(rate => rate.Error);
}

/// <summary>Prey and predators (A. Lotka 1925, V. Volterra 1926): four parameters from noisy counts.</summary>
internal static class RatesStory
{
    private const double Noise = 0.03;
    private const int Observations = 200;
    private const double Guess = 1;

    private static readonly (string Name, double Value)[] Truth =
        [("growth", 1.5), ("predation", 1.2), ("death", 3), ("conversion", 0.8)];

    /// <summary>The true system.</summary>
    public static FitSystem System { get; } = new(
        "prey and predators", ["prey", "predators"], (t, y, dy) => Equation(t, y, [.. Truth.Select(rate => rate.Value)], dy), [2, 1], 10,
        Observations);

    /// <summary>Fits.</summary>
    /// <returns>The figures, the observations, and the fit.</returns>
    public static (RatesResult Result, OdeTrajectory Observed, OdeFitResult Fit) Run(int seed, CancellationToken cancellationToken)
    {
        OdeTrajectory observed = System.Observe(Noise, seed);
        var clock = Stopwatch.StartNew();
        OdeFitResult fit = OdeFit.Fit(
            Equation, [.. Truth.Select(rate => OdeParameter.Positive(rate.Name, Guess))], [observed],
            new OdeFitOptions { Segments = 10, CancellationToken = cancellationToken });
        double seconds = clock.Elapsed.TotalSeconds;
        return (
            new RatesResult(System.Name, Observations, Noise, seconds, [.. Truth.Select(
                rate => new FittedRate(rate.Name, rate.Value, fit[rate.Name].Value, fit[rate.Name].StandardError))]),
            observed, fit);
    }

    private static void Equation(double time, ReadOnlySpan<double> state, ReadOnlySpan<double> rates, Span<double> derivative)
    {
        derivative[0] = state[0] * (rates[0] - rates[1] * state[1]);
        derivative[1] = state[1] * (rates[3] * state[0] - rates[2]);
    }
}
