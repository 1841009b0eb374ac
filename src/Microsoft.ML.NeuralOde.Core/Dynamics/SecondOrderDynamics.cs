using Microsoft.ML.NeuralOde.Dynamics;
using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A second-order equation, z″ = a(z, z′, t), as a right-hand side: the state's last dimension holds positions z in its first half and
/// velocities v in its second, z′ = v and v′ = a (A. Norcliffe, C. Bodnar, B. Day, N. Simidjievski, P. Liò, On Second Order Behaviour in
/// Augmented Neural ODEs, 2020).
/// </summary>
/// <remarks>
/// Positions that follow each other's velocities may cross in time as a first-order path may not. The velocities at the start are the
/// caller's: zeros or a function of the positions by <see cref="StateAugmentation"/>, or given. <see cref="OdeMethod.Leapfrog"/> solves
/// such equations as they are. Parameters: those of the acceleration, under <c>acceleration.</c>
/// </remarks>
public sealed class SecondOrderDynamics : Module<Tensor, Tensor, Tensor>, IAnalyticDynamics, IClosedDynamics
{
    private readonly DenseDynamics _acceleration;
    private readonly HalvesMap _map;

    /// <summary>Creates dynamics whose acceleration is a dense network of positions and velocities, with random parameters.</summary>
    /// <param name="positions">Number of positions, half the size of the state.</param>
    /// <param name="hidden">Sizes of the hidden layers; null for one of the state's size; empty for linear accelerations.</param>
    /// <param name="activation">The non-linearity after each hidden layer.</param>
    /// <param name="time">How time enters the acceleration.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive.</exception>
    public SecondOrderDynamics(
        long positions, IReadOnlyList<long>? hidden = null, Activation activation = Activation.Tanh,
        TimeDependence time = TimeDependence.Add)
        : base(nameof(SecondOrderDynamics))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(positions);
        Positions = positions;
        _acceleration = new DenseDynamics(2 * positions, positions, hidden ?? [2 * positions], activation, time);
        register_module("acceleration", _acceleration);
        _map = new HalvesMap(this, _acceleration, "acceleration", positions, takesVelocities: true);
    }

    /// <summary>Number of positions, half the size of the state.</summary>
    public long Positions { get; }

    internal DenseDynamics Acceleration => _acceleration;

    /// <summary>The network of the acceleration.</summary>
    /// <returns>For instance “SecondOrderDynamics(2 positions; layers 4, 16, 2; Tanh; time Add)”.</returns>
    public override string ToString() => _map.Describe(nameof(SecondOrderDynamics));

    /// <summary>The derivatives of positions and velocities.</summary>
    /// <param name="t">Time: a scalar, or one number a row, shape <c>[batch, 1]</c>.</param>
    /// <param name="y">Positions, then velocities, shape <c>[batch, 2 positions]</c>.</param>
    /// <returns>Velocities, then accelerations, in the same shape.</returns>
    /// <exception cref="ArgumentException">The state's width, type or device is not that of the dynamics.</exception>
    public override Tensor forward(Tensor t, Tensor y)
    {
        _map.Check(y);
        using DisposeScope scope = NewDisposeScope();
        Tensor velocities = y.narrow(-1, Positions, Positions);
        return cat([velocities, _acceleration.call(t, y)], -1).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public DynamicsEvaluator? CreateEvaluator(Tensor state) => _map.CreateEvaluator(state, null);
}
