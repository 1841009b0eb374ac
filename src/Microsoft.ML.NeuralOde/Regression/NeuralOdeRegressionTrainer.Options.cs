namespace Microsoft.ML.NeuralOde;

public sealed partial class NeuralOdeRegressionTrainer
{
    /// <summary>The options of <see cref="NeuralOdeRegressionTrainer"/>.</summary>
    public sealed class Options : NeuralOdePredictorOptions
    {
    }
}
