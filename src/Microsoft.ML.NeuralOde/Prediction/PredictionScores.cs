namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>Makes scores of a network's outputs.</summary>
internal static class PredictionScores
{
    /// <param name="kind">What the outputs mean.</param>
    /// <param name="outputs">Shape <c>[rows, outputs]</c>, in units of the label.</param>
    /// <returns>Shape <c>[rows, scores]</c>.</returns>
    public static Tensor Of(OutputKind kind, Tensor outputs) => kind switch
    {
        OutputKind.Classes => outputs.softmax(1),
        OutputKind.Odds => cat([outputs, outputs.sigmoid()], 1),
        _ => outputs,
    };
}
