namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>Turns rows of features into rows of numbers, many at a time.</summary>
internal interface IRowScorer
{
    /// <summary>The numbers that are read of a row: its features and, behind them, its condition where the model has one.</summary>
    int FeatureCount { get; }

    int OutputCount { get; }

    void Score(float[] features, int rows, float[] outputs);
}
