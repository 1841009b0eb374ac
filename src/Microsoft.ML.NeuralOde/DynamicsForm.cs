namespace Microsoft.ML.NeuralOde;

/// <summary>What the layers of <see cref="NeuralOdePredictorOptions.DynamicsLayers"/> compute of an equation's right-hand side.</summary>
public enum DynamicsForm
{
    /// <summary>dy/dt itself, see <see cref="DenseDynamics"/>.</summary>
    FirstOrder,

    /// <summary>The acceleration of positions that have velocities beside them, see <see cref="SecondOrderDynamics"/>.</summary>
    SecondOrder,

    /// <summary>The force on positions that move with mass and friction, see <see cref="HeavyBallDynamics"/>.</summary>
    HeavyBall,

    /// <summary>The energy of positions and momenta, see <see cref="HamiltonianDynamics"/>.</summary>
    Hamiltonian,

    /// <summary>The energies of positions and of momenta, a network each, whose sum is the energy: symplectic methods keep it.</summary>
    SeparableHamiltonian,
}
