namespace Microsoft.ML.NeuralOde;

/// <summary>
/// What happened in some batches of an epoch, while it is under way (<see cref="NeuralOdeTrainerOptions.BatchCallback"/>).
/// </summary>
public sealed class NeuralOdeBatchReport
{
    /// <summary>The epoch, from 1.</summary>
    public int Epoch { get; init; }

    /// <summary>The last of the batches, from 1 in each epoch.</summary>
    public long Batch { get; init; }

    /// <summary>How many batches an epoch has.</summary>
    public long BatchesPerEpoch { get; init; }

    /// <summary>
    /// Mean loss over the rows of the batches since the report before, without penalties; of a training of several processes over those
    /// rows that this process has computed.
    /// </summary>
    public double Loss { get; init; }

    /// <summary>Evaluations of the right-hand side on the way forward, mean over these batches.</summary>
    public double NfeForward { get; init; }

    /// <summary>The learning rate of the last of the batches.</summary>
    public double LearningRate { get; init; }

    /// <summary>The batches in one line.</summary>
    public override string ToString() =>
        FormattableString.Invariant($"epoch {Epoch}, batch {Batch}/{BatchesPerEpoch}: loss {Loss:F4}, learning rate {LearningRate:G3}");
}
