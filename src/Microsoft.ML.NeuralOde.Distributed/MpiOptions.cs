namespace Microsoft.ML.NeuralOde;

/// <summary>How <see cref="Mpi"/> is started.</summary>
public sealed record MpiOptions
{
    /// <summary>
    /// The file or the name of the MPI library. Default: null, which is that of the environment variable NEURALODE_MPI_LIBRARY, and
    /// otherwise the first that the system finds of those that are known.
    /// </summary>
    public string? Library { get; init; }

    /// <summary>
    /// How long nothing may be heard of a process before it counts as lost, and the job ends. Processes send a sign of life several times
    /// as often, on a thread of their own, whatever they compute. Default: 20 seconds.
    /// </summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>
    /// How long a process waits for the others in one call, though they are alive: at the start, for data that take longer to read
    /// elsewhere, or for a program that does something else. Default: 15 minutes.
    /// </summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>
    /// Threads of torch in this process. Default: null, which is what OMP_NUM_THREADS says, and otherwise the processors of the host over
    /// the number of its ranks.
    /// </summary>
    public int? Threads { get; init; }

    /// <summary>
    /// Whether SIGTERM, which schedulers send before they end a job, ends a training in good order: with a checkpoint, before the next
    /// step, on all ranks. Outside of a training, and the second time, it ends the process as usual. Default: true.
    /// </summary>
    public bool StopsOnTermination { get; init; } = true;

    internal void Validate()
    {
        Require(
            Library is null || !string.IsNullOrWhiteSpace(Library), nameof(Library), $"'{Library}'",
            "the name or path of a library, or null");
        Require(Silence >= TimeSpan.FromSeconds(1), nameof(Silence), Silence, "at least one second");
        Require(Patience >= Silence, nameof(Patience), Patience, $"at least {nameof(Silence)}, {Silence}");
        Require(Threads is null or > 0, nameof(Threads), Threads, "at least 1, or null");
    }

    private static void Require(bool condition, string option, object? found, string expected)
    {
        if (!condition)
            throw new ArgumentOutOfRangeException(option, $"{option} is {found}; it must be {expected}.");
    }
}
