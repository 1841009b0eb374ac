namespace Microsoft.ML.NeuralOde.Networks;

/// <summary>(x − mean) · scale and back. Not a module: its tensors are statistics, which no optimizer is to touch.</summary>
internal sealed class Affine((float[] Mean, float[] Scale) statistics) : IDisposable
{
    public Tensor Mean { get; private set; } = tensor(statistics.Mean, device: CPU).DetachFromDisposeScope();

    public Tensor Scale { get; private set; } = tensor(statistics.Scale, device: CPU).DetachFromDisposeScope();

    public Tensor Apply(Tensor x) => (x - Mean).mul_(Scale);

    public (float[] Mean, float[] Scale) ToNumbers()
    {
        using Tensor mean = Mean.cpu();
        using Tensor scale = Scale.cpu();
        return (mean.data<float>().ToArray(), scale.data<float>().ToArray());
    }

    public Tensor Invert(Tensor x) => (x / Scale).Add(Mean);

    public void MoveTo(Device device)
    {
        Mean = Mean.to(device).DetachFromDisposeScope();
        Scale = Scale.to(device).DetachFromDisposeScope();
    }

    public void Dispose()
    {
        Mean.Dispose();
        Scale.Dispose();
    }
}
