namespace Microsoft.ML.NeuralOde;

/// <summary>What happened in one pass over the training data.</summary>
public sealed class NeuralOdeEpochReport
{
    /// <summary>The epoch, from 1.</summary>
    public int Epoch { get; init; }

    /// <summary>How many epochs there will be.</summary>
    public int NumberOfEpochs { get; init; }

    /// <summary>Mean loss over the epoch's batches, each with the weights it met.</summary>
    public double TrainLoss { get; init; }

    /// <summary>Fraction of the rows that were classified rightly, each by the weights it met.</summary>
    public double TrainAccuracy { get; init; }

    /// <summary>Fraction of the validation rows that the weights after the epoch classify rightly; null without validation rows.</summary>
    public double? ValidationAccuracy { get; init; }

    /// <summary>Evaluations of the right-hand side on the way forward, mean over the batches.</summary>
    public double NfeForward { get; init; }

    /// <summary>Evaluations of the right-hand side on the way back, mean over the batches.</summary>
    public double NfeBackward { get; init; }

    /// <summary>Duration of the epoch in seconds, validation included.</summary>
    public double Seconds { get; init; }

    /// <summary>The learning rate at the end of the epoch.</summary>
    public double LearningRate { get; init; }

    /// <inheritdoc/>
    public override string ToString()
    {
        string validation = ValidationAccuracy is { } accuracy ? FormattableString.Invariant($", validation accuracy {accuracy:P2}") : "";
        return FormattableString.Invariant(
            $"epoch {Epoch}/{NumberOfEpochs}: loss {TrainLoss:F4}, accuracy {TrainAccuracy:P2}{validation}, evaluations {NfeForward:F1} forward {NfeBackward:F1} backward, {Seconds:F2} s");
    }
}
