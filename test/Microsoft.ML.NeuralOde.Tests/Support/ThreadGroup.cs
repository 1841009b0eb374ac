using System.Runtime.InteropServices;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>Threads of one process as the ranks of a training.</summary>
internal sealed class ThreadGroup : TrainingGroup
{
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(60);

    private readonly Meeting _meeting;
    private readonly Dictionary<string, string> _facts = new() { ["the engine"] = "threads" };

    private ThreadGroup(Meeting meeting, int rank)
    {
        _meeting = meeting;
        Rank = rank;
    }

    public override int Rank { get; }

    public override int Size => _meeting.Size;

    public override IReadOnlyDictionary<string, string> Facts => _facts;

    /// <summary>Asks the training to end when the group has added so many things up; null for never.</summary>
    public int? StopAfter { get; set; }

    /// <summary>The messages so far.</summary>
    public int Messages { get; private set; }

    public override bool IsStopRequested => Messages >= StopAfter;

    /// <summary>Runs something on each of so many ranks at the same time.</summary>
    /// <returns>What each came to: a result or an exception.</returns>
    public static (T? Result, Exception? Exception)[] Run<T>(int size, Func<ThreadGroup, T> train)
    {
        using var meeting = new Meeting(size);
        var results = new (T? Result, Exception? Exception)[size];
        Thread[] threads = [.. Enumerable.Range(0, size).Select(rank => new Thread(() =>
        {
            try
            {
                results[rank].Result = train(new ThreadGroup(meeting, rank));
            }
            catch (Exception exception)
            {
                results[rank].Exception = exception;
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join(Longest * 2).Should().BeTrue("no rank hangs"));
        return results;
    }

    public void Pretend(string fact, string value) => _facts[fact] = value;

    public override void Sum(Span<float> values) => Add<float>(values, (a, b) => a + b);

    public override void Sum(Span<double> values) => Add<double>(values, (a, b) => a + b);

    public override void Broadcast(Span<byte> values, int sender)
    {
        Messages++;
        _meeting.Exchange(Rank, values.ToArray())[sender].CopyTo(values);
    }

    public override void Fail(Exception cause) => _meeting.Fail($"Rank {Rank} failed: {cause.Message}");

    private void Add<T>(Span<T> values, Func<T, T, T> add)
        where T : unmanaged
    {
        Messages++;
        byte[][] all = _meeting.Exchange(Rank, MemoryMarshal.AsBytes(values).ToArray());
        MemoryMarshal.Cast<byte, T>(all[0]).CopyTo(values);
        for (int rank = 1; rank < Size; rank++)
        {
            ReadOnlySpan<T> other = MemoryMarshal.Cast<byte, T>(all[rank]);
            for (int i = 0; i < values.Length; i++)
                values[i] = add(values[i], other[i]);
        }
    }

    /// <summary>Where the ranks put down what they bring, and each takes what all have brought.</summary>
    private sealed class Meeting(int size) : IDisposable
    {
        private readonly Lock _gate = new();
        private readonly Barrier _barrier = new(size);
        private readonly byte[]?[] _brought = new byte[size][];
        private readonly CancellationTokenSource _failed = new();
        private string _message = "";

        public int Size => size;

        public byte[][] Exchange(int rank, byte[] bytes)
        {
            _brought[rank] = bytes;
            Wait();
            byte[][] all = [.. _brought!];
            all.Select(one => one.Length).Distinct().Should().ContainSingle("all ranks do the same");
            Wait();
            return all;
        }

        public void Fail(string message)
        {
            lock (_gate)
            {
                if (_message.Length == 0)
                    _message = message;
            }
            _failed.Cancel();
        }

        public void Dispose()
        {
            _barrier.Dispose();
            _failed.Dispose();
        }

        private void Wait()
        {
            try
            {
                if (!_barrier.SignalAndWait(Longest, _failed.Token))
                    throw new TrainingGroupException("A rank does not answer.");
            }
            catch (OperationCanceledException)
            {
                throw new TrainingGroupException(_message);
            }
        }
    }
}
