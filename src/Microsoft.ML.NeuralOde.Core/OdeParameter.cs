namespace Microsoft.ML.NeuralOde;

/// <summary>A parameter that <see cref="OdeFit"/> is to find.</summary>
/// <param name="Name">Its name in the result and in messages.</param>
/// <param name="Guess">Where the search begins; strictly between the bounds.</param>
/// <param name="Lower">A bound that it stays above; minus infinity for none.</param>
/// <param name="Upper">A bound that it stays below; infinity for none.</param>
/// <remarks>
/// Bounds are kept by searching for another number: p = lower + e^θ above a bound, p = upper − e^θ below one, and the logistic function
/// of θ between two.
/// </remarks>
public sealed record OdeParameter(string Name, double Guess, double Lower = double.NegativeInfinity, double Upper = double.PositiveInfinity)
{
    /// <summary>Its name in the result and in messages.</summary>
    /// <exception cref="ArgumentNullException">It is null.</exception>
    public string Name { get; init; } = Name ?? throw new ArgumentNullException(nameof(Name));

    /// <summary>A parameter above 0.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="guess">Where the search begins; above 0.</param>
    public static OdeParameter Positive(string name, double guess) => new(name, guess, 0);
}

/// <summary>A record of observations that <see cref="OdeFit"/> is to explain.</summary>
/// <param name="Times">The times of the observations, strictly increasing, at least two.</param>
/// <param name="Values">
/// What was observed, <c>[times, columns]</c>: the components of the state, or what <see cref="OdeFitOptions.Observation"/> makes of it.
/// NaN where nothing was seen.
/// </param>
public sealed record OdeTrajectory(IReadOnlyList<double> Times, double[,] Values)
{
    /// <summary>The times of the observations, strictly increasing, at least two.</summary>
    /// <exception cref="ArgumentNullException">They are null.</exception>
    public IReadOnlyList<double> Times { get; init; } = Times ?? throw new ArgumentNullException(nameof(Times));

    /// <summary>What was observed, <c>[times, columns]</c>; NaN where nothing was seen.</summary>
    /// <exception cref="ArgumentNullException">They are null.</exception>
    public double[,] Values { get; init; } = Values ?? throw new ArgumentNullException(nameof(Values));

    /// <summary>
    /// The state at the first time, or a guess of it: see <see cref="IsInitialStateKnown"/>. Default: null, the first observations, which
    /// must then be of the whole state.
    /// </summary>
    public IReadOnlyList<double>? InitialState { get; init; }

    /// <summary>Whether <see cref="InitialState"/> is exact. Default: false, it is fitted with the parameters.</summary>
    public bool IsInitialStateKnown { get; init; }
}
