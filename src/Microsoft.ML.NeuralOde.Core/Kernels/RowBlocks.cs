using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>Work on rows that are independent of each other, in blocks of rows, on as many threads as torch uses.</summary>
/// <remarks>
/// The blocks depend on the number of rows alone, so that results do not depend on the number of threads. The calling thread takes blocks
/// too, and waits for none that was not begun: a busy thread pool costs speed, never progress.
/// </remarks>
internal static class RowBlocks
{
    /// <summary>Multiply–adds that are worth another thread's while: some tens of microseconds.</summary>
    private const double LeastWork = 2e6;

    private static Job? _current;
    private static int _assistants;

    /// <summary>What is done with a block.</summary>
    /// <param name="worker">The thread that does it, from 0: for scratch memory that threads must not share.</param>
    /// <param name="start">The first row.</param>
    /// <param name="count">How many rows.</param>
    public delegate void Body(int worker, nint start, nint count);

    /// <summary>How many threads <see cref="Run"/> may use.</summary>
    /// <param name="rows">All rows.</param>
    /// <param name="size">Rows of a block.</param>
    /// <param name="work">Multiply–adds of all rows together.</param>
    public static int Workers(nint rows, nint size, double work)
    {
        int most = (int)Math.Min((rows + size - 1) / size, (nint)Math.Min(int.MaxValue, work / LeastWork));
        return most <= 1 ? 1 : Math.Min(most, get_num_threads());
    }

    /// <summary>Does the work.</summary>
    /// <param name="workers">The number of threads, see <see cref="Workers"/>.</param>
    /// <param name="rows">All rows.</param>
    /// <param name="size">Rows of a block.</param>
    /// <param name="body">What is done with each block.</param>
    public static void Run(int workers, nint rows, nint size, Body body)
    {
        if (workers <= 1)
        {
            for (nint start = 0; start < rows; start += size)
                body(0, start, Math.Min(size, rows - start));
            return;
        }
        var job = new Job(workers, rows, size, body);
        Volatile.Write(ref _current, job);
        for (int missing = workers - 1 - Volatile.Read(ref _assistants); missing > 0; missing--)
        {
            Interlocked.Increment(ref _assistants);
            ThreadPool.UnsafeQueueUserWorkItem(Assistant.Instance, preferLocal: false);
        }
        job.Finish();
        Interlocked.CompareExchange(ref _current, null, job);
    }

    /// <summary>
    /// A thread of the pool that helps, and stays at hand for a moment: in a solve the next work comes sooner than a thread wakes.
    /// </summary>
    private sealed class Assistant : IThreadPoolWorkItem
    {
        private static readonly long Patience = Stopwatch.Frequency / 10_000;

        public static Assistant Instance { get; } = new();

        public void Execute()
        {
            for (long end = End(); Stopwatch.GetTimestamp() < end; Thread.SpinWait(8))
            {
                if (Volatile.Read(ref _current) is not { IsOpen: true } job)
                    continue;
                job.TakePart();
                end = End();
            }
            Interlocked.Decrement(ref _assistants);

            static long End() => Stopwatch.GetTimestamp() + Patience;
        }
    }

    private sealed class Job(int workers, nint rows, nint size, Body body)
    {
        private readonly int _blocks = (int)((rows + size - 1) / size);
        private ExceptionDispatchInfo? _failure;
        private int _workers = -1;
        private int _begun = -1;
        private int _done;

        /// <summary>Whether there are blocks that nobody has begun.</summary>
        public bool IsOpen => Volatile.Read(ref _begun) < _blocks - 1 && Volatile.Read(ref _workers) < workers - 1;

        /// <summary>Takes blocks until none is left.</summary>
        public void TakePart()
        {
            int worker = IsOpen ? Interlocked.Increment(ref _workers) : workers;
            if (worker >= workers)
                return;
            for (int block = Interlocked.Increment(ref _begun); block < _blocks; block = Interlocked.Increment(ref _begun))
            {
                try
                {
                    nint start = block * size;
                    body(worker, start, Math.Min(size, rows - start));
                }
                catch (Exception failure)
                {
                    // Thrown again where the work was asked for.
                    _failure ??= ExceptionDispatchInfo.Capture(failure);
                }
                finally
                {
                    Interlocked.Increment(ref _done);
                }
            }
        }

        /// <summary>Takes part until all is done.</summary>
        public void Finish()
        {
            TakePart();
            var wait = new SpinWait();
            while (Volatile.Read(ref _done) < _blocks)
                wait.SpinOnce(sleep1Threshold: -1);
            _failure?.Throw();
        }
    }
}
