namespace Microsoft.ML.NeuralOde.Data;

/// <summary>
/// How several processes share a batch: each takes some neighbouring rows, in the order of the processes, none more than one row more than
/// another. Fewer rows than processes are not shared: each process takes them all.
/// </summary>
/// <param name="rank">The process, from 0.</param>
/// <param name="size">The number of processes.</param>
internal readonly struct BatchShare(int rank, int size)
{
    /// <summary>This process, from 0.</summary>
    public int Rank => rank;

    // A default is that of one process.
    private int Size => Math.Max(size, 1);

    /// <summary>Where this process's part of some items begins, and how many they are.</summary>
    public (long First, long Count) Of(long items)
    {
        if (items < Size)
            return (0, items);
        long first = items / Size * rank + Math.Min(rank, items % Size);
        return (first, items / Size + (rank < items % Size ? 1 : 0));
    }

    /// <summary>The most items of this process in any batch of so many or fewer.</summary>
    public long MostOf(long items) => Math.Max((items + Size - 1) / Size, Math.Min(items, Size - 1));

    /// <summary>By what a result of this process's part counts: 1, or less where other processes come to the same one.</summary>
    public double WeightOf(long items) => items < Size ? 1.0 / Size : 1;
}
