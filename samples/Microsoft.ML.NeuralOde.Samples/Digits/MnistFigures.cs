using System.Text.Json;
using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Samples.Digits;

/// <summary>Everything a run of <c>mnist</c> found out, in the names of its JSON file.</summary>
internal sealed record MnistFigures
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, // A mean over no row is "NaN".
    };

    public required string Data { get; init; }
    public required int TrainRows { get; init; }
    public required int TestRows { get; init; }
    public required string Solver { get; init; }
    public required string Gradient { get; init; }
    public required double RelativeTolerance { get; init; }
    public required double AbsoluteTolerance { get; init; }
    public required int BatchSize { get; init; }
    public required double LearningRate { get; init; }
    public required string LearningRateSchedule { get; init; }
    public required double WeightDecay { get; init; }
    public required double ValidationFraction { get; init; }
    public required int Seed { get; init; }

    public required double TestAccuracy { get; init; }
    public required double MacroAccuracy { get; init; }
    public required double LogLoss { get; init; }

    /// <summary>Rows are actual digits, columns predicted ones.</summary>
    public required IReadOnlyList<IReadOnlyList<double>> ConfusionMatrix { get; init; }

    /// <summary>From the first row of the first epoch to the end of the last: the epochs alone.</summary>
    public double TrainSeconds => Epochs.Sum(e => e.Seconds);

    public double SecondsPerEpoch => Epochs.Count == 0 ? 0 : TrainSeconds / Epochs.Count;

    /// <summary>The whole of <c>Fit</c>: decoding the images, and the epochs.</summary>
    public required double FitSeconds { get; init; }

    /// <summary>Evaluations of the dynamics in the forward pass, mean of a batch over all epochs.</summary>
    public double NfeForward => Epochs.Count == 0 ? 0 : Epochs.Average(e => e.NfeForward);

    /// <summary>Evaluations of the dynamics in the backward pass, mean of a batch over all epochs.</summary>
    public double NfeBackward => Epochs.Count == 0 ? 0 : Epochs.Average(e => e.NfeBackward);

    /// <summary>How many rows of pixels in memory the model classifies in a second.</summary>
    public required double ScoredRowsPerSecond { get; init; }

    /// <summary>The largest amount of memory the process has had resident, in bytes.</summary>
    public required long PeakMemoryBytes { get; init; }

    public required string ModelFile { get; init; }
    public required long ModelBytes { get; init; }

    /// <summary>Whether the model gave the same labels and the same scores, bit by bit, after it was loaded from its file.</summary>
    public required bool LoadedModelIsEqual { get; init; }

    public required IReadOnlyList<NeuralOdeEpochReport> Epochs { get; init; }

    public string ToJson() => JsonSerializer.Serialize(this, Format);
}
