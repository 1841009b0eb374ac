using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>The flow z ↦ exp(M) z + φ₁(M) c of block-diagonal matrices, step after step.</summary>
/// <remarks>
/// On the CPU M and c of some steps at a time are made by one product of matrices, and used up by the kernels before the next are made, on
/// the way back once more: nothing is kept but the states.
/// </remarks>
internal static class BlockFlow
{
    /// <summary>Norms of M above it are a mistake: the exponential is no number any more.</summary>
    internal const double LargestNorm = 1000;

    /// <summary>The states before and behind each step.</summary>
    /// <param name="initial">Shape <c>[batch, width]</c>; component j of block n is at j · blocks + n.</param>
    /// <param name="features">What M and c are made of, <c>[steps, batch, features]</c>.</param>
    /// <param name="weights">M and, in the last columns, c as linear maps of the features, see
    /// <see cref="BlockCommutators.Extend"/>.</param>
    /// <param name="block">The size of a block.</param>
    /// <param name="affine">Whether there is a c.</param>
    /// <returns>Shape <c>[steps + 1, batch, width]</c>.</returns>
    /// <exception cref="OdeSolverException">M is not finite or absurdly large.</exception>
    public static Tensor Run(Tensor initial, Tensor features, Tensor weights, int block, bool affine)
    {
        if (features.size(0) == 0)
            return initial.unsqueeze(0);
        return StateKernels.Supports(initial)
            ? BlockFlowFunction.Run(initial, features, weights, block, affine)
            : Plain(initial, features, weights, block, affine);
    }

    /// <summary>The same by operations of torch, on any device.</summary>
    internal static Tensor Plain(Tensor initial, Tensor features, Tensor weights, int block, bool affine)
    {
        long rows = initial.size(0), width = initial.size(1), steps = features.size(0), blocks = width / block;
        Tensor made = features.matmul(weights);
        Tensor matrices = made.narrow(2, 0, block * width).reshape(steps, rows, block, block, blocks).permute(0, 1, 4, 2, 3);
        Require(matrices.detach().abs().sum(-1).max().ToDouble());
        if (affine)
        {
            Tensor column = made.narrow(2, block * width, width).reshape(steps, rows, block, 1, blocks).permute(0, 1, 4, 2, 3);
            matrices = cat([cat([matrices, column], 4), zeros([steps, rows, blocks, 1, block + 1], made.dtype, made.device)], 3);
        }
        Tensor flows = MatrixExponential.Of(matrices);
        Tensor? last = affine ? flows.narrow(3, 0, block).narrow(4, block, 1) : null;
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

    /// <exception cref="OdeSolverException">The norm of a matrix is too large.</exception>
    internal static void Require(double norm)
    {
        if (!(norm <= LargestNorm))
            throw new OdeSolverException(
                SolverFailure.NonFinite, double.NaN, double.NaN, double.NaN, [],
                $"The matrix of a linear controlled equation has the norm {OptionText.Of(norm)} on a piece of the path, whose exponential is no "
                + "number. Scale the values and times so that their changes are about 1, or lower the learning rate.");
    }
}

/// <summary>The kernels over chunks of steps.</summary>
/// <param name="block">The size of a block.</param>
/// <param name="width">The size of a state.</param>
/// <param name="rows">Rows of the batch.</param>
/// <param name="steps">How many steps.</param>
/// <param name="affine">Whether there is a c.</param>
internal sealed unsafe class BlockFlowSteps<T>(int block, nint width, nint rows, nint steps, bool affine)
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Numbers of a chunk, which should stay in a core's cache between its making and its use.</summary>
    private const nint ChunkSize = 256 * 1024;

    private readonly nint _columns = (block + (affine ? 1 : 0)) * width;

    /// <summary>Rows that a thread takes at a time.</summary>
    private const nint RowsOfThread = 2;

    private nint Chunk => Math.Clamp(ChunkSize / (_columns * rows), 1, steps);

