namespace Microsoft.ML.NeuralOde;

/// <summary>What a <see cref="LatentOde"/> says about series at asked times.</summary>
/// <remarks>It owns its tensors.</remarks>
public sealed class LatentForecast : IDisposable
{
    internal LatentForecast(Tensor mean, Tensor standardDeviation, Tensor noise, Tensor trajectories) =>
        (Mean, StandardDeviation, Noise, Trajectories) = (mean, standardDeviation, noise, trajectories);

    /// <summary>The expected values, shape <c>[batch, n, channels]</c>.</summary>
    public Tensor Mean { get; }

    /// <summary>The standard deviations of observations around them, in the shape of the mean: of the latent samples and the noise
    /// together.</summary>
    public Tensor StandardDeviation { get; }

    /// <summary>
    /// The part of the standard deviation that is noise of observations, in the shape of the mean. What is left is uncertainty of the
    /// latent state.
    /// </summary>
    public Tensor Noise { get; }

    /// <summary>
    /// The trajectories over which mean and spread were taken, shape <c>[samples, batch, n, channels]</c>: without the noise of
    /// observations. Of a model that is not variational there is one.
    /// </summary>
    public Tensor Trajectories { get; }

    /// <summary>Gives the memory back.</summary>
    public void Dispose()
    {
        Mean.Dispose();
        StandardDeviation.Dispose();
        Noise.Dispose();
        Trajectories.Dispose();
    }
}
