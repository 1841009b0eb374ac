using Microsoft.ML.NeuralOde.Samples.Data;

namespace Microsoft.ML.NeuralOde.Samples.Fitting;

/// <summary>A system whose true equation is known.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Components">The names of its components.</param>
/// <param name="Equation">The true equation.</param>
/// <param name="Start">The true state at time 0.</param>
/// <param name="End">The time of the last observation.</param>
/// <param name="Count">How many observations there are, at equal distances from time 0 on.</param>
internal sealed record FitSystem(string Name, string[] Components, OdeFunction Equation, double[] Start, double End, int Count)
{
    private const double Accuracy = 1e-9;

    /// <summary>The true states at times, of which the first is 0.</summary>
    public double[,] Solve(IReadOnlyList<double> times)
    {
        NativeOdeSolution solution = Ode.Solve(
            Equation, Start, [.. times],
            new OdeSolverOptions { Method = OdeMethod.Tsit5, RelativeTolerance = Accuracy, AbsoluteTolerance = Accuracy });
        var states = new double[times.Count, Start.Length];
        for (int i = 0; i < times.Count; i++)
            for (int c = 0; c < Start.Length; c++)
                states[i, c] = solution[i][c];
        return states;
    }

    /// <summary>What is observed: the true states with noise.</summary>
    /// <param name="noise">Its deviation, as a share of that of each component.</param>
    /// <param name="seed">Decides what is drawn.</param>
    public OdeTrajectory Observe(double noise, int seed)
    {
        var random = new Random(seed);
        double[] times = [.. Enumerable.Range(0, Count).Select(i => End * i / (Count - 1))];
        double[,] states = Solve(times);
        double[] deviations = [.. Enumerable.Range(0, Start.Length).Select(c => Deviation(Column(states, c)))];
        for (int i = 0; i < Count; i++)
            for (int c = 0; c < Start.Length; c++)
                states[i, c] += noise * deviations[c] * random.NextNormal();
        return new OdeTrajectory(times, states);
    }

    public static double[] Column(double[,] states, int component) =>
        [.. Enumerable.Range(0, states.GetLength(0)).Select(i => states[i, component])];

    private static double Deviation(double[] values)
    {
        double mean = values.Average();
        return Math.Sqrt(values.Average(value => (value - mean) * (value - mean)));
    }
}
