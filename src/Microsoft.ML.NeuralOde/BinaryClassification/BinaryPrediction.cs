using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.NeuralOde.BinaryClassification;

/// <summary>True or false.</summary>
internal sealed class BinaryPrediction(
    NeuralOdeSupervisedOptions options, string predictedLabel, string probability, ClassWeighting weighting)
    : LabelPrediction(new BooleanLabel(options.LabelColumnName), OutputKind.Odds)
{
    public override SchemaShape.Column LabelColumn => TrainerUtils.MakeBoolScalarLabel(options.LabelColumnName);

    public override SchemaShape WithOutputs(SchemaShape input, SchemaShape.Column label) =>
        Schemas.WithBinaryOutputs(input, predictedLabel, options.ScoreColumnName, probability);

    public override PredictionTask CreateTask(DataViewSchema.Column label) => new BinaryTask(weighting, label.Name);

    public override OutputColumns Outputs(DataViewSchema.Column label) => new(options.ScoreColumnName, predictedLabel, probability);
}
