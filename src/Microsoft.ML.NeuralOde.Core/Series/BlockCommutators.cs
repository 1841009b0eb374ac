namespace Microsoft.ML.NeuralOde.Series;

/// <summary>The matrices that log-signatures are multiplied with.</summary>
internal static class BlockCommutators
{
    /// <summary>The blocks of each channel and, at depth 2, the commutators [Aⱼ, Aᵢ] of each pair i &lt; j, one row each.</summary>
    /// <param name="matrices">Aᵢ, shape <c>[channels, block, block, blocks]</c>.</param>
    /// <param name="inputs">bᵢ, shape <c>[channels, block, blocks]</c>; null for none.</param>
    /// <param name="depth">1 or 2.</param>
    /// <returns>Shape <c>[features, (block + 1) · width]</c>, or <c>[features, block · width]</c> without inputs, which come
    /// last.</returns>
    public static Tensor Extend(Tensor matrices, Tensor? inputs, int depth)
    {
        long channels = matrices.size(0), block = matrices.size(1), blocks = matrices.size(3);
        Tensor all = inputs is null ? matrices : cat([matrices, inputs.unsqueeze(2)], 2);
        if (depth == 2 && channels > 1)
        {
            // With the input as one more column of Aᵢ, and a row of zeros, a block is the matrix of an affine map.
            long columns = all.size(2);
            Tensor left = matrices.permute(3, 0, 1, 2).unsqueeze(2);
            Tensor right = all.permute(3, 0, 1, 2).unsqueeze(1);
            Tensor products = left.matmul(right);
            Tensor brackets = (products.transpose(1, 2) - products).reshape(blocks, channels * channels, block, columns);
            all = cat([all, brackets.index_select(1, LogSignature.Pairs(channels, all.device)).permute(1, 2, 3, 0)], 0);
        }
        Tensor flat = all.narrow(2, 0, block).reshape(all.size(0), block * block * blocks);
        return inputs is null ? flat : cat([flat, all.narrow(2, block, 1).reshape(all.size(0), block * blocks)], 1);
    }
}
