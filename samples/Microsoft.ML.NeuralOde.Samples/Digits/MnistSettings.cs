namespace Microsoft.ML.NeuralOde.Samples.Digits;

/// <summary>What can be chosen for the command <c>mnist</c>.</summary>
internal sealed record MnistSettings
{
    /// <summary>The folder with MNIST; <see langword="null"/> looks further.</summary>
    public string? Data { get; init; }

    /// <summary>Takes the embedded digits, whatever else there is.</summary>
    public bool Embedded { get; init; }

    public bool Download { get; init; }

    /// <summary>Keeps images, downloads and, unless told otherwise, the model.</summary>
    public string WorkFolder { get; init; } = DefaultWorkFolder;

    /// <summary><see langword="null"/>: as many as suit the data.</summary>
    public int? Epochs { get; init; }

    /// <summary><see langword="null"/>: what suits the data.</summary>
    public int? BatchSize { get; init; }

    public double LearningRate { get; init; } = 3e-3;

    public LearningRateSchedule Schedule { get; init; } = LearningRateSchedule.OneCycle;

    /// <summary><see langword="null"/>: what suits the data.</summary>
    public double? WeightDecay { get; init; }

    public OdeMethod Solver { get; init; } = OdeMethod.Dopri5;

    public double RelativeTolerance { get; init; } = 1e-3;

    public double AbsoluteTolerance { get; init; } = 1e-4;

    public GradientMethod Gradient { get; init; } = GradientMethod.Checkpointed();

    /// <summary>Weight of the solver's error estimates in the loss.</summary>
    public double ErrorPenalty { get; init; }

    /// <summary>Weight of the solver's estimates of stiffness in the loss.</summary>
    public double StiffnessPenalty { get; init; }

    /// <summary>By how much the end times of batches differ from 1.</summary>
    public double EndTimeSpread { get; init; }

    /// <summary>Share of the training images that are kept to judge each epoch by; 0 for none.</summary>
    public double ValidationFraction { get; init; } = 0.1;

    /// <summary>The training ends when the validation loss has not fallen for so many epochs.</summary>
    public int Patience { get; init; } = 5;

    public int Seed { get; init; } = 1;

    /// <summary>Whether this is one of the processes that mpiexec has started, which learn together.</summary>
    public bool Distributed { get; init; }

    /// <summary>Where the training is kept for the case that it is interrupted; <see langword="null"/> for nowhere.</summary>
    public string? Checkpoints { get; init; }

    /// <summary>How many images of each part are used at most.</summary>
    public int? Limit { get; init; }

    public string? Model { get; init; }

    /// <summary>Where all final figures go as JSON.</summary>
    public string? Json { get; init; }

    public static string DefaultWorkFolder => Path.GetDirectoryName(new MnistDownloadOptions().CacheFolder)!;

    public string ModelFile => Path.GetFullPath(Model ?? Path.Combine(WorkFolder, "mnist-model.zip"));

    /// <summary>A small set needs more passes and smaller batches for as many steps.</summary>
    public int EpochsFor(int rows) => Epochs ?? (IsSmall(rows) ? 20 : 10);

    public int BatchSizeFor(int rows) => BatchSize ?? (IsSmall(rows) ? 32 : 128);

    /// <summary>A small set is learned by heart otherwise, long before the last epoch.</summary>
    public double WeightDecayFor(int rows) => WeightDecay ?? (IsSmall(rows) ? 1 : 0);

    private static bool IsSmall(int rows) => rows <= 10_000;
}
