using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.ML.NeuralOde.Native;

namespace Microsoft.ML.NeuralOde.Ranks;

/// <summary>
/// Watches over the other processes on a thread of its own: each rank sends signs of life to the next one and listens to the one before,
/// so that a rank that is killed, hangs or is cut off is missed by one that is not. Whoever misses one, or fails itself, tells all others.
/// </summary>
/// <param name="mpi">The library.</param>
/// <param name="communicator">For these messages alone.</param>
/// <param name="options">How long nothing may be heard.</param>
internal sealed class Watch(MpiLibrary mpi, int communicator, MpiOptions options)
{
    private const int Life = 1, Failure = 2, Farewell = 3;
    private const int LongestMessage = 4000;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestSending = TimeSpan.FromSeconds(2);

    private readonly int _rank = mpi.Rank(communicator);
    private readonly int _size = mpi.Size(communicator);
    private readonly List<Sending> _sendings = [];
    private readonly HashSet<int> _farewells = [];
    private Thread? _thread;
    private Sending? _sign;
    private long _heard = Stopwatch.GetTimestamp();
    private long _signed;
    private volatile string? _ownFailure;
    private volatile bool _isTold;
    private volatile bool _isEnding;
    private bool _hasSaidFarewell;

    /// <summary>Why the group is of no use any more; null while it is.</summary>
    public string? Broken { get; private set; }

    /// <summary>The rank that has ended its program in good order, and when; null for none.</summary>
    public (int Rank, long Time)? Left { get; private set; }

    private int Before => (_rank + _size - 1) % _size;

    public void Start()
    {
        if (_size == 1)
            return;
        _thread = new Thread(Run) { IsBackground = true, Name = "MPI watch" };
        _thread.Start();
    }

    /// <summary>Tells all others that this process cannot go on, and waits a little until they have it.</summary>
    public void Tell(string failure)
    {
        Broken ??= failure;
        if (_thread is null)
            return;
        _ownFailure ??= failure;
        SpinWait.SpinUntil(() => _isTold, LongestSending);
    }

    /// <summary>Says farewell, and ends the watch when all others have.</summary>
    public void End()
    {
        _isEnding = true;
        _thread?.Join(options.Patience);
    }

    private void Run()
    {
        try
        {
            while (Broken is null ? !HasEnded() : !_isEnding)
            {
                Listen();
                SendSign();
                Miss();
                if (_ownFailure is { } failure && !_isTold)
                    TellAll(failure);
                Thread.Sleep(Pause);
            }
        }
        catch (MpiException exception)
        {
            Broken ??= $"The other processes cannot be reached any more. {exception.Message}";
        }
    }

    /// <summary>Whether all processes have ended: MPI is left by all together, and until then signs of life go on.</summary>
    private bool HasEnded()
    {
        if (!_isEnding)
            return false;
        if (!_hasSaidFarewell)
            SendAll(Farewell, []);
        _hasSaidFarewell = true;
        return _farewells.Count == _size - 1;
    }

    private void Listen()
    {
        while (mpi.TryReceive(communicator, LongestMessage) is { } message)
        {
            if (message.Sender == Before)
                _heard = Stopwatch.GetTimestamp();
            if (message.Tag == Failure)
                Broken ??= Encoding.UTF8.GetString(message.Bytes);
            if (message.Tag == Farewell && _farewells.Add(message.Sender))
                Left ??= (message.Sender, Stopwatch.GetTimestamp());
        }
    }

    private void SendSign()
    {
        // A receiver that has gone takes nothing: signs must not pile up.
        if (Stopwatch.GetElapsedTime(_signed) < options.Silence / 8 || _sign?.IsDone(mpi) == false)
            return;
        _sign = new Sending(mpi, [0], (_rank + 1) % _size, Life, communicator);
        _signed = Stopwatch.GetTimestamp();
    }

    private void Miss()
    {
        if (Broken is not null || Left?.Rank == Before || Stopwatch.GetElapsedTime(_heard) < options.Silence)
            return;
        TellAll(
            $"Nothing was heard of rank {Before} for {options.Silence.TotalSeconds:F0} seconds: its process has died or hangs, or its host or the "
            + "network is down.");
    }

    private void TellAll(string failure)
    {
        Broken ??= failure;
        byte[] bytes = Encoding.UTF8.GetBytes(failure);
        SendAll(Failure, bytes.AsSpan(0, Math.Min(bytes.Length, LongestMessage)));
        _isTold = true;
    }

    private void SendAll(int tag, ReadOnlySpan<byte> bytes)
    {
        for (int rank = 0; rank < _size; rank++)
            if (rank != _rank)
                _sendings.Add(new Sending(mpi, bytes, rank, tag, communicator));
        long started = Stopwatch.GetTimestamp();
        // Those that are gone are not waited for.
        while (_sendings.Exists(sending => !sending.IsDone(mpi)) && Stopwatch.GetElapsedTime(started) < LongestSending / 2)
            Thread.Sleep(1);
    }

    /// <summary>A message on its way, whose memory stays until it has gone, or for ever.</summary>
    private sealed unsafe class Sending
    {
        private readonly void* _bytes;
        private int _request;

        public Sending(MpiLibrary mpi, ReadOnlySpan<byte> bytes, int receiver, int tag, int communicator)
        {
            _bytes = NativeMemory.Alloc((nuint)Math.Max(1, bytes.Length));
            bytes.CopyTo(new Span<byte>(_bytes, bytes.Length));
            _request = mpi.BeginSend((nint)_bytes, bytes.Length, receiver, tag, communicator);
        }

        public bool IsDone(MpiLibrary mpi)
        {
            if (_request == Abi.NoRequest)
                return true;
            if (!mpi.IsDone(ref _request))
                return false;
            _request = Abi.NoRequest;
            NativeMemory.Free(_bytes);
            return true;
        }
    }
}
