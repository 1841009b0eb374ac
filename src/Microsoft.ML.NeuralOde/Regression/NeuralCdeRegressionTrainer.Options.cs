namespace Microsoft.ML.NeuralOde;

public sealed partial class NeuralCdeRegressionTrainer
{
    /// <summary>The options of <see cref="NeuralCdeRegressionTrainer"/>.</summary>
    public sealed class Options : NeuralCdeTrainerOptions
    {
    }
}
