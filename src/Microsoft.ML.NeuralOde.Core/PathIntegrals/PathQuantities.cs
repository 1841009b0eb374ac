namespace Microsoft.ML.NeuralOde.PathIntegrals;

/// <summary>What is integrated along a path besides the state, in this order.</summary>
[Flags]
internal enum PathQuantities
{
    None = 0,

    /// <summary>tr ∂f/∂y.</summary>
    Divergence = 1,

    /// <summary>‖f‖².</summary>
    KineticEnergy = 2,

    /// <summary>‖∂f/∂y‖²_F.</summary>
    JacobianNorm = 4,
}

/// <summary>What a path rate is to compute.</summary>
/// <param name="Quantities">What is integrated.</param>
/// <param name="Trace">How trace and norm of the Jacobian are computed; not <see cref="TraceEstimator.Auto"/>.</param>
/// <param name="Condition">The conditioning vectors, shape <c>[batch, conditions]</c>; null for none.</param>
/// <param name="PerRow">Whether rows may leave the batch during the solve.</param>
internal sealed record PathRequest(PathQuantities Quantities, TraceEstimator Trace, Tensor? Condition, bool PerRow)
{
    public bool Has(PathQuantities quantity) => (Quantities & quantity) != 0;

    /// <summary>Whether the Jacobian matters.</summary>
    public bool NeedsJacobian => Has(PathQuantities.Divergence | PathQuantities.JacobianNorm);

    /// <summary>Number of quantities.</summary>
    public int Count => System.Numerics.BitOperations.PopCount((uint)Quantities);
}
