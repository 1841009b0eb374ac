namespace Microsoft.ML.NeuralOde;

/// <summary>How <see cref="OdeFit"/> trains a network as right-hand side. Immutable; vary one with a <c>with</c> expression.</summary>
public sealed record OdeNetworkFitOptions
{
    /// <summary>
    /// How the equation is solved, on tensors. Default: null, rk4 with steps as long as the usual (median) distance of observations, whose
    /// derivatives are exact.
    /// </summary>
    public OdeSolverOptions? Solver { get; init; }

    /// <summary>
    /// Into how many segments each record is cut at first; then their number is halved until whole records are solved (multiple shooting).
    /// Default: null, so that a segment has about 8 observations.
    /// </summary>
    public int? Segments { get; init; }

    /// <summary>
    /// What is seen of states: from <c>[times, rows, components]</c> to <c>[times, rows, columns]</c>, by operations of torch. Default:
    /// null, the state itself.
    /// </summary>
    public Func<Tensor, Tensor>? Observation { get; init; }

    /// <summary>
    /// The unit in which residuals of each column are counted. Default: null, the standard deviation of the column's observations.
    /// </summary>
    public IReadOnlyList<double>? Scales { get; init; }

    /// <summary>What the sum of the squares of all weights costs beside the mean square of the residuals. Default: 1e-7.</summary>
    public double WeightPenalty { get; init; } = 1e-7;

    /// <summary>Most iterations of each search, of which there are three for each number of segments and one for whole records. Default:
    /// 200.</summary>
    public int MaximumIterations { get; init; } = 200;

    /// <summary>A search ends where an iteration improves by less than this fraction. Default: 1e-6.</summary>
    public double Tolerance { get; init; } = 1e-6;

    /// <summary>Looked at before each solve.</summary>
    public CancellationToken CancellationToken { get; init; }

    /// <summary>What has a meaning for both kinds of fits.</summary>
    internal OdeFitOptions ToOptions() => new()
    {
        Scales = Scales,
        Segments = Segments ?? 1,
        MaximumIterations = MaximumIterations,
        Tolerance = Tolerance,
        Observation = Observation is null ? null : static (_, _, _, _) => throw new NotSupportedException(),
    };
}

/// <summary>What <see cref="OdeFit"/> found of a network.</summary>
public sealed class OdeNetworkFitResult
{
    private readonly nn.Module<Tensor, Tensor, Tensor> _dynamics;
    private readonly OdeSolverOptions _solver;

    internal OdeNetworkFitResult(nn.Module<Tensor, Tensor, Tensor> dynamics, OdeSolverOptions solver) =>
        (_dynamics, _solver) = (dynamics, solver);

    /// <summary>The states at the first time of each trajectory: fitted, or as they were given.</summary>
    public required IReadOnlyList<IReadOnlyList<double>> InitialStates { get; init; }

    /// <summary>The root of the mean square of the residuals, in units of <see cref="OdeNetworkFitOptions.Scales"/>.</summary>
    public required double Residual { get; init; }

    /// <summary>How the last search ended.</summary>
    public required OdeFitConvergence Convergence { get; init; }

    /// <summary>Iterations of all searches together.</summary>
    public required int Iterations { get; init; }

    /// <summary>Solves the fitted equation as in the fit.</summary>
    /// <param name="initialState">The state at the first time, such as one of <see cref="InitialStates"/>.</param>
    /// <param name="times">The output times.</param>
    /// <returns>The states, <c>[times, components]</c>.</returns>
    /// <exception cref="OdeSolverException">The equation cannot be solved there.</exception>
    public double[,] Solve(IReadOnlyList<double> initialState, IReadOnlyList<double> times)
    {
        ArgumentNullException.ThrowIfNull(initialState);
        ArgumentNullException.ThrowIfNull(times);
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor like = _dynamics.parameters().First();
        Tensor start = tensor([.. initialState], [1, initialState.Count], ScalarType.Float64).to(like.dtype, like.device);
        using OdeSolution solution = Ode.Solve(_dynamics, start, tensor([.. times], ScalarType.Float64).to(like.device), _solver);
        double[] all = solution.States.to(ScalarType.Float64, CPU).contiguous().data<double>().ToArray();
        var states = new double[times.Count, initialState.Count];
        Buffer.BlockCopy(all, 0, states, 0, all.Length * sizeof(double));
        return states;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        System.Globalization.CultureInfo.InvariantCulture, $"residual {Residual:G3}, {Convergence} after {Iterations} iterations");
}
