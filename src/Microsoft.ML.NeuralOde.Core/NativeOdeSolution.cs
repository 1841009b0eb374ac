namespace Microsoft.ML.NeuralOde;

/// <summary>
/// The solution of an initial value problem in plain memory: see
/// <see cref="Ode.Solve(OdeFunction, ReadOnlySpan{double}, ReadOnlySpan{double}, OdeSolverOptions?, OdeJacobian?, IReadOnlyList{NativeOdeEvent}?)"/>.
/// </summary>
public sealed class NativeOdeSolution
{
    private readonly double[] _times;
    private readonly double[] _states;
    private readonly double[] _final;

    internal NativeOdeSolution(
        double[] times, double[] states, double[] final, SolverStatistics statistics, RowStatus status,
        IReadOnlyList<NativeOdeOccurrence> events)
    {
        _times = times;
        _states = states;
        _final = final;
        Statistics = statistics;
        Status = status;
        Events = events;
    }

    /// <summary>The output times.</summary>
    public ReadOnlySpan<double> Times => _times;

    /// <summary>
    /// The states at the output times, one behind the other, <c>[times, components]</c>; NaN behind a terminal event or the step limit.
    /// </summary>
    public ReadOnlySpan<double> States => _states;

    /// <summary>The number of components of the state.</summary>
    public int Components => _final.Length;

    /// <summary>The state at the last output time, or where the solve ended before.</summary>
    public ReadOnlySpan<double> Final => _final;

    /// <summary>The state at an output time.</summary>
    /// <param name="time">The index of the output time.</param>
    public ReadOnlySpan<double> this[int time] => _states.AsSpan(time * Components, Components);

    /// <summary>The events that happened, in their order.</summary>
    public IReadOnlyList<NativeOdeOccurrence> Events { get; }

    /// <summary>
    /// Whether an event function was so rough along a step that it may have passed zero unnoticed; a smaller MaximumStep helps.
    /// </summary>
    public bool EventsMayBeMissed { get; internal init; }

    /// <summary>What the solve cost.</summary>
    public SolverStatistics Statistics { get; }

    /// <summary>How the solve ended.</summary>
    public RowStatus Status { get; }

    /// <summary>The publications of the method.</summary>
    public IReadOnlyList<Citation> Citations { get; internal init; } = [];
}

/// <summary>
/// Something that happens when a function of time and state passes zero: it is recorded, and may end the solve or set the state anew.
/// </summary>
/// <remarks>
/// Found as an <see cref="OdeEvent"/> is, and with the same rules for several at a time and for outputs at a reset: along the interpolant
/// of each accepted step, in as many pieces as it takes until a polynomial describes the function. Looking costs some managed memory a
/// step, which a solve without events does not.
/// </remarks>
public sealed class NativeOdeEvent
{
    /// <summary>Creates an event.</summary>
    /// <param name="function">g(t, y); a number wherever the state is finite.</param>
    /// <param name="direction">Which sign changes count.</param>
    /// <param name="isTerminal">Whether the solve ends there.</param>
    /// <param name="reset">
    /// Writes the state with which the solve goes on; null for no change. Not together with <paramref name="isTerminal"/>.
    /// </param>
    /// <exception cref="ArgumentException">A terminal event has a reset.</exception>
    public NativeOdeEvent(
        OdeEventFunction function, EventDirection direction = EventDirection.Both, bool isTerminal = false, OdeEventReset? reset = null)
    {
        ArgumentNullException.ThrowIfNull(function);
        if (isTerminal && reset is not null)
            throw new ArgumentException("A terminal event ends the solve: it cannot also reset the state.", nameof(reset));
        Reset = reset;
        Function = function;
        Direction = direction;
        IsTerminal = isTerminal;
    }

    /// <summary>g(t, y).</summary>
    public OdeEventFunction Function { get; }

    /// <summary>Which sign changes count.</summary>
    public EventDirection Direction { get; }

    /// <summary>Whether the solve ends there.</summary>
    public bool IsTerminal { get; }

    /// <summary>Writes the state with which the solve goes on; null for no change.</summary>
    public OdeEventReset? Reset { get; }

    /// <summary>Whether the solve cannot simply go on behind it.</summary>
    internal bool Interrupts => IsTerminal || Reset is not null;
}

/// <summary>An event that happened.</summary>
/// <param name="Event">The event.</param>
/// <param name="Time">When.</param>
/// <param name="State">The state there, before any reset.</param>
public sealed record NativeOdeOccurrence(NativeOdeEvent Event, double Time, IReadOnlyList<double> State);
