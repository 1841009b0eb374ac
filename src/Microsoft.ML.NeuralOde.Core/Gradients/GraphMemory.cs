namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>Estimates what the graph of a piece of work holds: made before the work, and asked after it.</summary>
/// <remarks>
/// torch does not tell what a graph holds. Mostly these are tensors that the work made and that still live in its scope; those it disposed
/// of itself are taken to be as large on average.
/// </remarks>
internal sealed class GraphMemory
{
    private readonly long _before = Made;

    private static long Made => DisposeScopeManager.Statistics.TensorStatistics.CreatedInScopeCount;

    /// <summary>About how many bytes the graph holds.</summary>
    /// <param name="scope">The scope of the work.</param>
    /// <param name="input">What the work began with, which its graph holds too.</param>
    public long Estimate(DisposeScope scope, Tensor input)
    {
        long made = Made - _before;
        long living = 0, bytes = 0;
        foreach (Tensor tensor in scope.DisposablesView.OfType<Tensor>().Where(tensor => !tensor.IsInvalid))
        {
            living++;
            bytes += Bytes(tensor);
        }
        return Bytes(input) + (living == 0 ? made * Bytes(input) : bytes * Math.Max(living, made) / living);
    }

    /// <summary>About how many bytes it holds where every tensor that was made is like one, and belongs to it.</summary>
    public long EstimateAll(Tensor like) => (Made - _before) * Bytes(like);

    private static long Bytes(Tensor tensor) => tensor.numel() * tensor.element_size();
}
