using Microsoft.ML.NeuralOde.Dynamics;
using Microsoft.ML.NeuralOde.Stepping;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A Hamiltonian system whose energy H is a learned network: the state's last dimension holds positions q in its first half and momenta p
/// in its second, q′ = ∂H/∂p and p′ = −∂H/∂q (S. Greydanus, M. Dzamba, J. Yosinski, Hamiltonian Neural Networks, 2019). H stays the same
/// along every solution, volumes too.
/// </summary>
/// <remarks>
/// A solver keeps the energy only as far as it is accurate, but for symplectic methods, whose error in the energy does not grow with time:
/// <see cref="OdeMethod.Leapfrog"/> for separable energies T(p) + V(q), <see cref="OdeMethod.ImplicitMidpoint"/>,
/// <see cref="OdeMethod.GaussLegendre4"/> and <see cref="OdeMethod.GaussLegendre6"/> for all. Parameters: <c>weight0</c>, <c>bias0</c>, …,
/// without a last bias, for separable energies with <c>kinetic_</c> and <c>potential_</c> before the names.
/// </remarks>
public sealed class HamiltonianDynamics : Module<Tensor, Tensor, Tensor>, IAnalyticDynamics, IClosedDynamics, ISecondOrderSystem
{
    private readonly EnergyNetwork? _energy;
    private readonly EnergyNetwork? _kinetic;
    private readonly EnergyNetwork? _potential;

