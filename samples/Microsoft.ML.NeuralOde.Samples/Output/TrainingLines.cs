namespace Microsoft.ML.NeuralOde.Samples.Output;

/// <summary>What is said while a classifier is trained.</summary>
internal static class TrainingLines
{
    /// <summary>An epoch; fits a terminal of 80 columns.</summary>
    public static string Epoch(NeuralOdeEpochReport epoch)
    {
        string validation = epoch.ValidationAccuracy is { } accuracy ? $", validation {accuracy:P2}" : "";
        return $"Epoch {epoch.Epoch,2}/{epoch.NumberOfEpochs}: loss {epoch.TrainLoss:F4}, accuracy {epoch.TrainAccuracy:P2}{validation}, {epoch.Seconds:F2} s";
    }
}
