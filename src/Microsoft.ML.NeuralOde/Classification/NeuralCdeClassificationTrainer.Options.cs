using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde;

public sealed partial class NeuralCdeClassificationTrainer
{
    /// <summary>The options of <see cref="NeuralCdeClassificationTrainer"/>.</summary>
    public sealed class Options : NeuralCdeTrainerOptions
    {
        /// <summary>The column of the predicted label. Default: “PredictedLabel”.</summary>
        public string PredictedLabelColumnName = DefaultColumnNames.PredictedLabel;

        /// <summary>How much the rows of each class count. Default: <see cref="ClassWeighting.None"/>.</summary>
        public ClassWeighting ClassWeighting = ClassWeighting.None;

        internal override void Validate()
        {
            base.Validate();
            RequireClassifier(ClassWeighting, (PredictedLabelColumnName, nameof(PredictedLabelColumnName)));
        }
    }
}
