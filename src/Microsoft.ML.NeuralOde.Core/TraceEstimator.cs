using System.Globalization;

namespace Microsoft.ML.NeuralOde;

/// <summary>How the random vectors of Hutchinson's estimator are distributed.</summary>
public enum ProbeDistribution
{
    /// <summary>Each component ±1 with equal probability: the smallest variance there is.</summary>
    Rademacher,

    /// <summary>Each component standard normal.</summary>
    Gaussian,
}

/// <summary>How the trace of ∂f/∂y, the divergence of the dynamics, is computed.</summary>
public sealed record TraceEstimator
{
    /// <summary>Up to this many features the exact trace costs about as much as an estimate.</summary>
    internal const long SmallDimension = 4;

    private TraceEstimator(bool isExact, int probes, ProbeDistribution distribution)
    {
        IsExact = isExact;
        Probes = probes;
        Distribution = distribution;
    }

    /// <summary>
    /// Exact where it is cheap (up to 4 features; any number for <see cref="DenseDynamics"/> with at most two hidden layers) and whenever
    /// the model is in evaluation mode; else Hutchinson's estimator with one Rademacher probe.
    /// </summary>
    public static TraceEstimator Auto { get; } = new(false, 0, ProbeDistribution.Rademacher);

    /// <summary>
    /// The sum of ∂fᵢ/∂yᵢ: products with the weight matrices for <see cref="DenseDynamics"/>, one vector–Jacobian product a feature for
    /// others.
    /// </summary>
    public static TraceEstimator Exact { get; } = new(true, 0, ProbeDistribution.Rademacher);

    /// <summary>Whether the trace is exact.</summary>
    public bool IsExact { get; }

    /// <summary>Random vectors a solve; 0 where the trace is exact or the choice is automatic.</summary>
    public int Probes { get; }

    /// <summary>How the random vectors are distributed.</summary>
    public ProbeDistribution Distribution { get; }

    /// <summary>
    /// The mean of εᵀ (∂f/∂y) ε over random ε, unbiased at a cost that does not depend on the number of features (M. F. Hutchinson, 1990).
    /// The probes are the same throughout a solve, so that its right-hand side is smooth, and new in the next.
    /// </summary>
    /// <param name="probes">Number of random vectors a row; the variance falls with its inverse.</param>
    /// <param name="distribution">How they are distributed.</param>
    /// <returns>The estimator.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The number is not positive, or there is no such distribution.</exception>
    public static TraceEstimator Hutchinson(int probes = 1, ProbeDistribution distribution = ProbeDistribution.Rademacher)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(probes);
        if (!Enum.IsDefined(distribution))
            throw new ArgumentOutOfRangeException(nameof(distribution), distribution, "There is no such distribution.");
        return new TraceEstimator(false, probes, distribution);
    }

    /// <summary>Random vectors for a solve, shape <c>[probes, rows, features]</c>; the caller's.</summary>
    /// <param name="rows">Rows of the batch.</param>
    /// <param name="features">Numbers in a row.</param>
    /// <param name="like">A tensor of the type and on the device that they are to have.</param>
    internal Tensor Draw(long rows, long features, Tensor like)
    {
        long[] shape = [Probes, rows, features];
        if (Distribution == ProbeDistribution.Gaussian)
            return randn(shape, like.dtype, like.device).DetachFromDisposeScope();
        using Tensor bits = randint(0, 2, shape, like.dtype, like.device);
        using Tensor doubled = bits.Times(2);
        return doubled.Minus(1).DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public override string ToString() =>
        IsExact ? "exact"
        : Probes == 0 ? "auto" : string.Create(CultureInfo.InvariantCulture, $"Hutchinson with {Probes} {Distribution} probes");
}
