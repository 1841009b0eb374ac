using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Samples.Fitting;

/// <summary>dy/dt = W tanh(V y³ + b) + c, with layers that the library's kernels know.</summary>
internal sealed class CubicDynamics : nn.Module<Tensor, Tensor, Tensor>, ILayeredDynamics
{
    private readonly Sequential _layers;

    public CubicDynamics(int features, int hidden)
        : base(nameof(CubicDynamics))
    {
        _layers = nn.Sequential(new Power(3), nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, features));
        RegisterComponents();
    }

    public IReadOnlyList<nn.Module<Tensor, Tensor>> Layers => [_layers];

    public override Tensor forward(Tensor t, Tensor y) => _layers.call(y);
}
