using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.ModelHost;

/// <summary>dy/dt = −rate ⊙ y: a right-hand side of the user's, which the file names and this program knows.</summary>
public sealed class Damping : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly TorchSharp.Modules.Parameter _rate;

    /// <param name="size">Numbers of the state.</param>
    public Damping(long size)
        : base(nameof(Damping))
    {
        _rate = nn.Parameter(ones(size));
        register_parameter("rate", _rate);
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor time, Tensor state) => -_rate * state;
}
