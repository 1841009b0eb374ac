using System.Diagnostics;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>What a checkpoint says, beside its tensors.</summary>
/// <param name="Seed">The training's seed.</param>
/// <param name="Identity">What it belongs to; see <see cref="CheckpointIdentity"/>.</param>
/// <param name="State">How far the training had come.</param>
/// <param name="OptimizerSteps">The steps that the optimizer counts, one number a parameter.</param>
internal sealed record CheckpointDescription(int Seed, IReadOnlyDictionary<string, string> Identity, TrainingState State, long[] OptimizerSteps);

/// <summary>
/// The file in which a training is kept for the case that it is interrupted. It is written beside and then renamed, so that at every moment there is
/// one whole checkpoint, the last or the one before it.
/// </summary>
internal sealed class CheckpointStore
{
    public const string FileName = "neuralode.checkpoint";

    private readonly TimeSpan _interval;
    private long _saved = Stopwatch.GetTimestamp();

    private CheckpointStore(string file, TimeSpan interval, Payload<CheckpointDescription>? found)
    {
        FilePath = file;
        _interval = interval;
        Found = found;
        HasGoodCheckpoint = found is not null;
    }

    public string FilePath { get; }

    /// <summary>What an interrupted training left; null where there is none, or none is wanted.</summary>
    public Payload<CheckpointDescription>? Found { get; }

    /// <summary>What the training that is under way is known by.</summary>
    public IReadOnlyDictionary<string, string> Identity { get; private set; } = new Dictionary<string, string>();

    /// <summary>Whether there is a checkpoint of this training in the file.</summary>
    public bool HasGoodCheckpoint { get; private set; }

    /// <summary>Whether it is time for the next checkpoint.</summary>
    public bool IsDue => Stopwatch.GetElapsedTime(_saved) >= _interval;

    /// <summary>Makes the folder ready, and reads what an interrupted training left there.</summary>
    /// <returns>Null where the options name no folder.</returns>
    /// <exception cref="InvalidDataException">The checkpoint is damaged.</exception>
    public static CheckpointStore? Open(NeuralOdeTrainerOptions options)
    {
        if (options.CheckpointFolder is not { } folder)
            return null;
        Directory.CreateDirectory(folder);
        string file = Path.GetFullPath(Path.Combine(folder, FileName));
        AtomicFile.RemoveLeftovers(file);
        return new CheckpointStore(file, options.CheckpointInterval, options.ResumeFromCheckpoint && File.Exists(file) ? Read(file) : null);
    }

    /// <summary>Tells what the training that begins is known by.</summary>
    public void Identify(NeuralOdeTrainerOptions options, ITrainingRows rows, ITrainingRows? validation) => Identity = CheckpointIdentity.Of(options, rows, validation);

    public void Save(CheckpointDescription description, IReadOnlyList<NamedArray> arrays)
    {
        AtomicFile.Write(FilePath, new Payload<CheckpointDescription>(description, arrays).ToBytes());
        HasGoodCheckpoint = true;
        _saved = Stopwatch.GetTimestamp();
    }

    private static Payload<CheckpointDescription> Read(string file)
    {
        try
        {
            return PayloadReader.Read<CheckpointDescription>(File.ReadAllBytes(file));
        }
        catch (InvalidDataException exception)
        {
            throw new InvalidDataException($"The checkpoint '{file}' cannot be read. Delete it or set ResumeFromCheckpoint to false to begin afresh. {exception.Message}", exception);
        }
    }
}
