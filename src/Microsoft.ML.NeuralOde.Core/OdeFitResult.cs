namespace Microsoft.ML.NeuralOde;

/// <summary>How a search for parameters ended.</summary>
public enum OdeFitConvergence
{
    /// <summary>Further iterations would improve next to nothing.</summary>
    Converged,

    /// <summary>The most iterations allowed were made.</summary>
    IterationLimit,

    /// <summary>No step, however small, improved the sum of squares, though its gradient says that one should.</summary>
    Stalled,
}

/// <summary>A parameter that was found.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Value">Its value.</param>
/// <param name="StandardError">
/// Its standard error, from the Gauss–Newton covariance of independent residuals; infinite where the observations do not tell it.
/// </param>
/// <param name="Lower">The lower end of its 95 % confidence interval, within the bounds.</param>
/// <param name="Upper">The upper end.</param>
public sealed record OdeFittedParameter(string Name, double Value, double StandardError, double Lower, double Upper);

/// <summary>What <see cref="OdeFit"/> found.</summary>
public sealed class OdeFitResult
{
    private readonly OdeModel _model;
    private readonly OdeSolverOptions _solver;

    internal OdeFitResult(OdeModel model, OdeSolverOptions solver) => (_model, _solver) = (model, solver);

    /// <summary>The parameters, in their order.</summary>
    public required IReadOnlyList<OdeFittedParameter> Parameters { get; init; }

    /// <summary>The states at the first time of each trajectory: fitted, or as they were given.</summary>
    public required IReadOnlyList<IReadOnlyList<double>> InitialStates { get; init; }

    /// <summary>The root of the mean square of the residuals, in units of <see cref="OdeFitOptions.Scales"/>.</summary>
    public required double Residual { get; init; }

    /// <summary>
    /// How far the ends of neighbouring segments are apart at most, in units of the components' deviations; 0 where whole records were
    /// solved at last.
    /// </summary>
    public required double Gap { get; init; }

    /// <summary>How the search ended.</summary>
    public required OdeFitConvergence Convergence { get; init; }

    /// <summary>Iterations of all searches together.</summary>
    public required int Iterations { get; init; }

    /// <summary>A parameter by its name.</summary>
    /// <param name="name">The name.</param>
    /// <exception cref="ArgumentException">There is no such parameter.</exception>
    public OdeFittedParameter this[string name] => Parameters.FirstOrDefault(parameter => parameter.Name == name)
        ?? throw new ArgumentException(
            $"There is no parameter '{name}'; the parameters are {string.Join(", ", Parameters.Select(parameter => parameter.Name))}.",
            nameof(name));

    /// <summary>Solves the fitted equation.</summary>
    /// <param name="initialState">The state at the first time, such as one of <see cref="InitialStates"/>.</param>
    /// <param name="times">The output times.</param>
    /// <returns>The solution.</returns>
    /// <exception cref="OdeSolverException">The equation cannot be solved there.</exception>
    public NativeOdeSolution Solve(ReadOnlySpan<double> initialState, ReadOnlySpan<double> times)
    {
        double[] values = [.. Parameters.Select(parameter => parameter.Value)];
        return Ode.Solve((t, y, dy) => _model(t, y, values, dy), initialState, times, _solver);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        System.Globalization.CultureInfo.InvariantCulture,
        $"{string.Join(", ", Parameters.Select(p => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{p.Name} {p.Value:G5} ± {p.StandardError:G2}")))}; residual {Residual:G3}, {Convergence} after {Iterations} iterations");
}
