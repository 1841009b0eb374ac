using System.Diagnostics;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>What a checkpoint says, beside its tensors.</summary>
/// <param name="Seed">The training's seed.</param>
/// <param name="Identity">What it belongs to; see <see cref="CheckpointIdentity"/>.</param>
/// <param name="State">How far the training had come.</param>
/// <param name="OptimizerSteps">The steps that the optimizer counts, one number a parameter.</param>
internal sealed record CheckpointDescription(
    int Seed, IReadOnlyDictionary<string, string> Identity, TrainingState State, long[] OptimizerSteps);

/// <summary>
/// The file in which a training is kept for the case that it is interrupted. It is written beside and then renamed, so that at every moment
/// there is one whole checkpoint, the last or the one before it.
/// </summary>
/// <remarks>
/// A folder may hold the trainings of several data, the folds of a cross-validation: the first is kept in <see cref="FileName"/>, each
/// other in a file with its data's check number in its name. Trainings of the same data share a file, and which of them goes on is a
/// question of their options. A lock, held from <see cref="Identify"/> on, keeps two trainings of the same data from working at the same
/// time.
/// </remarks>
internal sealed class CheckpointStore : IDisposable
{
    public const string FileName = "neuralode.checkpoint";

    private readonly string _folder;
    private readonly NeuralOdeTrainerOptions _options;
    private readonly List<FileLock> _locks = [];
    private Action<string> _warn = _ => { };
    private long _saved = Stopwatch.GetTimestamp();
    private bool _isFailing;

    private CheckpointStore(string folder, NeuralOdeTrainerOptions options)
    {
        _folder = folder;
        _options = options;
        FilePath = Path.Combine(folder, FileName);
    }

    public string FilePath { get; private set; }

    /// <summary>What an interrupted training left; null where there is none, or none is wanted.</summary>
    public CheckpointDescription? Found { get; private set; }

    /// <summary>How the training that goes on differs from the one that was interrupted, in what may differ, as clauses.</summary>
    public IReadOnlyList<string> Differences { get; private set; } = [];

    /// <summary>What the training that is under way is known by.</summary>
    public IReadOnlyDictionary<string, string> Identity { get; private set; } = new Dictionary<string, string>();

    /// <summary>Whether there is a checkpoint of this training in the file.</summary>
    public bool HasGoodCheckpoint { get; private set; }

    /// <summary>Whether it is time for the next checkpoint.</summary>
    public bool IsDue => Stopwatch.GetElapsedTime(_saved) >= _options.CheckpointInterval;

    /// <summary>Makes the folder ready.</summary>
    /// <returns>Null where the options name no folder.</returns>
    /// <exception cref="IOException">There can be no such folder.</exception>
    public static CheckpointStore? Open(NeuralOdeTrainerOptions options)
    {
        if (options.CheckpointFolder is not { } folder)
            return null;
        folder = Path.GetFullPath(folder);
        if (File.Exists(folder))
            throw new IOException($"CheckpointFolder is '{folder}', which is a file; it must be the path of a folder.");
        Directory.CreateDirectory(folder);
        return new CheckpointStore(folder, options);
    }

    /// <summary>Tells what the training that begins is known by, and finds what an interrupted one left.</summary>
    /// <param name="options">The training's options.</param>
    /// <param name="rows">All training data, before a part of them is kept for validation.</param>
    /// <param name="validation">Validation data of their own; null for none.</param>
    /// <param name="warn">Takes warnings.</param>
    /// <param name="more">What else decides what the weights mean, by name.</param>
    /// <exception cref="InvalidOperationException">The checkpoint belongs to a training with other options, or a training of the same data
    /// is under way.</exception>
    /// <exception cref="InvalidDataException">The checkpoint is damaged.</exception>
    public void Identify(
        NeuralOdeTrainerOptions options, RowStatistics rows, RowStatistics? validation, Action<string>? warn = null,
        params ReadOnlySpan<(string Name, string Value)> more)
    {
        _warn = warn ?? _warn;
        var identity = CheckpointIdentity.Of(options, rows, validation);
        foreach ((string name, string value) in more)
            identity[name] = value;
        Identity = identity;
        CheckpointDescription? found = Choose(Path.Combine(_folder, $"neuralode-{rows.CheckNumber}"), out bool hasOther);
        foreach (string leftover in Directory.EnumerateFiles(_folder, $"{Path.GetFileName(FilePath)}.*.new"))
            File.Delete(leftover);
        if (!options.ResumeFromCheckpoint)
            return;
        if (found is null && hasOther)
            _warn(
                $"'{_folder}' holds checkpoints, but none of this training ({CheckpointIdentity.Data} are others): "
                + $"it begins afresh and is kept in '{FilePath}'.");
        if (found is null)
            return;
        Differences = CheckpointIdentity.Compare(found, Identity, options, FilePath);
        Found = found;
        HasGoodCheckpoint = true;
    }

