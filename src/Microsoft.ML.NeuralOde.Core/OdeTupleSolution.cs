namespace Microsoft.ML.NeuralOde;

/// <summary>The solution of an initial value problem whose state is several tensors.</summary>
public sealed class OdeTupleSolution : IDisposable
{
    private readonly OdeSolution _packed;

    internal OdeTupleSolution(OdeSolution packed, Tensor[] states)
    {
        _packed = packed;
        States = states;
    }

    /// <summary>
    /// Each part of the state at the output times, shape <c>[times, …]</c> with the shape of the part behind the first dimension.
    /// </summary>
    public IReadOnlyList<Tensor> States { get; }

    /// <summary>What the solve cost; grows with the backward pass.</summary>
    public SolverStatistics Statistics => _packed.Statistics;

    /// <summary>How the solve ended: see <see cref="OdeSolution.Status"/>.</summary>
    public IReadOnlyList<RowStatus> Status => _packed.Status;

    /// <inheritdoc cref="OdeSolution.Citations"/>
    public IReadOnlyList<Citation> Citations => _packed.Citations;

    /// <inheritdoc cref="OdeSolution.ThrowIfBackwardFailed"/>
    public void ThrowIfBackwardFailed() => _packed.ThrowIfBackwardFailed();

    /// <summary>Disposes the states.</summary>
    public void Dispose()
    {
        foreach (Tensor state in States)
            state.Dispose();
        _packed.Dispose();
    }
}
