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

    /// <param name="result">What a batch came to.</param>
    /// <param name="loss">Its loss.</param>
    /// <param name="times">How often it counts.</param>
    public void Add(BatchResult result, double loss, double times = 1)
    {
        Batches++;
        Loss += loss * result.Weight * times;
        Weight += result.Weight * times;
        if (result.Figure is not null)
        {
            Figure += result.Figure.ToDouble() * result.FigureWeight * times;
            FigureWeight += result.FigureWeight * times;
        }
        Forward += result.Statistics.FunctionEvaluations;
        Backward += result.Statistics.BackwardEvaluations;
    }

    /// <summary>The sums over batches to which several processes have added their parts.</summary>
    /// <param name="team">The processes.</param>
    /// <param name="before">The sums before, which all have.</param>
    public void Merge(Team team, EpochSums before)
    {
        Span<double> added =
        [
            Loss - before.Loss, Weight - before.Weight, Figure - before.Figure, FigureWeight - before.FigureWeight,
            Forward - before.Forward, Backward - before.Backward,
        ];
        team.Sum(added);
        Loss = before.Loss + added[0];
        Weight = before.Weight + added[1];
        Figure = before.Figure + added[2];
        FigureWeight = before.FigureWeight + added[3];
        // Of evaluations the mean over the processes, which solve side by side.
        Forward = before.Forward + (long)Math.Round(added[4] / team.Size);
        Backward = before.Backward + (long)Math.Round(added[5] / team.Size);
    }

    public EpochSums Copy() => (EpochSums)MemberwiseClone();
}
