using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A fitted <see cref="NeuralOdeBinaryClassificationTrainer"/>: adds the predicted label, the score (the logarithm of the odds of true) and the
/// probability of true.
/// </summary>
public sealed class NeuralOdeBinaryClassificationTransformer : NeuralOdeTransformer
{
    internal const string LoaderSignature = "NeuralOdeBinary";

    private const int Score = 0;
    private const int Probability = 1;

    internal NeuralOdeBinaryClassificationTransformer(IHostEnvironment environment, NeuralOdeModel model, ModelDescription description)
        : base(environment, LoaderSignature, model, description)
    {
    }

    /// <summary>Loads a model; called by ML.NET.</summary>
    internal static NeuralOdeBinaryClassificationTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        (NeuralOdeModel model, ModelDescription description) = Load(env, ctx, LoaderSignature, OutputKind.Odds);
        return new NeuralOdeBinaryClassificationTransformer(env, model, description);
    }

    private protected override ScoreColumn[] Columns(DataViewSchema input) =>
    [
        new PositiveScore(Description.Columns.PredictedLabel!, Score, Schemas.BinaryAnnotations(input, BinaryColumn.PredictedLabel)),
        new NumberScore(Description.Columns.Score, Score, Schemas.BinaryAnnotations(input, BinaryColumn.Score)),
        new NumberScore(Description.Columns.Probability!, Probability, Schemas.BinaryAnnotations(input, BinaryColumn.Probability)),
    ];
}
