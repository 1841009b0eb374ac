using Microsoft.ML;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(NeuralOdeBinaryClassificationTransformer), typeof(NeuralOdeBinaryClassificationTransformer), null,
    typeof(SignatureLoadModel), "Neural ODE binary classification", NeuralOdeBinaryClassificationTransformer.LoaderSignature)]

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A fitted <see cref="NeuralOdeBinaryClassificationTrainer"/>: adds the predicted label, the score (the logarithm of the odds of true) and
/// the probability of true.
/// </summary>
public sealed class NeuralOdeBinaryClassificationTransformer : NeuralOdeTransformer
{
    internal const string LoaderSignature = "NeuralOdeBinary";

    internal NeuralOdeBinaryClassificationTransformer(IHostEnvironment environment, NeuralOdeModel model, ModelDescription description)
        : base(environment, LoaderSignature, model, description)
    {
    }

    /// <summary>
    /// The score above which the predicted label is true. 0, which is probability 0.5, unless
    /// <see cref="NeuralOdeCatalog.ChangeModelThreshold(BinaryClassificationCatalog, NeuralOdeBinaryClassificationTransformer, float)"/>
    /// changed it.
    /// </summary>
    public float Threshold => Description.Columns.Threshold;

    /// <summary>The same model with another threshold; both share the weights.</summary>
    internal NeuralOdeBinaryClassificationTransformer WithThreshold(IHostEnvironment environment, float threshold) =>
        new(environment, Model.Share(), Description with { Columns = Description.Columns with { Threshold = threshold } });

    /// <summary>Loads a model; called by ML.NET.</summary>
    internal static NeuralOdeBinaryClassificationTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        (NeuralOdeModel model, ModelDescription description) = Load(env, ctx, LoaderSignature, OutputKind.Odds);
        return new NeuralOdeBinaryClassificationTransformer(env, model, description);
    }

    private protected override ScoreColumn[] Columns(DataViewSchema input) =>
        PredictionColumns.Of(OutputKind.Odds, Description.Columns, null, Model.OutputCount, input);
}
