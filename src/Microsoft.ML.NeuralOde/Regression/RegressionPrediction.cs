using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Interop;
using Microsoft.ML.NeuralOde.Prediction;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.NeuralOde.Regression;

/// <summary>One or several numbers.</summary>
internal sealed class RegressionPrediction(NeuralOdeSupervisedOptions options)
    : LabelPrediction(new NumberLabel(options.LabelColumnName), OutputKind.Values)
{
    public override SchemaShape.Column LabelColumn => TrainerUtils.MakeR4ScalarColumn(options.LabelColumnName);

    public override SchemaShape WithOutputs(SchemaShape input, SchemaShape.Column label) =>
        Schemas.WithRegressionOutput(input, label, options.ScoreColumnName);

    public override PredictionTask CreateTask(DataViewSchema.Column label) =>
        new RegressionTask(label.Type is VectorDataViewType targets ? targets.Size : 1);

    public override OutputColumns Outputs(DataViewSchema.Column label) =>
        new(options.ScoreColumnName, IsVector: label.Type is VectorDataViewType);
}
