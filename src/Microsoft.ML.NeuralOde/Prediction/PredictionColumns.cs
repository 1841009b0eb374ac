using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Scoring;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>The columns that predictions become.</summary>
internal static class PredictionColumns
{
    private const int Score = 0;
    private const int Probability = 1;

    /// <param name="kind">What the scores mean.</param>
    /// <param name="columns">The names of the columns.</param>
    /// <param name="keys">The classes, where there are some.</param>
    /// <param name="outputs">The number of scores.</param>
    /// <param name="input">The columns of the data.</param>
    public static ScoreColumn[] Of(OutputKind kind, OutputColumns columns, LabelKeys? keys, int outputs, DataViewSchema input) =>
        kind switch
        {
            OutputKind.Classes =>
            [
                new ArgMaxKey(columns.PredictedLabel!, outputs, Schemas.PredictedKeyAnnotations(input, keys!)),
            new VectorScore(columns.Score, outputs, Schemas.MulticlassScoreAnnotations(input, keys!)),
        ],
            OutputKind.Odds =>
            [
                new AboveThreshold(
                columns.PredictedLabel!, Score, columns.Threshold, ifMissing: false,
                Schemas.BinaryAnnotations(input, BinaryColumn.PredictedLabel)),
            new NumberScore(columns.Score, Score, Schemas.BinaryAnnotations(input, BinaryColumn.Score)),
            new NumberScore(columns.Probability!, Probability, Schemas.BinaryAnnotations(input, BinaryColumn.Probability)),
        ],
            _ => columns.IsVector
                ? [new VectorScore(columns.Score, outputs, Schemas.RegressionAnnotations(input, columns.IsVector))]
                : [new NumberScore(columns.Score, 0, Schemas.RegressionAnnotations(input, columns.IsVector))],
        };
}
