namespace Microsoft.ML.NeuralOde.Series;

/// <summary>Periods that fit into a series that takes about 1 unit of time.</summary>
internal static class Oscillators
{
    /// <summary>The fastest sine of the clock, in periods a unit of time.</summary>
    private const double Fastest = 8;

    /// <summary>Steps that a solver needs at least for a period.</summary>
    private const double StepsOfPeriod = 4;

    private const int ClockFrequencies = 12;

    /// <summary>The number of features of <see cref="Clock"/>.</summary>
    public const int ClockSize = 1 + (2 * ClockFrequencies);

    /// <summary>Times with sines and cosines of theirs.</summary>
    /// <param name="time">Shape <c>[…, 1]</c>.</param>
    /// <returns>Shape <c>[…, features]</c>.</returns>
    public static Tensor Clock(Tensor time)
    {
        Tensor angles = time * Numbers.Range(ClockFrequencies, time.dtype, time.device)
            .Plus(1).Times(2 * Math.PI * Fastest / ClockFrequencies);
        return cat([time, angles.sin(), angles.cos()], -1);
    }

    /// <summary>
    /// Makes dense dynamics begin near a set of oscillators, two components each, of frequencies evenly spaced from 0 up: a state that
    /// keeps what it is told, and goes through periods, which random weights take very long to find.
    /// </summary>
    /// <param name="dynamics">Dynamics with one hidden layer of tanh, which keeps them from growing without bounds.</param>
    /// <param name="step">The size of the solver's steps, which cannot follow faster ones.</param>
    public static void Initialize(DenseDynamics dynamics, double step)
    {
        double highest = 1 / (StepsOfPeriod * step);
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        long pairs = Math.Min(dynamics.Features, dynamics.Hidden[0]) / 2;
        var turn = new float[2 * pairs, 2 * pairs];
        for (long pair = 0; pair < pairs; pair++)
        {
            float speed = (float)(2 * Math.PI * highest * pair / pairs);
            turn[2 * pair, (2 * pair) + 1] = -speed;
            turn[(2 * pair) + 1, 2 * pair] = speed;
        }
        Tensor input = dynamics.Weights[0].narrow(0, 0, 2 * pairs), output = dynamics.Weights[1].narrow(1, 0, 2 * pairs);
        input.zero_();
        input.narrow(1, 0, 2 * pairs).copy_(eye(2 * pairs));
        dynamics.Biases[0].narrow(0, 0, 2 * pairs).zero_();
        output.zero_();
        output.narrow(0, 0, 2 * pairs).copy_(tensor(turn));
    }
}
