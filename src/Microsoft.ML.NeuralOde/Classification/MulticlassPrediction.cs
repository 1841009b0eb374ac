using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.NeuralOde.Classification;

/// <summary>One of several classes.</summary>
internal sealed class MulticlassPrediction(NeuralOdeSupervisedOptions options, string predictedLabel, ClassWeighting weighting)
    : LabelPrediction(new KeyLabel(options.LabelColumnName), OutputKind.Classes)
{
    public override SchemaShape.Column LabelColumn => TrainerUtils.MakeU4ScalarColumn(options.LabelColumnName);

    public override SchemaShape WithOutputs(SchemaShape input, SchemaShape.Column label) =>
        Schemas.WithMulticlassOutputs(input, label, predictedLabel, options.ScoreColumnName);

    public override PredictionTask CreateTask(DataViewSchema.Column label) => MulticlassTask.Of(label, weighting);

    public override OutputColumns Outputs(DataViewSchema.Column label) => new(options.ScoreColumnName, predictedLabel);

    public override ClassValues Classes(DataViewSchema.Column label) => ClassValues.Of(LabelKeys.Of(label));
}
