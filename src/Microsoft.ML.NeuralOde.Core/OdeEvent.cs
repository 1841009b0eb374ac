using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde;

/// <summary>Which sign changes of an event function count.</summary>
public enum EventDirection
{
    /// <summary>Both.</summary>
    Both,

    /// <summary>From negative to positive.</summary>
    Rising,

    /// <summary>From positive to negative.</summary>
    Falling,
}

/// <summary>
/// Something that happens when a function of time and state passes zero: it is recorded, and may end the solve or set the state anew. Its
/// time and state carry gradients, also with respect to what the function itself depends on.
/// </summary>
/// <remarks>
/// The function is looked at along the interpolant of each accepted step, in as many pieces as it takes until a polynomial through its
/// values describes it: however often a smooth function passes zero in a step, each time is found. Where even small pieces do not do
/// (noise, jumps), passages may be missed, and <see cref="OdeSolution.EventsMayBeMissed"/> says so; a smaller MaximumStep helps. To touch
/// zero is not to pass it. The time is found on the interpolant and, for events that interrupt the solve, polished by a step that ends
/// there.
/// <para>
/// Several events may interrupt the solve at the same time: all are recorded, in their order in the options, and their resets are applied
/// one after the other. An output at the time of a reset is the state before it. Behind a reset an event begins on the side to which the
/// derivative leads; where it follows itself so fast that the state's type holds nothing in between, the solve fails with
/// <see cref="SolverFailure.EventAccumulation"/>.
/// </para>
/// </remarks>
public sealed class OdeEvent
{
    private const string FunctionName = "An event function";
    private const string ResetName = "An event's reset";

    /// <summary>Creates an event.</summary>
    /// <param name="function">g(t, y): one number, as a tensor with one element.</param>
    /// <param name="direction">Which sign changes count.</param>
    /// <param name="isTerminal">Whether the solve ends there.</param>
    /// <param name="reset">
    /// Gives the state with which the solve goes on, from time and state at the event, in the same shape; null for no change. Not together
    /// with <paramref name="isTerminal"/>.
    /// </param>
    /// <exception cref="ArgumentException">A terminal event has a reset.</exception>
    public OdeEvent(
        Func<Tensor, Tensor, Tensor> function, EventDirection direction = EventDirection.Both, bool isTerminal = false,
        Func<Tensor, Tensor, Tensor>? reset = null)
    {
        ArgumentNullException.ThrowIfNull(function);
        if (isTerminal && reset is not null)
            throw new ArgumentException("A terminal event ends the solve: it cannot also reset the state.", nameof(reset));
        Function = function;
        Direction = direction;
        IsTerminal = isTerminal;
        Reset = reset;
    }

    /// <summary>g(t, y).</summary>
    public Func<Tensor, Tensor, Tensor> Function { get; }

    /// <summary>Which sign changes count.</summary>
    public EventDirection Direction { get; }

    /// <summary>Whether the solve ends there.</summary>
    public bool IsTerminal { get; }

    /// <summary>Gives the state with which the solve goes on; null for no change.</summary>
    public Func<Tensor, Tensor, Tensor>? Reset { get; }

    /// <summary>Whether the solve cannot simply go on behind it.</summary>
    internal bool Interrupts => IsTerminal || Reset is not null;

    /// <summary>g(t, y), looked at: a scalar in the current scope.</summary>
    /// <exception cref="InvalidOperationException">The function returned something else than one number.</exception>
    internal Tensor Evaluate(Tensor time, Tensor state)
    {
        Tensor value = UserFunction.Returned(
            FunctionName, UserFunction.Call(FunctionName, state, () => Function(time, state.clone())),
            "one number, as a tensor with one element");
        if (value.numel() != 1 || value.is_complex())
            throw new InvalidOperationException(
                $"{FunctionName} returned shape [{string.Join(", ", value.shape)}] of type {value.dtype}; "
                + "it must return one number, as a tensor with one element.");
        return value.reshape([]);
    }

    /// <summary>The state with which the solve goes on, looked at.</summary>
    /// <exception cref="InvalidOperationException">The reset returned something else than a state.</exception>
    internal Tensor Apply(Tensor time, Tensor state)
    {
        Tensor next = UserFunction.Returned(
            ResetName, UserFunction.Call(ResetName, state, () => Reset!(time.alias(), state.clone())), "the state to go on with");
        if (!next.shape.AsSpan().SequenceEqual(state.shape) || next.dtype != state.dtype
            || next.device_type != state.device_type || next.device_index != state.device_index)
            throw new InvalidOperationException(
                $"{ResetName} returned {RightHandSide.Describe(next)} for a state of {RightHandSide.Describe(state)}; "
                + "both must have the same shape, type and device.");
        return next;
    }
}

/// <summary>An event that happened.</summary>
/// <param name="Event">The event.</param>
/// <param name="Time">When, a scalar tensor; carries gradients.</param>
/// <param name="State">The state there, before any reset; carries gradients.</param>
/// <param name="Row">The row of the batch whose event it is, under <see cref="OdeSolverOptions.PerRow"/>; null where it is that of the
/// whole batch.</param>
public sealed record OdeEventOccurrence(OdeEvent Event, Tensor Time, Tensor State, int? Row = null);
