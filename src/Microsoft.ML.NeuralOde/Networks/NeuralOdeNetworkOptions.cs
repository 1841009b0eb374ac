namespace Microsoft.ML.NeuralOde;

/// <summary>
/// What a trainer's network is made of, where it is not the linear layers that <see cref="NeuralOdePredictorOptions.EncoderLayers"/> and
/// <see cref="NeuralOdePredictorOptions.DynamicsLayers"/> describe: see <see cref="ConvolutionalNetwork"/>.
/// </summary>
public abstract record NeuralOdeNetworkOptions
{
    private protected NeuralOdeNetworkOptions()
    {
    }

    /// <summary>What makes no sense: the option, what it is, and what it must be; null for nothing.</summary>
    internal abstract (string Option, object? Found, string Expected)? FindDefect();
}
