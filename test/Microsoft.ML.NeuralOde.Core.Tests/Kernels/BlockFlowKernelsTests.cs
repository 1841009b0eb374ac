using System.Numerics;
using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Core.Tests.Kernels;

/// <summary>
/// Steps z ↦ exp(M) z + φ₁(M) c of block-diagonal matrices, written out by a long Taylor series of one block after the other; blocks stand
/// side by side in registers of 16, 8, 4 and 1 numbers.
/// </summary>
public class BlockFlowKernelsTests
{
    public static TheoryData<int, int> Sizes
    {
        get
        {
            var data = new TheoryData<int, int>();
            foreach (int block in (int[])[1, 2, 3, 5])
                foreach (int blocks in (int[])[1, 3, 4, 8, 15, 16, 17, 31, 45])
                    data.Add(block, blocks);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void The_norm_is_the_largest_sum_of_absolute_values_in_a_row(int block, int blocks)
    {
        Check<float>(block, blocks, 1e-5);
        Check<double>(block, blocks, 1e-13);

        static unsafe void Check<T>(int block, int blocks, double tolerance)
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
        {
            (T[] matrix, double[][,] dense) = Draw<T>(block, blocks, 1);
            double expected = dense.Max(one => Enumerable.Range(0, block).Max(i => Enumerable.Range(0, block).Sum(j => Math.Abs(one[i, j]))));
            fixed (T* start = matrix)
            {
                BlockFlowKernels<T>.Norm(start, block, blocks).Should().BeApproximately(expected, tolerance * expected);
                // Each number is looked at, and NaN in any of them is the answer.
                for (int i = 0; i < matrix.Length; i++)
                {
                    T before = matrix[i];
                    matrix[i] = T.CreateTruncating(-1000);
                    BlockFlowKernels<T>.Norm(start, block, blocks).Should().BeGreaterThanOrEqualTo(999);
                    matrix[i] = T.NaN;
                    double.IsNaN(BlockFlowKernels<T>.Norm(start, block, blocks)).Should().BeTrue();
                    matrix[i] = before;
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Steps_are_those_of_the_exponential_series(int block, int blocks)
    {
        // Sizes of M for which few terms, many, and several parts are needed.
        foreach (double size in (double[])[1e-3, 0.3, 1, 4])
        {
            Check<float>(block, blocks, size, 1e-5);
            Check<double>(block, blocks, size, 1e-13);
        }

        static unsafe void Check<T>(int block, int blocks, double size, double tolerance)
            where T : unmanaged, IBinaryFloatingPointIeee754<T>
        {
            (T[] matrix, double[][,] dense) = Draw<T>(block, blocks, size);
            var random = new Random(2);
            T[] input = [.. Enumerable.Range(0, block * blocks).Select(_ => T.CreateTruncating(random.NextDouble() - 0.5))];
            T[] from = [.. Enumerable.Range(0, block * blocks).Select(_ => T.CreateTruncating(random.NextDouble() - 0.5))];
            fixed (T* m = matrix, c = input, z = from)
                foreach (bool hasInput in (bool[])[true, false])
                {
                    double norm = BlockFlowKernels<T>.Norm(m, block, blocks);
                    var scratch = new T[BlockFlowKernels<T>.ScratchSize(block, BlockFlowKernels<T>.Parts(norm))];
                    var to = new T[block * blocks];
                    fixed (T* memory = scratch, target = to)
                        BlockFlowKernels<T>.Forward(m, hasInput ? c : null, z, target, block, blocks, norm, memory);
                    for (int n = 0; n < blocks; n++)
                    {
                        double[] expected = Series(dense[n], Of(from, n), hasInput ? Of(input, n) : new double[block]);
                        for (int i = 0; i < block; i++)
                            double.CreateTruncating(to[i * blocks + n]).Should()
                                .BeApproximately(expected[i], tolerance * Math.Exp(norm), $"block {n}, size {size}, input {hasInput}");
                    }

                    double[] Of(T[] vectors, int n) => [.. Enumerable.Range(0, block).Select(i => double.CreateTruncating(vectors[i * blocks + n]))];
                }
        }
    }

    /// <summary>z + Σ (Mᵏ z + Mᵏ⁻¹ c) / k!.</summary>
    private static double[] Series(double[,] m, double[] z, double[] c)
    {
        int size = z.Length;
        double[] sum = [.. z], power = [.. z];
        for (int k = 1; k < 80; k++)
        {
            double[] before = power;
            power = [.. Enumerable.Range(0, size).Select(i =>
                (Enumerable.Range(0, size).Sum(j => m[i, j] * before[j]) + (k == 1 ? c[i] : 0)) / k)];
            for (int i = 0; i < size; i++)
                sum[i] += power[i];
        }
        return sum;
    }

    /// <summary>Blocks at random, in the order of the kernels and one after the other.</summary>
    private static (T[] Packed, double[][,] Dense) Draw<T>(int block, int blocks, double size)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var random = new Random(1);
        var packed = new T[block * block * blocks];
        double[][,] dense = [.. Enumerable.Range(0, blocks).Select(_ => new double[block, block])];
        for (int i = 0; i < block; i++)
            for (int j = 0; j < block; j++)
                for (int n = 0; n < blocks; n++)
                {
                    T value = T.CreateTruncating(size * (2 * random.NextDouble() - 1));
                    packed[(i * block + j) * blocks + n] = value;
                    dense[n][i, j] = double.CreateTruncating(value);
                }
        return (packed, dense);
    }
}
