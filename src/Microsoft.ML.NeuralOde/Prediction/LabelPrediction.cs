using Microsoft.ML.NeuralOde.Data;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>What a trainer predicts: the label that it reads, the task that the label sets, and the columns that it makes.</summary>
/// <param name="label">The label.</param>
/// <param name="kind">What the network's outputs mean.</param>
internal abstract class LabelPrediction(LabelFormat label, OutputKind kind)
{
    /// <summary>The label that is read.</summary>
    public LabelFormat Label => label;

    /// <summary>What the network's outputs mean.</summary>
    public OutputKind Kind => kind;

    /// <summary>The label's column as ML.NET's trainers declare it.</summary>
    public abstract SchemaShape.Column LabelColumn { get; }

    /// <summary>The input columns and those of the predictions.</summary>
    public abstract SchemaShape WithOutputs(SchemaShape input, SchemaShape.Column label);

    /// <summary>The task that a label column sets.</summary>
    public abstract PredictionTask CreateTask(DataViewSchema.Column label);

    /// <summary>The columns of the predictions.</summary>
    public abstract OutputColumns Outputs(DataViewSchema.Column label);

    /// <summary>The values of the classes; null where there are none.</summary>
    public virtual ClassValues? Classes(DataViewSchema.Column label) => null;
}
