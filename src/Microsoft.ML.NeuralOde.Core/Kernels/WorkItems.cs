namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>Runs independent pieces of work on as many threads as torch was told to use.</summary>
internal static class WorkItems
{
    /// <summary>How many workers there are at most for a number of items.</summary>
    public static int Workers(int items) => Math.Max(1, Math.Min(items, get_num_threads()));

    /// <summary>Calls <paramref name="work"/> with a worker's number and an item's; a worker has one item at a time.</summary>
    public static void Run(int items, int workers, Action<int, int> work)
    {
        if (workers <= 1)
        {
            for (int item = 0; item < items; item++)
                work(0, item);
            return;
        }
        int next = -1;
        Parallel.For(0, workers, new ParallelOptions { MaxDegreeOfParallelism = workers }, worker =>
        {
            for (int item = Interlocked.Increment(ref next); item < items; item = Interlocked.Increment(ref next))
                work(worker, item);
        });
    }
}
