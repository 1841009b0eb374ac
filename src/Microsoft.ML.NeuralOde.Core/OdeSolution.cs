namespace Microsoft.ML.NeuralOde;

/// <summary>How a row's solve ended.</summary>
public enum RowStatus
{
    /// <summary>The last output time was reached.</summary>
    Completed,

    /// <summary>The step limit ended the solve before the last output time.</summary>
    StepLimit,

    /// <summary>A terminal event ended the solve: later output times hold NaN.</summary>
    Event,

    /// <summary>Under per-row step sizes: the row needed smaller steps than time can resolve or the options allow.</summary>
    StepSizeUnderflow,

    /// <summary>Under per-row step sizes: the row's state or derivative became NaN or infinite.</summary>
    NonFinite,

    /// <summary>
    /// Events that reset the state follow each other faster than can be told apart: see <see cref="SolverFailure.EventAccumulation"/>.
    /// </summary>
    EventAccumulation,
}

/// <summary>The solution of an initial value problem at the times that were asked for.</summary>
/// <remarks>
/// Dispose of it (<c>using</c>) as soon as its states, or the loss made of them, were used: tensors are memory outside the managed heap,
/// and a solution with gradients holds a graph of many. Of those that are not disposed of the garbage collector is told, and frees them
/// when it comes round.
/// </remarks>
public sealed class OdeSolution : IDisposable
{
    private readonly RowStatus[] _status;
    private readonly Tensor _states;
    private NativeMemory? _memory;

    internal OdeSolution(Tensor states, SolverStatistics statistics, RowStatus[] status, IReadOnlyList<OdeEventOccurrence>? events = null)
    {
        Events = events ?? [];
        _states = states;
        Statistics = statistics;
        _status = status;
    }

    /// <summary>
    /// The states at the output times, shape <c>[times, …]</c> with the shape of the initial state behind the first dimension.
    /// </summary>
    public Tensor States
    {
        get
        {
            Statistics.ThrowIfUntold();
            return _states;
        }
    }

    /// <summary>
    /// The state at the last output time, or at the terminal event that ended the solve, in the shape of the initial state; a new tensor at
    /// each call.
    /// </summary>
    public Tensor Final
    {
        get
        {
            if (!_status.Contains(RowStatus.Event))
                return States[-1];
            if (Events[^1].Row is null)
                return Events[^1].State.alias();
            using DisposeScope scope = NewDisposeScope();
            Tensor last = States[-1];
            return cat([.. _status.Select((status, row) =>
                status == RowStatus.Event ? Events.Last(e => e.Row == row).State : last.narrow(0, row, 1))])
                .MoveToOuterDisposeScope();
        }
    }

    /// <summary>The publications of the method and, where the solution has a graph, of the gradient method.</summary>
    /// <example><code>File.WriteAllLines("references.bib", solution.Citations.Select(citation => citation.BibTeX));</code></example>
    public IReadOnlyList<Citation> Citations { get; internal set; } = [];

    /// <summary>The events that happened, in their order.</summary>
    public IReadOnlyList<OdeEventOccurrence> Events { get; }

    /// <summary>
    /// Whether an event function was so rough along a step (noise, or oscillations that some hundred pieces of the step do not resolve)
    /// that it may have passed zero unnoticed.
    /// </summary>
    public bool EventsMayBeMissed { get; internal init; }

    /// <summary>What the solve cost; grows with the backward pass.</summary>
    public SolverStatistics Statistics { get; }

    /// <summary>
    /// How the solve ended: one entry for the whole batch, or one a row under <see cref="OdeSolverOptions.PerRow"/>. All entries are
    /// <see cref="RowStatus.Completed"/> unless partial results were asked for.
    /// </summary>
    public IReadOnlyList<RowStatus> Status => _status;

    /// <summary>
    /// Throws what made a backward pass through this solution fail: an exception of the right-hand side, of the solver, or of a
    /// cancellation, as what it is. The call that started the pass threw it already, but inside the text of an
    /// <see cref="System.Runtime.InteropServices.ExternalException"/>; on devices other than the CPU the autograd engine keeps it to
    /// itself, and the next use of the solution or of its parameters throws it.
    /// </summary>
    public void ThrowIfBackwardFailed() => Statistics.ThrowIfBackwardFailed();

    /// <summary>What the steps cost, in the shape of the initial state, where that was asked for; belongs to who asked.</summary>
    internal Tensor? Penalty { get; set; }

    /// <summary>The same solution with other tensors: those that are part of a graph.</summary>
    internal OdeSolution With(Tensor states) => new(states, Statistics, _status);

    /// <summary>The solution as the caller gets it, whose memory the garbage collector is to know of.</summary>
    internal OdeSolution HandOver()
    {
        _memory = new NativeMemory(NativeMemory.Of(_states) + Statistics.GraphBytes);
        return this;
    }

    /// <summary>Disposes <see cref="States"/> and the tensors of <see cref="Events"/>.</summary>
    public void Dispose()
    {
        _memory?.Dispose();
        _states.Dispose();
        foreach (OdeEventOccurrence occurrence in Events)
        {
            occurrence.Time.Dispose();
            occurrence.State.Dispose();
        }
    }
}
