namespace Microsoft.ML.NeuralOde;

/// <summary>What a solver does when the step limit is reached.</summary>
public enum StepLimitBehavior
{
    /// <summary>An <see cref="OdeSolverException"/> tells how far the solve came.</summary>
    Throw,

    /// <summary>
    /// The solution is returned as far as it was reached: output times beyond hold NaN, and
    /// <see cref="OdeSolution.Status"/> says which rows are incomplete. So it is where events accumulate.
    /// </summary>
    ReturnPartial,
}

/// <summary>
/// How an initial value problem is solved: the method, its accuracy, its steps, and how gradients come back.
/// </summary>
/// <remarks>Immutable; vary one with a <c>with</c> expression. One instance may serve many solves and threads at once.</remarks>
public sealed record OdeSolverOptions
{
    /// <summary>The numerical method. Default: <see cref="OdeMethod.Dopri5"/>, Dormand–Prince 5(4).</summary>
    public OdeMethod Method { get; init; } = OdeMethod.Dopri5;

    /// <summary>
    /// rtol, the relative tolerance on the local error of a step, per component. Default: 1e-5, about the best that pays in float32.
    /// Used by adaptive methods only.
    /// </summary>
    public double RelativeTolerance { get; init; } = 1e-5;

    /// <summary>
    /// atol, the absolute tolerance on the local error of a step, in the unit of the state. Default: 1e-6. May be 0 where the relative
    /// tolerance is not: components that are and stay 0 have no error.
    /// </summary>
    public double AbsoluteTolerance { get; init; } = 1e-6;

    /// <summary>
    /// rtol per component, broadcast against the state (for a row-wise tolerance shape <c>[features]</c>); replaces
    /// <see cref="RelativeTolerance"/>. No gradient flows to it.
    /// </summary>
    public Tensor? RelativeTolerances { get; init; }

    /// <summary>
    /// atol per component, broadcast against the state; replaces <see cref="AbsoluteTolerance"/>. No component may have relative and
    /// absolute tolerance 0. Under <see cref="PerRow"/> tolerances are the same for all rows.
    /// </summary>
    public Tensor? AbsoluteTolerances { get; init; }

    /// <summary>How the scaled errors of all components become one number. Default: <see cref="ErrorNorm.Rms"/>.</summary>
    public ErrorNorm Norm { get; init; } = ErrorNorm.Rms;

    /// <summary>
    /// How the error of a step sets the size of the next. Default: null, which is <see cref="StepController.Predictive"/> for implicit
    /// methods and <see cref="StepController.Integral"/> for the others.
    /// </summary>
    public StepController? Controller { get; init; }

    /// <summary>
    /// Step size of methods without error estimate, in the unit of time. Between two output times an integral number of equal steps
    /// no larger than this is made, so that every output time is a step's end. Default: null, one step from each output time to the
    /// next. An adaptive method that is given a step size runs with it and without error control.
    /// </summary>
    public double? StepSize { get; init; }

    /// <summary>How large steps of equal size may be.</summary>
    internal double LargestFixedStep => Math.Min(StepSize ?? double.PositiveInfinity, MaximumStep);

    /// <summary>
    /// Size of the first step of an adaptive solve. Default: null, chosen from the derivative (Hairer, Nørsett and Wanner, II.4), and where
    /// an explicit method comes within a tenth of the end by that, or less for high orders, the whole interval.
    /// </summary>
    public double? FirstStep { get; init; }

    /// <summary>
    /// An adaptive solve that would need smaller steps than this fails. Default: 0, which is four times the distance of float64 numbers at
    /// the time that was reached.
    /// </summary>
    public double MinimumStep { get; init; }

    /// <summary>No step is larger than this. Default: infinity.</summary>
    public double MaximumStep { get; init; } = double.PositiveInfinity;

    /// <summary>Most steps, accepted and rejected, of the whole solve. Default: 100,000.</summary>
    public long MaximumSteps { get; init; } = 100_000;

    /// <summary>What happens at <see cref="MaximumSteps"/>. Default: <see cref="StepLimitBehavior.Throw"/>.</summary>
    public StepLimitBehavior OnStepLimit { get; init; } = StepLimitBehavior.Throw;

    /// <summary>
    /// Whether each row of the batch (the first dimension of the state) has its own step sizes, so that its result does not depend on
    /// its neighbours. The right-hand side is then given times of shape <c>[batch, 1, …]</c> and, as rows finish, fewer rows.
    /// Default: false, one step size for the whole batch.
    /// </summary>
    public bool PerRow { get; init; }

    /// <summary>
    /// Times at which the right-hand side jumps or has a kink. A step ends exactly there, and the next starts afresh. The right-hand side
    /// is never asked at such a time itself but one number of the state's type before or behind it, on the side of the step: neither
    /// rounding to float32 nor the way it compares matters. Also at the first and last output time. Default: none.
    /// </summary>
    public IReadOnlyList<double> Discontinuities { get; init; } = [];

    /// <summary>
    /// For implicit methods: ∂f/∂y at (t, y), shape <c>[rows, n, n]</c> with the n components of a row in their order in memory (a state of
    /// one dimension is one row). Default: null, computed through autograd, for which f must treat the rows of a batch independently of
    /// each other.
    /// </summary>
    public Func<Tensor, Tensor, Tensor>? Jacobian { get; init; }

    /// <summary>
    /// Events to look for: zeros of functions of time and state, which may end the solve or reset the state. Each part of the solve between
    /// resets is solved twice, first to find the events. Under <see cref="PerRow"/> each row has events of its own, is solved by itself,
    /// and reaches the event functions as a batch of one. Default: none.
    /// </summary>
    public IReadOnlyList<OdeEvent> Events { get; init; } = [];