    /// <summary>Creates dynamics with random parameters.</summary>
    /// <param name="positions">Number of positions, half the size of the state.</param>
    /// <param name="hidden">Sizes of the hidden layers of the energy, at least one; null for one of the state's size.</param>
    /// <param name="activation">The non-linearity after each hidden layer; a smooth one, since forces are its derivatives.</param>
    /// <param name="isSeparable">Whether the energy is T(p) + V(q), a network each.</param>
    /// <exception cref="ArgumentException">A size is not positive, there is no hidden layer, or the activation has kinks.</exception>
    public HamiltonianDynamics(
        long positions, IReadOnlyList<long>? hidden = null, Activation activation = Activation.Tanh, bool isSeparable = false)
        : base(nameof(HamiltonianDynamics))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(positions);
        hidden ??= [2 * positions];
        if (hidden.Count == 0)
            throw new ArgumentException(
                "The energy has no hidden layer; without one it is linear, and no force depends on the state.", nameof(hidden));
        foreach (long size in hidden)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size, nameof(hidden));
        if (!Enum.IsDefined(activation) || activation == Activation.Relu)
            throw new ArgumentOutOfRangeException(
                nameof(activation), activation,
                "The activation of an energy must be a smooth one, such as Activation.Tanh: forces are its derivatives.");
        Positions = positions;
        Hidden = [.. hidden];
        Activation = activation;
        IsSeparable = isSeparable;
        if (isSeparable)
        {
            _kinetic = new EnergyNetwork(this, "kinetic_", positions, Hidden, activation);
            _potential = new EnergyNetwork(this, "potential_", positions, Hidden, activation);
        }
        else
        {
            _energy = new EnergyNetwork(this, "", 2 * positions, Hidden, activation);
        }
    }

    /// <summary>Number of positions, half the size of the state.</summary>
    public long Positions { get; }

    /// <summary>Sizes of the hidden layers of the energy.</summary>
    public IReadOnlyList<long> Hidden { get; }

    /// <summary>The non-linearity after each hidden layer.</summary>
    public Activation Activation { get; }

    /// <summary>Whether the energy is T(p) + V(q).</summary>
    public bool IsSeparable { get; }

    string? ISecondOrderSystem.WhyNotLeapfrog => IsSeparable ? null
        : "The energy of these Hamiltonian dynamics is not of the form T(p) + V(q), and updating positions and momenta in turn would "
            + "neither solve their equation to the method's order nor keep the energy. Use HamiltonianDynamics with isSeparable: true, or a "
            + "method that is symplectic for all energies, such as OdeMethod.ImplicitMidpoint or OdeMethod.GaussLegendre4";

    /// <summary>The energy's layers.</summary>
    /// <returns>For instance “HamiltonianDynamics(2 positions; hidden 16; Tanh; separable)”.</returns>
    public override string ToString() =>
        $"{nameof(HamiltonianDynamics)}({Positions} positions; hidden {string.Join(", ", Hidden)}; {Activation}"
        + $"{(IsSeparable ? "; separable" : "")})";

    /// <summary>The energy.</summary>
    /// <param name="y">Positions, then momenta, shape <c>[batch, 2 positions]</c>.</param>
    /// <returns>H of each row, shape <c>[batch]</c>; only differences mean anything.</returns>
    /// <exception cref="ArgumentException">The state's width, type or device is not that of the dynamics.</exception>
    public Tensor Energy(Tensor y)
    {
        Check(y);
        using DisposeScope scope = NewDisposeScope();
        Tensor energy = _energy is not null ? _energy.Value(y)
            : _kinetic!.Value(Half(y, 1)).Plus(_potential!.Value(Half(y, 0)));
        return energy.MoveToOuterDisposeScope();
    }

    /// <summary>The derivatives of positions and momenta.</summary>
    /// <param name="t">Time, on which the energy does not depend.</param>
    /// <param name="y">Positions, then momenta, shape <c>[batch, 2 positions]</c>.</param>
    /// <returns>∂H/∂p, then −∂H/∂q, in the same shape.</returns>
    /// <exception cref="ArgumentException">The state's width, type or device is not that of the dynamics.</exception>
    public override Tensor forward(Tensor t, Tensor y)
    {
        Check(y);
        using DisposeScope scope = NewDisposeScope();
        return Turn(_energy is not null ? _energy.Gradient(y) : Join(_potential!.Gradient(Half(y, 0)), _kinetic!.Gradient(Half(y, 1))))
            .MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public DynamicsEvaluator? CreateEvaluator(Tensor state)
    {
        Inputs.RequireAlive(state, nameof(state), "The state");
        return state.dim() == 2 && state.shape[1] == 2 * Positions && state.dtype == FirstWeight.dtype && !state.is_complex()
            ? new HamiltonianEvaluator(this) : null;
    }

    internal IReadOnlyList<EnergyNetwork> Networks => _energy is not null ? [_energy] : [_potential!, _kinetic!];

    /// <summary>The parts of a state that the <see cref="Networks"/> take.</summary>
    internal Tensor[] Split(Tensor state) => IsSeparable ? [Half(state, 0), Half(state, 1)] : [state];

    /// <summary>(∂H/∂q, ∂H/∂p) ↦ (∂H/∂p, −∂H/∂q).</summary>
    internal static Tensor Turn(Tensor gradient) => Join(Half(gradient, 1), Half(gradient, 0).neg());

    internal static Tensor Join(Tensor first, Tensor second) => cat([first, second], -1);

    private TorchSharp.Modules.Parameter FirstWeight => Networks[0].Weight(0);

    private static Tensor Half(Tensor state, long index) => state.narrow(-1, index * (state.size(-1) / 2), state.size(-1) / 2);

    private void Check(Tensor y)
    {
        Inputs.RequireAlive(FirstWeight, nameof(HamiltonianDynamics), "A weight of the dynamics");
        Inputs.RequireAlive(y, nameof(y), "The state");
        if (y.dim() == 0 || y.size(-1) != 2 * Positions)
            throw new ArgumentException(
                $"The state has shape [{string.Join(", ", y.shape)}]; these dynamics need [batch, {2 * Positions}]: {Positions} positions, "
                + "then as many momenta.", nameof(y));
        Inputs.RequireLike(y, FirstWeight, nameof(y));
    }
}