    public void Forward(Tensor states, Tensor features, Tensor weights)
    {
        T* all = (T*)StateKernels.Address(states);
        for (nint start = 0; start < steps; start += Chunk)
        {
            using DisposeScope scope = NewDisposeScope();
            nint count = Math.Min(Chunk, steps - start);
            nint first = start;
            T* made = Made(features, weights, first, count);
            double largest = 0;
            object sync = this;
            Run(count, (row, scratch) =>
            {
                double most = 0;
                for (nint k = 0; k < count; k++)
                {
                    T* matrix = made + (((k * rows) + row) * _columns);
                    T* from = all + ((((first + k) * rows) + row) * width);
                    double norm = BlockFlowKernels<T>.Norm(matrix, block, width / block);
                    most = Math.Max(most, norm);
                    if (!(norm <= BlockFlow.LargestNorm))
                        break;
                    BlockFlowKernels<T>.Forward(
                        matrix, Input(matrix), from, from + (rows * width), block, width / block, norm, Scratch(scratch, norm));
                }
                lock (sync)
                    largest = Math.Max(largest, most);
            });
            BlockFlow.Require(largest);
        }
    }

    /// <summary>The derivatives with respect to the initial state, the features and the weights.</summary>
    public (Tensor Initial, Tensor? Features, Tensor Weights) Backward(
        Tensor gradient, Tensor states, Tensor features, Tensor weights, bool wantsFeatures)
    {
        Tensor carried = gradient.select(0, steps).clone();
        Tensor weightSum = zeros_like(weights);
        Tensor? featureGradient = wantsFeatures ? empty_like(features) : null;
        T* all = (T*)StateKernels.Address(states);
        T* given = (T*)StateKernels.Address(gradient);
        T* own = (T*)StateKernels.Address(carried);
        nint chunk = Chunk;
        for (nint start = (steps - 1) / chunk * chunk; start >= 0; start -= chunk)
        {
            using DisposeScope scope = NewDisposeScope();
            nint count = Math.Min(chunk, steps - start);
            nint first = start;
            Tensor part = Part(features, first, count);
            Tensor product = part.mm(weights);
            T* made = (T*)StateKernels.Address(product);
            Run(count, (row, scratch) =>
            {
                T* gradientOfRow = own + (row * width);
                for (nint k = count - 1; k >= 0; k--)
                {
                    T* matrix = made + (((k * rows) + row) * _columns);
                    nint place = (((first + k) * rows) + row) * width;
                    double norm = BlockFlowKernels<T>.Norm(matrix, block, width / block);
                    BlockFlowKernels<T>.Backward(
                        matrix, Input(matrix), all + place, gradientOfRow, block, width / block, norm, Scratch(scratch, norm));
                    for (nint i = 0; i < width; i++)
                        gradientOfRow[i] += given[place + i];
                }
            });
            weightSum.addmm_(part.t(), product, 1, 1);
            featureGradient?.narrow(0, first, count).view(count * rows, -1).copy_(product.mm(weights.t()));
        }
        return (carried, featureGradient, weightSum);
    }

    private T* Input(T* matrix) => affine ? matrix + (block * width) : null;

    private T* Made(Tensor features, Tensor weights, nint start, nint count) =>
        (T*)StateKernels.Address(Part(features, start, count).mm(weights));

    private Tensor Part(Tensor features, nint start, nint count) => features.narrow(0, start, count).view(count * rows, -1);

    private void Run(nint count, RowBody body)
    {
        int workers = RowBlocks.Workers(rows, RowsOfThread, 40.0 * rows * count * _columns);
        Scratch<T>[] memory = [.. Enumerable.Range(0, workers).Select(_ => new Scratch<T>())];
        RowBlocks.Run(workers, rows, RowsOfThread, (worker, start, length) =>
        {
            for (nint row = start; row < start + length; row++)
                body(row, memory[worker]);
        });
    }

    private T* Scratch(Scratch<T> memory, double norm) =>
        memory.Ensure(BlockFlowKernels<T>.ScratchSize(block, BlockFlowKernels<T>.Parts(norm)));

    private delegate void RowBody(nint row, Scratch<T> scratch);
}
