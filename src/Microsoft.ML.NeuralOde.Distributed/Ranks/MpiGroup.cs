using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Native;

namespace Microsoft.ML.NeuralOde.Ranks;

/// <summary>The processes that mpiexec has started.</summary>
internal sealed unsafe class MpiGroup : TrainingGroup
{
    // One that has ended may have done its part of what others still wait for.
    private static readonly TimeSpan AfterFarewell = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Awake = TimeSpan.FromMilliseconds(50);

    private readonly MpiLibrary _mpi;
    private readonly MpiOptions _options;
    private readonly int _communicator;
    private readonly Watch _watch;
    private void* _buffer;
    private nuint _capacity;
    private int _length;
    private volatile bool _isStopRequested;

    public MpiGroup(MpiLibrary mpi, MpiOptions options)
    {
        _mpi = mpi;
        _options = options;
        _communicator = mpi.Duplicate(Abi.World);
        Rank = mpi.Rank(_communicator);
        Size = mpi.Size(_communicator);
        RanksOfHost = mpi.SizeOfHost(_communicator);
        _watch = new Watch(mpi, mpi.Duplicate(Abi.World), options);
        Facts = new Dictionary<string, string>
        {
            ["Microsoft.ML.NeuralOde.Distributed"] =
                typeof(MpiGroup).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "",
            ["the MPI library"] = mpi.Version(),
        };
        _watch.Start();
    }

    public override int Rank { get; }

    public override int Size { get; }

    /// <summary>How many of the processes are on this host.</summary>
    public int RanksOfHost { get; }

    public override IReadOnlyDictionary<string, string> Facts { get; }

    public override bool IsStopRequested => _isStopRequested;

    /// <summary>Whether the processes cannot work together any more.</summary>
    public bool IsBroken => _watch.Broken is not null;

    /// <summary>Asks the training to end.</summary>
    /// <returns>Whether there is one, and it was not asked before.</returns>
    public bool TryStop()
    {
        if (!IsTraining || _isStopRequested || IsBroken)
            return false;
        _isStopRequested = true;
        return true;
    }

    public override void Sum(Span<float> values) =>
        Exchange(MemoryMarshal.AsBytes(values), () => _mpi.BeginSum((nint)_buffer, _length / sizeof(float), Abi.Single, _communicator));

    public override void Sum(Span<double> values) =>
        Exchange(MemoryMarshal.AsBytes(values), () => _mpi.BeginSum((nint)_buffer, _length / sizeof(double), Abi.Double, _communicator));

    public override void Broadcast(Span<byte> values, int sender) =>
        Exchange(values, () => _mpi.BeginBroadcast((nint)_buffer, _length, sender, _communicator));

    public override void Fail(Exception cause)
    {
        if (!IsBroken)
            _watch.Tell($"Rank {Rank} failed: {cause.Message}");
    }

    /// <summary>Leaves the group in good order.</summary>
    public void Leave() => _watch.End();

    /// <summary>Sends and receives in memory of our own, which stays where a message that never ends may still write.</summary>
    private void Exchange(Span<byte> values, Func<int> begin)
    {
        ThrowIfBroken();
        if (values.Length == 0)
            return;
        Reserve((nuint)values.Length);
        _length = values.Length;
        values.CopyTo(new Span<byte>(_buffer, values.Length));
        try
        {
            Wait(begin());
        }
        catch (MpiException exception)
        {
            _watch.Tell($"Rank {Rank} failed: {exception.Message}");
            throw new TrainingGroupException($"The processes of the training cannot reach each other. {exception.Message}", exception);
        }
        new ReadOnlySpan<byte>(_buffer, values.Length).CopyTo(values);
    }

    private void Wait(int request)
    {
        long started = Stopwatch.GetTimestamp();
        while (!_mpi.IsDone(ref request))
        {
            ThrowIfBroken();
            TimeSpan waited = Stopwatch.GetElapsedTime(started);
            if (_watch.Left is { } left && Stopwatch.GetElapsedTime(left.Time) > AfterFarewell)
                throw Broken($"Rank {left.Rank} has ended its program, while rank {Rank} waits for it in a training.");
            if (waited > _options.Patience)
                throw Broken(
                    $"Rank {Rank} has waited {waited.TotalMinutes:F0} minutes for the other processes, which are alive but do something else. "
                    + $"Do all call Fit the same number of times? {nameof(MpiOptions)}.{nameof(MpiOptions.Patience)} sets how long is waited.");
            // Whoever sleeps makes all others wait; after a while there is more to lose by keeping a processor busy.
            if (waited < Awake)
                Thread.Yield();
            else
                Thread.Sleep(1);
        }
    }

    private TrainingGroupException Broken(string message)
    {
        _watch.Tell(message);
        return new TrainingGroupException(message);
    }

    private void ThrowIfBroken()
    {
        if (_watch.Broken is { } failure)
            throw new TrainingGroupException(failure);
    }

    private void Reserve(nuint bytes)
    {
        if (bytes <= _capacity)
            return;
        _buffer = NativeMemory.Realloc(_buffer, bytes);
        _capacity = bytes;
    }
}
