using System.Text.Json;

namespace Microsoft.ML.NeuralOde.Samples.Images;

/// <summary>What came of training one network.</summary>
internal sealed record NetworkFigures
{
    public required string Network { get; init; }
    public required double TestAccuracy { get; init; }
    public required double LogLoss { get; init; }
    public required double SecondsPerEpoch { get; init; }
    public required long Parameters { get; init; }

    /// <summary>Evaluations of the equation's right-hand side for a batch; for residual layers their number.</summary>
    public required double EvaluationsPerBatch { get; init; }

    public required double ImagesPerSecond { get; init; }
    public required int Epochs { get; init; }
}

/// <summary>Everything a run of <c>odenet</c> found out, in the names of its JSON file.</summary>
internal sealed record OdeNetFigures
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public required string Data { get; init; }
    public required int TrainRows { get; init; }
    public required int TestRows { get; init; }
    public required string Network { get; init; }
    public required double TestAccuracy { get; init; }
    public required double SecondsPerEpoch { get; init; }
    public required long Parameters { get; init; }
    public required string Options { get; init; }

    /// <summary>The same without a block; <see langword="null"/> where it was not asked for.</summary>
    public required NetworkFigures? Ablation { get; init; }

    public required NetworkFigures Figures { get; init; }

    public string ToJson() => JsonSerializer.Serialize(this, Format) + Environment.NewLine;
}
