using Microsoft.ML.NeuralOde.Dynamics;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>
/// A curve z(t) through every state, which is that state at t = 0 and whose map is invertible at every t: affine couplings whose effect
/// vanishes at 0 (M. Biloš et al., Neural Flows, 2021).
/// </summary>
internal sealed class CouplingFlow : Module<Tensor, Tensor, Tensor?, Tensor>
{
    private const int Layers = 4;
    private const long Frequencies = 8;

    private readonly DenseDynamics[] _networks = new DenseDynamics[Layers];
    private readonly long _first, _second;

    public CouplingFlow(long features, long hidden, long conditions)
        : base(nameof(CouplingFlow))
    {
        (_first, _second) = (features / 2, features - features / 2);
        using DisposeScope scope = NewDisposeScope();
        Tensor frequencies = Numbers.Range(Frequencies, ScalarType.Float32, CPU).Plus(1).Times(Math.PI / 2);
        this.Own("frequencies", () => frequencies);
        for (int i = 0; i < Layers; i++)
        {
            (long kept, long moved) = Sizes(i);
            _networks[i] = new DenseDynamics(
                kept + 1 + 2 * Frequencies + conditions, 2 * moved, [hidden, hidden], Activation.Tanh, TimeDependence.None);
            register_module($"network{i}", _networks[i]);
            this.Own($"rate{i}", () => ones(moved));
        }
    }

    /// <summary>z(t).</summary>
    /// <param name="state">z(0), shape <c>[rows, features]</c>.</param>
    /// <param name="time">t, shape <c>[rows, 1]</c>.</param>
    /// <param name="condition">Shape <c>[rows, conditions]</c>; null for none.</param>
    public override Tensor forward(Tensor state, Tensor time, Tensor? condition)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor angles = time * get_parameter("frequencies")!;
        Tensor clock = cat(condition is null ? [time, angles.sin(), angles.cos()] : [time, angles.sin(), angles.cos(), condition], 1);
        Tensor kept = state.narrow(1, 0, _first), moved = state.narrow(1, _first, _second);
        for (int i = 0; i < Layers; i++)
        {
            Tensor made = _networks[i].call(zeros([], state.dtype, state.device), cat([kept, clock], 1));
            long size = moved.size(1);
            Tensor scale = made.narrow(1, 0, size).tanh() * (time * get_parameter($"rate{i}")!).tanh();
            Tensor next = (moved * scale.exp()).Plus(made.narrow(1, size, size) * time);
            (kept, moved) = (next, kept);
        }
        // After an even number of layers both are where they were.
        return cat([kept, moved], 1).MoveToOuterDisposeScope();
    }

    private (long Kept, long Moved) Sizes(int layer) => layer % 2 == 0 ? (_first, _second) : (_second, _first);
}
