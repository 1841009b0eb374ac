namespace Microsoft.ML.NeuralOde;

/// <summary>
/// What a detector of anomalies says of a row with a feature that is missing (NaN) or infinite. Its score is NaN in any case.
/// </summary>
public enum MissingValueHandling
{
    /// <summary>It is no anomaly.</summary>
    Normal,

    /// <summary>It is an anomaly: a row that cannot be judged is not passed over.</summary>
    Anomaly,

    /// <summary>Scoring it fails with an <see cref="InvalidOperationException"/>.</summary>
    Refuse,
}
