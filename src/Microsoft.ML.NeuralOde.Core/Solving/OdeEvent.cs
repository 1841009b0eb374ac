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
/// Something that happens when a function of time and state passes zero: it is recorded, and may end the solve or set the state anew. Its time and
/// state carry gradients, also with respect to what the function itself depends on.
/// </summary>
/// <remarks>
/// The function is looked at along each accepted step, at its ends and at eight points in between; a function that passes zero twice between two
/// of them goes unnoticed (a smaller MaximumStep helps). The time is found on the dense output and then polished by a step that ends there.
/// </remarks>
public sealed class OdeEvent
{
    /// <summary>Creates an event.</summary>
    /// <param name="function">g(t, y): one number, as a tensor with one element.</param>
    /// <param name="direction">Which sign changes count.</param>
    /// <param name="isTerminal">Whether the solve ends there.</param>
    /// <param name="reset">
    /// Gives the state with which the solve goes on, from time and state at the event, in the same shape; null for no change. Not together with
    /// <paramref name="isTerminal"/>.
    /// </param>
    /// <exception cref="ArgumentException">A terminal event has a reset.</exception>
    public OdeEvent(
        Func<Tensor, Tensor, Tensor> function, EventDirection direction = EventDirection.Both, bool isTerminal = false, Func<Tensor, Tensor, Tensor>? reset = null)
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
}

/// <summary>An event that happened.</summary>
/// <param name="Event">The event.</param>
/// <param name="Time">When, a scalar tensor; carries gradients.</param>
/// <param name="State">The state there, before any reset; carries gradients.</param>
/// <param name="Row">The row of the batch whose event it is, under <see cref="OdeSolverOptions.PerRow"/>; null where it is that of the whole batch.</param>
public sealed record OdeEventOccurrence(OdeEvent Event, Tensor Time, Tensor State, int? Row = null);