    /// <summary>Everything that an interrupted training left.</summary>
    /// <exception cref="InvalidDataException">The checkpoint is damaged.</exception>
    public Payload<CheckpointDescription> Read() => Read(FilePath, PayloadReader.Read<CheckpointDescription>);

    /// <summary>Keeps the training. Where that fails, there is one warning, and the next checkpoint is another try.</summary>
    /// <param name="description">How far it has come.</param>
    /// <param name="count">The number of arrays.</param>
    /// <param name="arrays">The arrays, each asked for when the one before is written.</param>
    public void Save(CheckpointDescription description, int count, IEnumerable<NamedArray> arrays)
    {
        try
        {
            Directory.CreateDirectory(_folder);
            AtomicFile.Write(FilePath, stream => PayloadWriter.Write(stream, description, count, arrays));
            HasGoodCheckpoint = true;
            _isFailing = false;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            if (!_isFailing)
                _warn(
                    $"The checkpoint '{FilePath}' could not be written: {exception.Message} The training goes on, "
                    + "and it is tried again with the next checkpoint.");
            _isFailing = true;
        }
        _saved = Stopwatch.GetTimestamp();
    }

    public void Dispose()
    {
        _locks.ForEach(each => each.Dispose());
        _locks.Clear();
    }

    /// <summary>Chooses the file.</summary>
    /// <param name="own">The path of files of these data, without extension.</param>
    /// <param name="hasOther">Whether the folder's first file is one of other data.</param>
    /// <returns>What stands in it; null where there is none, or it is damaged and not wanted.</returns>
    private CheckpointDescription? Choose(string own, out bool hasOther)
    {
        _locks.Add(FileLock.TryTake(own + ".lock") ?? throw new InvalidOperationException(
            $"The CheckpointFolder '{_folder}' is in use: another training of the same data is under way there. "
            + "Wait until it ends, or choose another CheckpointFolder."));
        string first = FilePath;
        hasOther = false;
        if (File.Exists(first))
        {
            CheckpointDescription? found = Describe(first);
            if (found is null || found.Identity.GetValueOrDefault(CheckpointIdentity.Data) == Identity[CheckpointIdentity.Data])
                return found;
            hasOther = true;
        }
        FilePath = own + ".checkpoint";
        if (File.Exists(FilePath))
            return Describe(FilePath);
        // Two trainings of different data may begin at the same time in an empty folder.
        if (!hasOther && FileLock.TryTake(first + ".lock") is { } firstLock)
        {
            _locks.Add(firstLock);
            if (!File.Exists(first))
                FilePath = first;
        }
        return null;
    }

    private CheckpointDescription? Describe(string file)
    {
        try
        {
            return Read(file, PayloadReader.ReadDescription<CheckpointDescription>);
        }
        catch (InvalidDataException) when (!_options.ResumeFromCheckpoint)
        {
            return null;
        }
    }

    private static T Read<T>(string file, Func<Stream, T> read)
    {
        try
        {
            using FileStream stream = File.OpenRead(file);
            return read(stream);
        }
        catch (InvalidDataException exception)
        {
            throw new InvalidDataException(
                $"The checkpoint '{file}' cannot be read. Delete it or set ResumeFromCheckpoint to false to begin afresh. "
                + $"{exception.Message}", exception);
        }
    }
}
