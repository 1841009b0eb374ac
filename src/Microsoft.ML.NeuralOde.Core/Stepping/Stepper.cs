namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>What a method needs to know of the solve it runs in.</summary>
internal sealed record StepperContext(
    RightHandSide RightHandSide, StateArithmetic Arithmetic, Clock Clock, OdeSolverOptions Options, SolverStatistics Statistics)
{
    /// <summary>
    /// f at times (one a lane) from which steps leave, and a state; the caller owns the result, and gives it back to the arithmetic.
    /// </summary>
    public Tensor Evaluate(double[] times, Tensor state)
    {
        if (RightHandSide.TryEvaluate(Clock.Leaving(times), state, Arithmetic, out Tensor derivative))
            return derivative;
        using Tensor time = Clock.Tensor(times);
        return RightHandSide.Evaluate(time, state);
    }

    /// <summary>f at a fraction of a step and a state; the caller owns the result, and gives it back to the arithmetic.</summary>
    public Tensor Evaluate(StepSpan span, double fraction, Tensor state)
    {
        if (RightHandSide.TryEvaluate(span.At(fraction), state, Arithmetic, out Tensor derivative))
            return derivative;
        using Tensor time = Clock.Tensor(span, fraction);
        return RightHandSide.Evaluate(time, state);
    }
}

/// <summary>
/// A method at work: it stands at a point, tries steps from there, and goes on when a step is accepted. It decides nothing: step sizes and
/// acceptance come from outside, lane by lane.
/// </summary>
internal abstract class Stepper : IDisposable
{
    protected Stepper(StepperContext context) => Context = context;

    protected StepperContext Context { get; }

    /// <summary>The state at <see cref="Time"/>; owned by the stepper.</summary>
    public Tensor State { get; protected set; } = null!;

    /// <summary>Where the stepper stands, lane by lane.</summary>
    public double[] Time { get; protected set; } = [];

    /// <summary>Order of the error estimate, which the step control takes roots with; 0 where there is none.</summary>
    public abstract int ErrorOrder { get; }

    /// <summary>The step control that suits the method.</summary>
    public virtual StepController Controller => StepController.Default;

    /// <summary>The method of the attempted step; null where a step cannot be made again from its start alone.</summary>
    public virtual OdeMethod? StepMethod => null;

    /// <summary>The stages of the step being tried, for Runge–Kutta methods.</summary>
    /// <exception cref="NotSupportedException">The method is no Runge–Kutta method.</exception>
    public virtual StepStages Stages => throw new NotSupportedException("The steps of the method have no Runge–Kutta stages.");

    /// <summary>The second state that makes the method's steps reversible; null for methods without.</summary>
    public virtual ITwin? Twins => null;

    /// <summary>Stands at a point afresh: at the start, behind a discontinuity, after a reset. Takes the state over.</summary>
    public abstract void Start(double[] time, Tensor state);

    /// <summary>f at the current point; owned by the stepper.</summary>
    public abstract Tensor Derivative();

    /// <summary>Tries a step to the given times and forgets the previous attempt.</summary>
    public abstract StepAttempt Try(double[] end);

    /// <summary>The state at times inside the attempted step, one a lane; the caller owns the result.</summary>
    public abstract Tensor Interpolate(double[] times);

    /// <summary>The batch rows (at most ten) with the largest errors in the attempted step, the worst first.</summary>
    public abstract IReadOnlyList<long> WorstRows();

    /// <summary>Goes to the end of the attempted step, in all lanes or in the marked ones.</summary>
    public abstract void Accept(bool[]? mask);

    /// <summary>Goes on with these lanes only.</summary>
    public abstract void Keep(int[] lanes);

    public abstract void Dispose();
}

/// <summary>The second state of a reversible method at work.</summary>
internal interface ITwin
{
    /// <summary>The twin at the end of the attempted step.</summary>
    Tensor NextTwin { get; }

    /// <summary>Whether no step has been taken since the last <see cref="Stepper.Start"/>.</summary>
    bool IsFresh { get; }
}

/// <summary>A step that was tried.</summary>
/// <param name="Span">The stretch of time it covers.</param>
/// <param name="State">The state at its end; owned by the stepper.</param>
/// <param name="Error">Its error in units of the tolerance, lane by lane; null where the method estimates none.</param>
/// <param name="NewtonFailed">Whether the stage equations of an implicit method could not be solved in some lane.</param>
/// <param name="NextFactor">By how much the next step should differ from this one, where the method knows better than the step control;
/// else null.</param>
/// <param name="Drift">What to tell of the two states of a reversible method, where they are too far apart or limit the step; else
/// null.</param>
internal sealed record StepAttempt(
    StepSpan Span, Tensor State, double[]? Error, bool NewtonFailed = false, double? NextFactor = null, StateDrift? Drift = null);

/// <summary>How far the two states of a reversible method are apart.</summary>
/// <param name="Remark">What to tell the user.</param>
/// <param name="Rows">The batch rows in which they are too far apart, at most ten, where that is known.</param>
internal sealed record StateDrift(string Remark, IReadOnlyList<long> Rows);
