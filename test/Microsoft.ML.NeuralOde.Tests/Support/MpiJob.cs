using System.Diagnostics;

namespace Microsoft.ML.NeuralOde.Tests.Support;

/// <summary>A test that needs MPICH and its mpiexec; skipped, with the reason, where they are not.</summary>
public sealed class MpiFactAttribute : FactAttribute
{
    public MpiFactAttribute() => Skip = MpiJob.Missing;
}

/// <inheritdoc cref="MpiFactAttribute"/>
public sealed class MpiTheoryAttribute : TheoryAttribute
{
    public MpiTheoryAttribute() => Skip = MpiJob.Missing;
}

/// <summary>A training host on several ranks under mpiexec.</summary>
internal sealed class MpiJob : IDisposable
{
    private static readonly Lazy<(string? Launcher, string? Missing)> Found = new(Find);

    private readonly Process _process;
    private readonly List<string> _lines = [];

    /// <param name="arguments">Those of mpiexec, with the program.</param>
    /// <param name="set">What else is said of the process.</param>
    /// <param name="before">A command that runs mpiexec; null for none.</param>
    public MpiJob(IEnumerable<string> arguments, Action<ProcessStartInfo>? set = null, string[]? before = null)
    {
        string[] command = [.. before ?? [], Launcher, .. arguments];
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        set?.Invoke(start);
        _process = Process.Start(start)!;
        _process.OutputDataReceived += Take;
        _process.ErrorDataReceived += Take;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>Why there is no MPI here; null where there is.</summary>
    public static string? Missing => Found.Value.Missing;

    public static string Launcher => Found.Value.Launcher!;

    public int Code => _process.ExitCode;

    public string[] Lines
    {
        get
        {
            lock (_lines)
                return [.. _lines];
        }
    }

    /// <summary>Starts so many ranks of the training host.</summary>
    public static MpiJob Start(int ranks, params IEnumerable<string> arguments) => new(["-n", $"{ranks}", .. Program, .. arguments]);

    /// <summary>The command line of a rank.</summary>
    public static string[] Program =>
    [
        Path.GetFileNameWithoutExtension(Environment.ProcessPath!) == "dotnet" ? Environment.ProcessPath! : "dotnet",
        Path.Combine(AppContext.BaseDirectory, Programs.TrainingHost), "rank",
    ];

    /// <summary>Runs a job to its end.</summary>
    public static MpiJob Run(int ranks, params IEnumerable<string> arguments)
    {
        MpiJob job = Start(ranks, arguments);
        job.End(TimeSpan.FromSeconds(60));
        return job;
    }

    /// <summary>Waits for the end.</summary>
    public void End(TimeSpan longest)
    {
        if (!_process.WaitForExit(longest))
        {
            _process.Kill(entireProcessTree: true);
            throw new TimeoutException($"The job has not ended after {longest}: {string.Join('\n', Lines)}");
        }
        _process.WaitForExit();
    }

    /// <summary>Waits for a line.</summary>
    public string Await(Predicate<string> isRight)
    {
        long started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(60) && !_process.HasExited)
        {
            if (Array.Find(Lines, isRight) is { } line)
                return line;
            Thread.Sleep(5);
        }
        return Array.Find(Lines, isRight) ?? throw new InvalidOperationException($"The line has not come: {string.Join('\n', Lines)}");
    }

    /// <summary>The process of a rank, once it has said so.</summary>
    public int ProcessOf(int rank) => int.Parse(
        Await(line => line.StartsWith($"rank{rank}: of ", StringComparison.Ordinal)).Split(' ')[^1],
        System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>
    /// What a rank said that begins so, without the beginning. It may stand within a line: mpiexec cuts long lines of one rank where
    /// another speaks.
    /// </summary>
    public string Said(int rank, string beginning)
    {
        string mark = $"rank{rank}: {beginning}";
        string? line = Array.FindLast(Lines, line => line.Contains(mark, StringComparison.Ordinal));
        return line is not null
            ? line[(line.LastIndexOf(mark, StringComparison.Ordinal) + mark.Length)..]
            : throw new InvalidOperationException($"Rank {rank} has not said {beginning}…: {string.Join('\n', Lines)}");
    }

    public static void Signal(int process, string signal)
    {
        using Process kill = Process.Start("kill", [$"-{signal}", $"{process}"]);
        kill.WaitForExit();
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }

    private static (string?, string?) Find()
    {
        try
        {
            Mpi.FindLibrary();
        }
        catch (MpiException exception)
        {
            return (null, exception.Message);
        }
        string[] folders = Environment.GetEnvironmentVariable("PATH")?.Split(Path.PathSeparator) ?? [];
        string? launcher =
            new[] { "mpiexec.mpich", "mpiexec.hydra", "mpiexec" }.SelectMany(name => folders.Select(folder => Path.Combine(folder, name)))
            .FirstOrDefault(File.Exists);
        return launcher is null ? (null, "There is no mpiexec on the PATH; 'apt-get install mpich' brings it.") : (launcher, null);
    }

    private void Take(object sender, DataReceivedEventArgs data)
    {
        if (data.Data is null)
            return;
        lock (_lines)
            _lines.Add(data.Data);
    }
}
