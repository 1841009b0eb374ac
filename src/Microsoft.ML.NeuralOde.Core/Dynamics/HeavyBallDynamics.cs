using Microsoft.ML.NeuralOde.Dynamics;
using Microsoft.ML.NeuralOde.Stepping;
using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A ball with mass that rolls in a learned field of forces, with friction: z″ = −γ z′ + f(z, t), where γ &gt; 0 is learned. The state's
/// last dimension holds positions z in its first half and velocities m in its second, z′ = m and m′ = −γ m + f (H. Xia, V. Suliafu, H. Ji,
/// T. M. Nguyen, A. L. Bertozzi, S. J. Osher, B. Wang, Heavy Ball Neural Ordinary Differential Equations, 2021).
/// </summary>
/// <remarks>
/// The friction keeps velocities from growing, so that the equation stays cheap to solve. Parameters: those of the force, under
/// <c>force.</c>, and <c>damping</c>, a number ω with γ = <see cref="MaximumDamping"/> σ(ω), σ the logistic function. ω begins at −3, as
/// in the paper.
/// </remarks>
public sealed class HeavyBallDynamics : Module<Tensor, Tensor, Tensor>, IAnalyticDynamics, IClosedDynamics
{
    private readonly DenseDynamics _force;
    private readonly HalvesMap _map;

    /// <summary>Creates dynamics whose force is a dense network of the positions, with random parameters.</summary>
    /// <param name="positions">Number of positions, half the size of the state.</param>
    /// <param name="hidden">Sizes of the hidden layers; null for one of the positions' size; empty for linear forces.</param>
    /// <param name="activation">The non-linearity after each hidden layer.</param>
    /// <param name="time">How time enters the force.</param>
    /// <param name="maximumDamping">What γ stays below.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size or the damping is not positive.</exception>
    public HeavyBallDynamics(
        long positions, IReadOnlyList<long>? hidden = null, Activation activation = Activation.Tanh,
        TimeDependence time = TimeDependence.Add,
        double maximumDamping = 1)
        : base(nameof(HeavyBallDynamics))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(positions);
        if (!(maximumDamping > 0) || !double.IsFinite(maximumDamping))
            throw new ArgumentOutOfRangeException(nameof(maximumDamping), maximumDamping, "The damping's bound must be a positive number.");
        Positions = positions;
        MaximumDamping = maximumDamping;
        _force = new DenseDynamics(positions, hidden, activation, time);
        register_module("force", _force);
        this.Own("damping", () => tensor(-3f));
        _map = new HalvesMap(this, _force, "force", positions, takesVelocities: false);
    }

    /// <summary>Number of positions, half the size of the state.</summary>
    public long Positions { get; }

    /// <summary>What the damping γ stays below.</summary>
    public double MaximumDamping { get; }

    /// <summary>γ as it is now.</summary>
    public double Damping
    {
        get
        {
            using DisposeScope scope = NewDisposeScope();
            return Gamma(RawDamping.detach()).ToDouble();
        }
    }

    internal DenseDynamics Force => _force;

    private Parameter RawDamping => get_parameter("damping")!;

    /// <summary>The network of the force.</summary>
    /// <returns>For instance “HeavyBallDynamics(2 positions; layers 2, 16, 2; Tanh; time Add)”.</returns>
    public override string ToString() => _map.Describe(nameof(HeavyBallDynamics));

    /// <summary>The derivatives of positions and velocities.</summary>
    /// <param name="t">Time: a scalar, or one number a row, shape <c>[batch, 1]</c>.</param>
    /// <param name="y">Positions, then velocities, shape <c>[batch, 2 positions]</c>.</param>
    /// <returns>Velocities, then accelerations, in the same shape.</returns>
    /// <exception cref="ArgumentException">The state's width, type or device is not that of the dynamics.</exception>
    public override Tensor forward(Tensor t, Tensor y)
    {
        _map.Check(y);
        using DisposeScope scope = NewDisposeScope();
        Tensor positions = y.narrow(-1, 0, Positions), velocities = y.narrow(-1, Positions, Positions);
        Tensor force = _force.call(t, positions);
        return cat([velocities, force - Gamma(RawDamping) * velocities], -1).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public DynamicsEvaluator? CreateEvaluator(Tensor state) => _map.CreateEvaluator(state, new LearnedDamping(RawDamping, MaximumDamping));

    private Tensor Gamma(Tensor raw) => raw.sigmoid().Times(MaximumDamping);
}
