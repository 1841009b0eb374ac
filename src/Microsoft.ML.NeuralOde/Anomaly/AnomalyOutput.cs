namespace Microsoft.ML.NeuralOde.Anomaly;

/// <summary>The columns that a detector adds, and how it judges.</summary>
/// <param name="Score">The score's column.</param>
/// <param name="PredictedLabel">The predicted label's column.</param>
/// <param name="Scale">How the score is made; null for −log p itself.</param>
/// <param name="Threshold">The score above which a row is an anomaly.</param>
/// <param name="Contamination">The share of the training rows that the threshold was chosen by.</param>
internal sealed record AnomalyOutput(string Score, string PredictedLabel, AnomalyScale? Scale, float Threshold, double Contamination)
{
    /// <summary>The score of rows, shape <c>[batch]</c>.</summary>
    public static Tensor ScoreOf(Density.FlowEvidence evidence, AnomalyScale? scale) =>
        scale is null ? evidence.Surprise : scale.Score(evidence.Surprise, evidence.LatentEnergy);
}
