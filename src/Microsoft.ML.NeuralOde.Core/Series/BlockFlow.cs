namespace Microsoft.ML.NeuralOde.Series;

/// <summary>The flow z ↦ exp(M) z + φ₁(M) c of block-diagonal matrices, step after step.</summary>
internal static class BlockFlow
{
    /// <summary>The states before and behind each step.</summary>
    /// <param name="initial">Shape <c>[batch, width]</c>; component j of block n is at j · blocks + n.</param>
    /// <param name="features">What M and c are made of, <c>[steps, batch, features]</c>.</param>
    /// <param name="weights">M and, in the last columns, c as linear maps of the features, see <see cref="BlockCommutators.Extend"/>.</param>
    /// <param name="block">The size of a block.</param>
    /// <param name="affine">Whether there is a c.</param>
    /// <returns>Shape <c>[steps + 1, batch, width]</c>.</returns>
    public static Tensor Run(Tensor initial, Tensor features, Tensor weights, int block, bool affine) =>
        Plain(initial, features, weights, block, affine);

    /// <summary>The same by operations of torch, on any device.</summary>
    internal static Tensor Plain(Tensor initial, Tensor features, Tensor weights, int block, bool affine)
    {
        long rows = initial.size(0), width = initial.size(1), steps = features.size(0), blocks = width / block;
        if (steps == 0)
            return initial.unsqueeze(0);
        Tensor made = features.matmul(weights);
        Tensor matrices = made.narrow(2, 0, block * width).reshape(steps, rows, block, block, blocks).permute(0, 1, 4, 2, 3);
        Tensor? last = null;
        if (affine)
        {
            Tensor column = made.narrow(2, block * width, width).reshape(steps, rows, block, 1, blocks).permute(0, 1, 4, 2, 3);
            matrices = cat([cat([matrices, column], 4), zeros([steps, rows, blocks, 1, block + 1], made.dtype, made.device)], 3);
        }
        Tensor flows = matrices.contiguous().matrix_exp();
        if (affine)
            last = flows.narrow(3, 0, block).narrow(4, block, 1);
        Tensor linear = flows.narrow(3, 0, block).narrow(4, 0, block);
        Tensor state = initial.reshape(rows, block, blocks).transpose(1, 2).unsqueeze(3);
        var states = new Tensor[steps + 1];
        states[0] = state;
        for (int k = 0; k < steps; k++)
        {
            state = linear[k].matmul(state);
            states[k + 1] = state = last is null ? state : state.Plus(last[k]);
        }
        return stack(states).squeeze(4).transpose(2, 3).reshape(steps + 1, rows, width);
    }
}
