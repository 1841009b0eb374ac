namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Where a flow carried a batch, and the log-density of the data: the result of <see cref="ContinuousFlow.Encode"/> or
/// <see cref="ContinuousFlow.Decode"/>.
/// </summary>
public sealed class FlowEncoding : IDisposable
{
    private readonly NativeMemory _memory;

    internal FlowEncoding(Tensor data, Tensor latent, Tensor logDensity, Tensor? penalty, IReadOnlyList<SolverStatistics> statistics)
    {
        Data = data;
        Latent = latent;
        LogDensity = logDensity;
        Penalty = penalty;
        Statistics = statistics;
        _memory = new NativeMemory(NativeMemory.Of(data, latent, logDensity) + statistics.Sum(block => block.GraphBytes));
    }

    /// <summary>x, shape <c>[batch, features]</c>.</summary>
    public Tensor Data { get; }

    /// <summary>z, shape <c>[batch, features]</c>.</summary>
    public Tensor Latent { get; }

    /// <summary>log p(x) in nats, shape <c>[batch]</c>.</summary>
    public Tensor LogDensity { get; }

    /// <summary>The path's weighted penalties, a scalar; null where none were asked for.</summary>
    internal Tensor? Penalty { get; }

    /// <summary>What each block cost, in the order in which they were solved; grows with the backward pass.</summary>
    public IReadOnlyList<SolverStatistics> Statistics { get; }

    /// <summary>Disposes the tensors.</summary>
    public void Dispose()
    {
        _memory.Dispose();
        Data.Dispose();
        Latent.Dispose();
        LogDensity.Dispose();
        Penalty?.Dispose();
    }
}