    /// <summary>
    /// How derivatives of the solution are computed. Default: null, which is <see cref="GradientMethod.Checkpointed"/> for a module or
    /// where parameters are named, and <see cref="GradientMethod.Direct"/> for a bare function, whose parameters are not known.
    /// </summary>
    public GradientMethod? Gradient { get; init; }

    /// <summary>
    /// Whether a right-hand side that names its layers (<see cref="ILayeredDynamics"/>) is evaluated by the library's kernels where these
    /// know the layers; default true. Results are the same but for rounding.
    /// </summary>
    public bool LowerLayers { get; init; } = true;

    /// <summary>Told before each attempted step where it starts. Default: null.</summary>
    public IProgress<SolverProgress>? Progress { get; init; }

    /// <summary>Looked at before each step; an <see cref="OperationCanceledException"/> ends the solve.</summary>
    public CancellationToken CancellationToken { get; init; }

    /// <summary>Checks every option.</summary>
    /// <exception cref="ArgumentException">An option has a value that makes no sense; the message names it, the value and the
    /// remedy.</exception>
    public void Validate()
    {
        RequireOption(Method is not null, nameof(Method), Method, "a method such as OdeMethod.Dopri5");
        RequireOption(RelativeTolerance >= 0 && double.IsFinite(RelativeTolerance), nameof(RelativeTolerance), RelativeTolerance,
            "zero or a positive number");
        RequireOption(AbsoluteTolerance >= 0 && double.IsFinite(AbsoluteTolerance), nameof(AbsoluteTolerance), AbsoluteTolerance,
            "zero or a positive number");
        RequireOption(RelativeTolerance > 0 || AbsoluteTolerance > 0 || RelativeTolerances is not null || AbsoluteTolerances is not null,
            nameof(AbsoluteTolerance), AbsoluteTolerance, "positive where the relative tolerance is zero");
        RequireOption(
            StepSize is null || (StepSize > 0 && double.IsFinite(StepSize.Value)), nameof(StepSize), StepSize, "a positive number or null");
        RequireOption(FirstStep is null || (FirstStep > 0 && double.IsFinite(FirstStep.Value)), nameof(FirstStep), FirstStep,
            "a positive number or null");
        RequireOption(MinimumStep >= 0 && double.IsFinite(MinimumStep), nameof(MinimumStep), MinimumStep, "zero or a positive number");
        RequireOption(MaximumStep > 0, nameof(MaximumStep), MaximumStep, "a positive number");
        RequireOption(MaximumStep >= MinimumStep, nameof(MaximumStep), MaximumStep, $"no smaller than MinimumStep, {MinimumStep}");
        RequireOption(MaximumSteps > 0, nameof(MaximumSteps), MaximumSteps, "a positive number");
        RequireOption(Norm is not null, nameof(Norm), Norm, "an error norm such as ErrorNorm.Rms");
        RequireOption(Events is not null && Events.All(item => item is not null), nameof(Events), Events, "a list of events");
        Gradient?.Check(this);
        RequireOption(
            !PerRow || Method!.SupportsPerRow, nameof(PerRow), PerRow, $"false with '{Method!.Name}', which decides for the whole batch");
        RequireOption(Discontinuities is not null && Discontinuities.All(double.IsFinite), nameof(Discontinuities), Discontinuities,
            "a list of finite times");
    }

    /// <summary>The method and its accuracy or steps, and every other option that is not at its default.</summary>
    /// <returns>For instance “dopri5, rtol 1e-05, atol 1e-06” or “rk4, steps of 0.1, gradient adjoint”.</returns>
    public override string ToString()
    {
        var defaults = new OdeSolverOptions();
        return OptionText.Join(
            Method?.Name ?? "no method",
            Method is null || StepSize is not null || !Method.IsAdaptive ? null : Tolerance("rtol", RelativeTolerance, RelativeTolerances),
            Method is null || StepSize is not null || !Method.IsAdaptive ? null : Tolerance("atol", AbsoluteTolerance, AbsoluteTolerances),
            StepSize is { } step ? $"steps of {OptionText.Of(step)}"
                : Method is { IsAdaptive: false } ? "one step from each output time to the next" : null,
            Norm == defaults.Norm ? null : $"norm {Norm?.Name ?? "null"}",
            Controller is null ? null : $"controller {Controller}",
            FirstStep is { } first ? $"first step {OptionText.Of(first)}" : null,
            MinimumStep == defaults.MinimumStep ? null : $"smallest step {OptionText.Of(MinimumStep)}",
            MaximumStep == defaults.MaximumStep ? null : $"largest step {OptionText.Of(MaximumStep)}",
            MaximumSteps == defaults.MaximumSteps ? null : $"at most {MaximumSteps} steps",
            OnStepLimit == defaults.OnStepLimit ? null : "partial solutions at the step limit",
            PerRow ? "steps of its own for each row" : null,
            Discontinuities is { Count: > 0 }
                ? $"{Discontinuities.Count} {(Discontinuities.Count == 1 ? "discontinuity" : "discontinuities")}"
                : null,
            Jacobian is null ? null : "a given Jacobian",
            Events is { Count: > 0 } ? $"{Events.Count} {(Events.Count == 1 ? "event" : "events")}" : null,
            Gradient is null ? null : $"gradient {Gradient}",
            LowerLayers ? null : "layers not lowered");
    }

    private static string Tolerance(string name, double one, Tensor? perComponent) =>
        perComponent is null ? $"{name} {OptionText.Of(one)}" : $"{name} per component";

    private static void RequireOption(bool condition, string option, object? found, string expected)
    {
        if (!condition)
            throw new ArgumentException($"{nameof(OdeSolverOptions)}.{option} is {found ?? "null"}; it must be {expected}.", option);
    }
}
