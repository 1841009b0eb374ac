using Microsoft.ML;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(NeuralOdeRegressionTransformer), typeof(NeuralOdeRegressionTransformer), null, typeof(SignatureLoadModel),
    "Neural ODE regression", NeuralOdeRegressionTransformer.LoaderSignature)]

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A fitted <see cref="NeuralOdeRegressionTrainer"/>: adds the score, a number for a label that is one number, a vector for a vector of
/// targets.
/// </summary>
public sealed class NeuralOdeRegressionTransformer : NeuralOdeTransformer
{
    internal const string LoaderSignature = "NeuralOdeRegression";

    internal NeuralOdeRegressionTransformer(IHostEnvironment environment, NeuralOdeModel model, ModelDescription description)
        : base(environment, LoaderSignature, model, description)
    {
    }

    /// <summary>Loads a model; called by ML.NET.</summary>
    internal static NeuralOdeRegressionTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        (NeuralOdeModel model, ModelDescription description) = Load(env, ctx, LoaderSignature, OutputKind.Values);
        return new NeuralOdeRegressionTransformer(env, model, description);
    }

    private protected override ScoreColumn[] Columns(DataViewSchema input) =>
        PredictionColumns.Of(OutputKind.Values, Description.Columns, null, Model.OutputCount, input);
}
