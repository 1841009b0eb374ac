using Microsoft.ML.NeuralOde.Paths;
using Microsoft.ML.NeuralOde.Series;

namespace Microsoft.ML.NeuralOde;

/// <summary>
/// A linear controlled differential equation dz = Σᵢ (Aᵢ z + bᵢ) dXⁱ with block-diagonal matrices Aᵢ (B. Walker, L. Yang, N. Muca Cirone,
/// C. Salvi, T. Lyons, Structured linear CDEs, 2025): as expressive as a non-linear one and solved without a solver.
/// </summary>
/// <remarks>
/// On a straight piece the flow is exact, z ↦ exp(M) z + φ₁(M) Σᵢ bᵢ ΔXⁱ with M = Σᵢ Aᵢ ΔXⁱ. Over a window of several pieces M is the
/// logarithm of the flow up to commutators of depth 1 or 2: Σᵢ Aᵢ ΔXⁱ + Σᵢ﹤ⱼ [Aⱼ, Aᵢ] Lᵢⱼ with the Lévy areas L of the window. Cubic pieces
/// enter by their increments. Parameters: <c>matrices</c> of shape <c>[channels, block, block, blocks]</c>, <c>inputs</c> of shape
/// <c>[channels, block, blocks]</c>, <c>initial_weight</c> and <c>initial_bias</c>; component j of block n of the state is z[j · blocks +
/// n]. Of the work between the states nothing is kept for the way back, however many knots there are.
/// </remarks>
public sealed class LinearCde : ControlledEquation
{
    private readonly bool _affine;

    /// <summary>Creates an equation with random parameters.</summary>
    /// <param name="channels">The number of channels of the path, with time and counts.</param>
    /// <param name="width">The size of the state, a multiple of the block size.</param>
    /// <param name="blockSize">The size of the blocks: 1 for diagonal matrices, which is too few for most data; the width for dense
    /// ones.</param>
    /// <param name="depth">1, or 2 to take areas between channels within a window into account.</param>
    /// <param name="window">The number of pieces of the path that are taken at once.</param>
    /// <param name="affine">Whether there are inputs bᵢ.</param>
    /// <exception cref="ArgumentException">A number makes no sense; the message says which and what would.</exception>
    public LinearCde(long channels, long width, int blockSize = 4, int depth = 1, int window = 1, bool affine = true)
        : base(nameof(LinearCde), channels, width, window)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(blockSize);
        if (width % blockSize != 0)
            throw new ArgumentException($"The width is {width}; it must be a multiple of the block size, {blockSize}.", nameof(width));
        if (depth is not (1 or 2))
            throw new ArgumentOutOfRangeException(nameof(depth), depth, "The depth must be 1 or 2.");
        (BlockSize, Depth) = (blockSize, depth);
        long blocks = width / blockSize;
        double scale = 1 / Math.Sqrt(blockSize * channels);
        _affine = affine;
        Dynamics.ModuleParameters.Own(this, "matrices", () => Normal([channels, blockSize, blockSize, blocks], scale));
        if (affine)
            Dynamics.ModuleParameters.Own(this, "inputs", () => Normal([channels, blockSize, blocks], 1 / Math.Sqrt(channels)));
    }

    /// <summary>The size of the blocks.</summary>
    public int BlockSize { get; }

    /// <summary>1, or 2 with areas.</summary>
    public int Depth { get; }

    private protected override Tensor Solve(PathPieces pieces, Tensor initial, bool all)
    {
        Tensor features = LogSignature.Of(pieces.Increments(), Window, Depth);
        Tensor weights = BlockCommutators.Extend(get_parameter("matrices")!, _affine ? get_parameter("inputs") : null, Depth);
        Tensor states = BlockFlow.Run(initial, features.transpose(0, 1), weights, BlockSize, _affine);
        return all ? states.transpose(0, 1) : states.select(0, states.size(0) - 1);
    }

    private static Tensor Normal(long[] shape, double scale)
    {
        using Tensor values = Dynamics.ModuleParameters.Normal(shape);
        return values.Times(scale);
    }
}
