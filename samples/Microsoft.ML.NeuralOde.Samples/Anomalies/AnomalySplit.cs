namespace Microsoft.ML.NeuralOde.Samples.Anomalies;

/// <summary>How the rows of a labelled table are divided into those for training and those for the test.</summary>
internal enum SplitProtocol
{
    /// <summary>Of the normal rows, in the file's order, those whose position modulo 5 is below 3 train.</summary>
    Modulo,

    /// <summary>Half of the normal rows, drawn at random, train (S. Han et al., ADBench, 2022).</summary>
    Halves,
}

/// <summary>Rows that train, and rows that are scored.</summary>
/// <param name="Training">Normal rows; all rows of a table without labels.</param>
/// <param name="Test">The other normal rows and all anomalies; all rows of a table without labels.</param>
internal sealed record AnomalySplit(IReadOnlyList<AnomalyRow> Training, IReadOnlyList<AnomalyRow> Test)
{
    // Of five normal rows three are for training.
    private const int Cycle = 5, TrainingRows = 3;

    /// <summary>The share of anomalies among the training rows.</summary>
    public double Contamination => Training.Count(row => row.Label != 0) / (double)Training.Count;

    /// <summary>
    /// The same with anomalies, drawn at random, among the training rows: as many as make up a share of them, but half of all at most. They
    /// are not scored.
    /// </summary>
    /// <param name="share">The share; 0 for none.</param>
    /// <param name="seed">Decides which.</param>
    public AnomalySplit Contaminated(double share, int seed)
    {
        AnomalyRow[] anomalies = [.. Test.Where(row => row.Label != 0)];
        new Random(seed).Shuffle(anomalies);
        int count = (int)Math.Min(Math.Round(share / (1 - share) * Training.Count), anomalies.Length / 2);
        if (count == 0)
            return this;
        HashSet<AnomalyRow> moved = [.. anomalies[..count]];
        return new AnomalySplit([.. Training, .. moved], [.. Test.Where(row => !moved.Contains(row))]);
    }

    /// <summary>Divides the rows of a labelled table.</summary>
    /// <param name="rows">All rows.</param>
    /// <param name="protocol">The rule.</param>
    /// <param name="seed">Decides on the halves; without meaning to the other rule.</param>
    public static AnomalySplit Of(IReadOnlyList<AnomalyRow> rows, SplitProtocol protocol, int seed)
    {
        AnomalyRow[] normal = [.. rows.Where(row => row.Label == 0)];
        Predicate<int> trains = i => i % Cycle < TrainingRows;
        if (protocol == SplitProtocol.Halves)
        {
            new Random(seed).Shuffle(normal);
            trains = i => i < normal.Length / 2;
        }
        return new AnomalySplit(
            [.. normal.Where((_, i) => trains(i))], [.. normal.Where((_, i) => !trains(i)), .. rows.Where(row => row.Label != 0)]);
    }
}
