namespace Microsoft.ML.NeuralOde;

/// <summary>The shape of a <see cref="ContinuousFlow"/> and how it is solved.</summary>
/// <remarks>Immutable; vary one with a <c>with</c> expression.</remarks>
public sealed record ContinuousFlowOptions
{
    /// <summary>Sizes of the hidden layers of each block's dynamics. Default: 64, 64, 64.</summary>
    public IReadOnlyList<long> Hidden { get; init; } = [64, 64, 64];

    /// <summary>The non-linearity; must be smooth for the flow to be. Default: <see cref="Activation.Tanh"/>.</summary>
    public Activation Activation { get; init; } = Activation.Tanh;

    /// <summary>How the dynamics depend on time. Default: <see cref="TimeDependence.ConcatSquash"/>.</summary>
    public TimeDependence Time { get; init; } = TimeDependence.ConcatSquash;

    /// <summary>
    /// Factor on the weights with which the dynamics start. Default: 1. Gates start at about one half, which 2 to 3 makes up for: large
    /// data sets are then learned in fewer steps; with few data the smooth start of the default keeps from overfitting.
    /// </summary>
    public double InitialGain { get; init; } = 1;

    /// <summary>
    /// Further factor on the first layer. Default: 1. Larger, such as 4, where the density has structure much finer than
    /// its standard deviation, which dynamics that start smooth take long to find.
    /// </summary>
    public double InputScale { get; init; } = 1;

    /// <summary>Number of flows one after the other, each with its own dynamics. Default: 1.</summary>
    public int Blocks { get; init; } = 1;

    /// <summary>Size of the conditioning vector; 0, the default, for none.</summary>
    public long Conditions { get; init; }

    /// <summary>
    /// Whether the data are standardised inside the model, by the moments of what <see cref="ContinuousFlow.Observe"/> was given. Default:
    /// true.
    /// </summary>
    public bool Standardize { get; init; } = true;

    /// <summary>How the divergence of the dynamics is computed. Default: <see cref="TraceEstimator.Auto"/>.</summary>
    public TraceEstimator Trace { get; init; } = TraceEstimator.Auto;

    /// <summary>
    /// How the flow is solved in training mode. Default: <see cref="OdeMethod.Dopri5"/> at rtol 1e-5 and atol 1e-7; looser ones, or fixed
    /// steps, are cheaper.
    /// </summary>
    public OdeSolverOptions Solver { get; init; } = new() { RelativeTolerance = 1e-5, AbsoluteTolerance = 1e-7 };

    /// <summary>How the flow is solved in evaluation mode. Default: null, like in training.</summary>
    public OdeSolverOptions? EvaluationSolver { get; init; }

    /// <summary>
    /// Whether the log-density, and the integrals of the regularisation, take part in the error control. Default: true; without them steps
    /// may be larger and the density less accurate than the state.
    /// </summary>
    public bool ControlLogDensityError { get; init; } = true;

    /// <summary>Penalties on the path, added to <see cref="ContinuousFlow.NegativeLogLikelihood"/>. Default: none.</summary>
    public PathRegularization Regularization { get; init; } = PathRegularization.None;

    /// <summary>Checks every option.</summary>
    /// <exception cref="ArgumentException">An option has a value that makes no sense; the message names it, the value and the
    /// remedy.</exception>
    public void Validate()
    {
        Require(Hidden is not null && Hidden.All(size => size > 0), nameof(Hidden),
            Hidden is null ? null : $"[{string.Join(", ", Hidden)}]", "a list of positive sizes");
        Require(Enum.IsDefined(Activation), nameof(Activation), Activation, "one of the activations");
        Require(Activation != Activation.Relu, nameof(Activation), Activation,
            "a smooth one such as Tanh or Softplus: the divergence of others jumps");
        Require(Enum.IsDefined(Time), nameof(Time), Time, "one of the time dependences");
        Require(InitialGain > 0 && double.IsFinite(InitialGain), nameof(InitialGain), InitialGain, "a positive number");
        Require(InputScale > 0 && double.IsFinite(InputScale), nameof(InputScale), InputScale, "a positive number");
        Require(Blocks > 0, nameof(Blocks), Blocks, "a positive number");
        Require(Conditions >= 0, nameof(Conditions), Conditions, "zero or a positive number");
        Require(Trace is not null, nameof(Trace), Trace, "an estimator such as TraceEstimator.Auto");
        Require(Solver is not null, nameof(Solver), Solver, "options of a solver");
        Require(Regularization is not null, nameof(Regularization), Regularization, "PathRegularization.None where none is wanted");
        Solver!.Validate();
        EvaluationSolver?.Validate();
        Regularization!.Validate();
        Require(!Regularization.LooksAtSteps, nameof(Regularization), Regularization,
            "without ErrorEstimate and Stiffness, which flows do not have; JacobianNorm and KineticEnergy keep them easy to solve");
    }

    /// <summary>The layers, what enters the dynamics, and the solvers.</summary>
    /// <returns>For instance “hidden [64, 64], Tanh, time ConcatSquash, 1 block, trace …, solver dopri5, rtol 1e-05, atol 1e-07”.</returns>
    public override string ToString() => OptionText.Join(
        $"hidden [{string.Join(", ", Hidden ?? [])}]", $"{Activation}", $"time {Time}", $"{Blocks} {(Blocks == 1 ? "block" : "blocks")}",
        Conditions > 0 ? $"{Conditions} conditions" : null, Standardize ? null : "data as they are", $"trace {Trace}", $"solver {Solver}",
        EvaluationSolver is null ? null : $"evaluation solver {EvaluationSolver}",
        ControlLogDensityError ? null : "log-density without error control",
        Regularization is { IsActive: true } ? $"{Regularization}" : null);

    private static void Require(bool condition, string option, object? found, string expected)
    {
        if (!condition)
            throw new ArgumentException($"{nameof(ContinuousFlowOptions)}.{option} is {found ?? "null"}; it must be {expected}.", option);
    }
}
