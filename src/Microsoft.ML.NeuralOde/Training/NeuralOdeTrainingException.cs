namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A training broke off because the loss, the gradients or the solution of the equation left the realm of numbers. The message says what to
/// try.
/// </summary>
public sealed class NeuralOdeTrainingException : InvalidOperationException
{
    internal NeuralOdeTrainingException(string what, int epoch, string? checkpoint, Exception? inner)
        : base(Describe(what, epoch, checkpoint, inner), inner)
    {
        Epoch = epoch;
        Checkpoint = checkpoint;
    }

    /// <summary>The epoch in which it happened, from 1.</summary>
    public int Epoch { get; }

    /// <summary>The file of the last good checkpoint; null where there is none.</summary>
    public string? Checkpoint { get; }

    private static string Describe(string what, int epoch, string? checkpoint, Exception? inner)
    {
        string kept = checkpoint is null ? "" : $" The last good checkpoint is '{checkpoint}'.";
        string cause = inner is null ? "" : $" {inner.Message}";
        return $"{what} in epoch {epoch}.{kept} Lower LearningRate, set MaximumGradientNorm (1 is usual), or normalise the features.{cause}";
    }
}
