namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>Turns rows of features into rows of numbers, many at a time.</summary>
internal interface IRowScorer
{
    /// <summary>The numbers that are read of a row: its features and, behind them, its condition where the model has one.</summary>
    int FeatureCount { get; }

    int OutputCount { get; }

    /// <summary>Whether rows are wanted without their zeros.</summary>
    bool TakesSparse => false;

    void Score(float[] features, int rows, float[] outputs);

    /// <summary>Room for rows to score together.</summary>
    /// <param name="capacity">How many at most.</param>
    RowScoring Open(int capacity) => new DenseScoring(this, capacity);
}
