namespace Microsoft.ML.NeuralOde.Anomaly;

/// <summary>The columns that a detector adds, and its threshold.</summary>
internal sealed record AnomalyOutput(string Score, string PredictedLabel, float Threshold, double Contamination);
