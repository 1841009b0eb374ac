namespace Microsoft.ML.NeuralOde.Scoring;

/// <summary>Turns rows of features into rows of numbers, many at a time.</summary>
internal interface IRowScorer
{
    int FeatureCount { get; }

    int OutputCount { get; }

    void Score(float[] features, int rows, float[] outputs);
}
