using System.Text.Json.Serialization;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>How far a training has come, but for tensors.</summary>
internal sealed class TrainingState
{
    /// <summary>Reports of the epochs that are done.</summary>
    public List<NeuralOdeEpochReport> Reports { get; set; } = [];

    /// <summary>What the batches of the epoch that is under way came to.</summary>
    public EpochSums Sums { get; set; } = new();

    /// <summary>Batches of all epochs so far.</summary>
    public long Step { get; set; }

    /// <summary>The smallest validation loss so far; null before the first.</summary>
    public double? BestLoss { get; set; }

    /// <summary>The epoch it belongs to.</summary>
    public int BestEpoch { get; set; }

    /// <summary>Whether early stopping has ended the training.</summary>
    public bool IsStopped { get; set; }

    [JsonIgnore]
    public int CompletedEpochs => Reports.Count;
}

/// <summary>Sums over batches.</summary>
internal sealed class EpochSums
{
    public long Batches { get; set; }

    public double Loss { get; set; }

    public double Weight { get; set; }

    public double Figure { get; set; }

    public double FigureWeight { get; set; }

    public long Forward { get; set; }

    public long Backward { get; set; }

    /// <summary>The learning rate of the last batch.</summary>
    public double LearningRate { get; set; }

    /// <summary>How long the batches took, in seconds.</summary>
    public double Seconds { get; set; }

    public void Add(BatchResult result, double loss)
    {
        Batches++;
        Loss += loss * result.Weight;
        Weight += result.Weight;
        if (result.Figure is not null)
        {
            Figure += result.Figure.ToDouble() * result.FigureWeight;
            FigureWeight += result.FigureWeight;
        }
        Forward += result.Statistics.FunctionEvaluations;
        Backward += result.Statistics.BackwardEvaluations;
    }
}
