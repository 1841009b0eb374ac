using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Core.Tests.Kernels;

/// <summary>
/// The arithmetic of a step on states of less than a block and of several, against torch and with every number of threads.
/// </summary>
public class StateKernelsTests
{
    [Theory]
    [InlineData(3)]
    [InlineData(32768)]
    [InlineData(32769)]
    [InlineData(300_007)]
    public void Large_states_are_combined_and_measured_alike_by_any_number_of_threads(int size)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor y0 = randn(size), y1 = randn(size);
        Tensor[] k = [randn(size), randn(size), randn(size)];
        double[] c = [0.5, 0, -2];
        Tensor error = c[0] * k[0] + c[2] * k[2];
        Tensor ratio = (error / (0.1 + 0.01 * maximum(y0.abs(), y1.abs()))).to(ScalarType.Float64);
        int before = get_num_threads();
        var results = new List<(Tensor Sum, double Squares, double Maximum)>();
        try
        {
            foreach (int threads in new[] { 1, 2, 5 })
            {
                set_num_threads(threads);
                Tensor sum = empty(size), alone = empty(size);
                StateKernels.Combine(sum, y0, c, k, 1);
                StateKernels.Combine(alone, null, c, k, 1);
                ((alone + y0 - sum).abs().max()).ToDouble().Should().BeLessThan(1e-5);
                double[] squares = [0], largest = [0];
                StateKernels.ScaledError(squares, y0, y1, c, k, 0.01, 0.1, maximum: false);
                StateKernels.ScaledError(largest, y0, y1, c, k, 0.01, 0.1, maximum: true);
                results.Add((sum, squares[0], largest[0]));
            }
        }
        finally
        {
            set_num_threads(before);
        }
        (results[0].Sum - (y0 + error)).abs().max().ToDouble().Should().BeLessThan(1e-5);
        double expected = ratio.square().sum().ToDouble();
        results[0].Squares.Should().BeApproximately(expected, 1e-5 * expected);
        results[0].Maximum.Should().BeApproximately(ratio.abs().max().ToDouble(), 1e-5 * results[0].Maximum);
        foreach ((Tensor sum, double squares, double largest) in results)
        {
            sum.bytes.SequenceEqual(results[0].Sum.bytes).Should().BeTrue();
            squares.Should().Be(results[0].Squares);
            largest.Should().Be(results[0].Maximum);
        }
    }

    [Fact]
    public void An_error_that_is_no_number_is_seen_in_any_block()
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (long place in new long[] { 0, 40_000, 99_999 })
        {
            Tensor y = randn(100_000), k = randn(100_000);
            k[place] = double.NaN;
            foreach (bool maximum in new[] { false, true })
            {
                double[] result = [0];
                StateKernels.ScaledError(result, y, y, [1.0], [k], 0.1, 0.1, maximum);
                result[0].Should().Be(double.NaN);
            }
        }
    }
}
