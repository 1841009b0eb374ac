using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Native;
using Microsoft.ML.NeuralOde.Ranks;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// The processes that <c>mpiexec</c> has started, as a group that trains one model (<see cref="NeuralOdeTrainerOptions.Distributed"/>).
/// </summary>
/// <remarks>
/// MPI is started with the first use and ended with the process. A process that ends while the group is broken ends the job:
/// <c>MPI_Abort</c> after a moment in which the others can say what they have to say.
/// </remarks>
public static class Mpi
{
    private static readonly TimeSpan Moment = TimeSpan.FromSeconds(2);

    private static readonly Lock Gate = new();
    private static MpiLibrary? _library;
    private static MpiGroup? _world;
    private static PosixSignalRegistration? _termination;

    /// <summary>All processes of the job, with default options or those of <see cref="Start"/>.</summary>
    /// <exception cref="MpiException">There is no MPI library of the right kind, or the program was not started as it wants.</exception>
    public static TrainingGroup World => Start(null);

    /// <summary>Looks for the MPI library without starting it.</summary>
    /// <param name="library">Its file or name; null for that of the environment, or the first that is found.</param>
    /// <returns>What the library calls itself, and its version.</returns>
    /// <exception cref="MpiException">There is none of the right kind; the message says what to install.</exception>
    public static string FindLibrary(string? library = null)
    {
        lock (Gate)
            return (_library ?? new MpiLibrary(library)).Version();
    }

    /// <summary>Starts MPI. All processes do so, and wait for each other.</summary>
    /// <param name="options">How; null for the defaults, or for what was started before.</param>
    /// <returns>All processes of the job.</returns>
    /// <exception cref="MpiException">There is no MPI library of the right kind, or the program was not started as it wants.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option makes no sense.</exception>
    /// <exception cref="InvalidOperationException">It was started before, with other options.</exception>
    public static TrainingGroup Start(MpiOptions? options)
    {
        options?.Validate();
        lock (Gate)
        {
            if (_world is not null)
                return options is null
                    ? _world
                    : throw new InvalidOperationException("MPI was started before; call Start with options first, and once.");
            options ??= new MpiOptions();
            _library = new MpiLibrary(options.Library);
            using (Limit(options.Patience))
            {
                Initialize(_library);
                _world = new MpiGroup(_library, options);
            }
            AppDomain.CurrentDomain.ProcessExit += (_, _) => End(_library, _world);
            AppDomain.CurrentDomain.UnhandledException += (_, _) => Abort(_library, _world);
            if (options.StopsOnTermination)
                _termination = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => context.Cancel = _world.TryStop());
            SetThreads(options, _world.RanksOfHost);
            return _world;
        }
    }

    private static void Initialize(MpiLibrary mpi)
    {
        if (mpi.IsFinalized)
            throw new MpiException("MPI has been ended in this process and cannot be started again.");
        int support = mpi.IsInitialized ? mpi.ThreadSupport() : mpi.Initialize(Abi.ThreadMultiple);
        if (support < Abi.ThreadMultiple)
            throw new MpiException(
                $"'{mpi.Version()}' was started without support for several threads (MPI_THREAD_MULTIPLE), which the watch over the processes "
                + "needs. Load the multi-threaded library, or set MPICH_MAX_THREAD_SAFETY=multiple (Cray) or MV2_ENABLE_AFFINITY=0 (MVAPICH).");
        RequireItsLauncher(mpi.Size(Abi.World), mpi.Version());
    }

    /// <summary>Under the mpiexec of another library each process would be one of one, and train by itself.</summary>
    private static void RequireItsLauncher(int size, string version)
    {
        if (size > 1)
            return;
        foreach ((string variable, string launcher, string remedy) in new[]
        {
            ("OMPI_COMM_WORLD_SIZE", "The mpiexec of Open MPI",
                "Take the mpiexec of that library: mpiexec.mpich or mpiexec.hydra where both are installed."),
            ("PMI_SIZE", "A launcher", "Take the mpiexec of that library."),
            ("SLURM_STEP_NUM_TASKS", "srun", "Take 'srun --mpi=pmi2', or mpiexec inside of the allocation."),
        })
            if (int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out int started) && started > 1)
                throw new MpiException(
                    $"{launcher} has started {started} processes ({variable}), but for '{version}' this one is alone: they do not belong "
                    + $"together. {remedy}");
    }

    private static void SetThreads(MpiOptions options, int ranksOfHost)
    {
        if (options.Threads is { } threads)
            torch.set_num_threads(threads);
        else if (Environment.GetEnvironmentVariable("OMP_NUM_THREADS") is not { Length: > 0 })
            torch.set_num_threads(Math.Max(1, Environment.ProcessorCount / ranksOfHost));
    }

    private static void End(MpiLibrary mpi, MpiGroup world)
    {
        if (world.IsBroken)
        {
            Abort(mpi, world);
            return;
        }
        world.Leave();
        if (world.IsBroken)
            Abort(mpi, world);
        using (Limit(Moment * 30))
            mpi.Finish();
    }

    private static void Abort(MpiLibrary mpi, MpiGroup world)
    {
        if (world.Size > 1)
        {
            world.Fail(new InvalidOperationException("its program ended by an error."));
            Thread.Sleep(Moment);
        }
        // A launcher that is cut off answers nothing; why the job ends has been said.
        using (After(Moment, () => Process.GetCurrentProcess().Kill()))
            mpi.Abort(Abi.World, Math.Max(1, Environment.ExitCode));
    }

    /// <summary>Ends the process where a call into the library takes longer: others are missing, and it would wait for ever.</summary>
    private static Timer Limit(TimeSpan time) => After(time, () =>
    {
        Console.Error.WriteLine(
            $"MPI: the other processes of the job have not come within {time.TotalSeconds:F0} seconds. Were all started by one mpiexec, and do "
            + "all use Mpi?");
        Process.GetCurrentProcess().Kill();
    });

    private static Timer After(TimeSpan time, Action action) => new(_ => action(), null, time, Timeout.InfiniteTimeSpan);
}
