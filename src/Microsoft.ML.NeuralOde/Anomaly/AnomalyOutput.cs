using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Anomaly;

/// <summary>The columns that a detector adds, and how it judges.</summary>
/// <param name="Score">The score's column.</param>
/// <param name="PredictedLabel">The predicted label's column.</param>
/// <param name="Scale">How the score is made; null for −log p itself.</param>
/// <param name="Threshold">The score above which a row is an anomaly.</param>
/// <param name="Contamination">The share of the compared rows that the threshold was chosen by; null for a threshold that was chosen by
/// itself.</param>
/// <param name="MissingValues">What becomes of rows that cannot be scored.</param>
/// <param name="Compared">The scores of the training rows, or of those that the detector was calibrated with; null in files that do not
/// have them.</param>
/// <param name="Contributions">The column of what each feature adds to the score; null for none.</param>
/// <param name="PValue">The column of p-values; null where the detector was not calibrated.</param>
internal sealed record AnomalyOutput(
    string Score, string PredictedLabel, AnomalyScale? Scale, float Threshold, double? Contamination,
    MissingValueHandling MissingValues = MissingValueHandling.Normal,
    [property: JsonPropertyName("TrainingScores")] ScoreQuantiles? Compared = null,
    string? Contributions = null, string? PValue = null)
{
    /// <summary>The threshold of a contamination; null where scores to compare with are missing.</summary>
    /// <exception cref="InvalidOperationException">There are too few scores.</exception>
    public float? ThresholdOf(double contamination) =>
        PValue is null ? Compared?.Threshold(contamination) : Compared?.FalseAlarmThreshold(contamination);

    /// <summary>Whether a column has this name already.</summary>
    public bool HasColumn(string name) => name == Score || name == PredictedLabel || name == Contributions || name == PValue;

    /// <summary>What people are to read of it in the file.</summary>
    public object ToMetadata() => new
    {
        Score,
        PredictedLabel,
        Scale,
        Threshold,
        Contamination,
        MissingValues = MissingValues.ToString(),
        Contributions,
        PValue,
    };

    /// <summary>What makes no sense in what was read, as a clause; null for nothing.</summary>
    public string? FindDefect() => !float.IsFinite(Threshold) ? $"its threshold is {Threshold}"
        : !Enum.IsDefined(MissingValues) ? $"it treats missing values in the unknown way {MissingValues}"
        : PValue is not null && Compared is null ? "it has p-values but no scores that they compare with"
        : Compared?.FindDefect();

    /// <summary>The score of rows, shape <c>[batch]</c>.</summary>
    public static Tensor ScoreOf(Flows.FlowEvidence evidence, AnomalyScale? scale) =>
        scale is null ? evidence.Surprise : scale.Score(evidence.Surprise, evidence.LatentEnergy);
}
