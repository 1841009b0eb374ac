using Microsoft.ML;
using Microsoft.ML.NeuralOde;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(NeuralOdeClassificationTransformer), typeof(NeuralOdeClassificationTransformer),
    null, typeof(SignatureLoadModel),
    "Neural ODE classification", NeuralOdeClassificationTransformer.LoaderSignature)]

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A fitted <see cref="NeuralOdeClassificationTrainer"/>: adds the predicted label, a key with the label's values, and the probability of
/// each class.
/// </summary>
public sealed class NeuralOdeClassificationTransformer : NeuralOdeTransformer
{
    internal const string LoaderSignature = "NeuralOdeClassification";

    private readonly LabelKeys _keys;

    internal NeuralOdeClassificationTransformer(IHostEnvironment environment, NeuralOdeModel model, ModelDescription description)
        : base(environment, LoaderSignature, model, description)
    {
        _keys = (description.Classes ?? new ClassValues(null, null, null)).ToKeys(model.OutputCount);
    }

    /// <summary>Loads a model; called by ML.NET.</summary>
    internal static NeuralOdeClassificationTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        (NeuralOdeModel model, ModelDescription description) = Load(env, ctx, LoaderSignature, OutputKind.Classes);
        return new NeuralOdeClassificationTransformer(env, model, description);
    }

    private protected override ScoreColumn[] Columns(DataViewSchema input) =>
        PredictionColumns.Of(OutputKind.Classes, Description.Columns, _keys, Model.OutputCount, input);
}
