using Microsoft.ML.NeuralOde.Kernels;

namespace Microsoft.ML.NeuralOde.Core.Tests.Kernels;

/// <summary>
/// The arithmetic of a step at every length around the width of a vector register and of four, against plain loops in float64.
/// </summary>
public class LaneTests
{
    public static TheoryData<ScalarType, int> Cases => new()
    {
        { ScalarType.Float32, 1 }, { ScalarType.Float32, 3 }, { ScalarType.Float64, 1 }, { ScalarType.Float64, 2 },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Sums_errors_and_finiteness_are_right_at_every_length(ScalarType type, int lanes)
    {
        using DisposeScope scope = NewDisposeScope();
        double tolerance = type == ScalarType.Float32 ? 1e-5 : 1e-13;
        // Four registers of float32 under AVX-512 are 64 numbers.
        for (int width = 1; width <= 2 * 64 + 1; width++)
        {
            double[] y0 = Values(1), y1 = Values(2);
            double[][] k = [Values(3), Values(4), Values(5)];
            // One set of coefficients a lane; a zero leaves its derivative out.
            double[] c = [.. Enumerable.Range(0, 3 * lanes).Select(i => i % 3 == 1 ? 0 : 0.5 - i)];
            Tensor[] derivatives = Array.ConvertAll(k, Of);
            // What has no weight is not read.
            derivatives[1].fill_(double.NaN);
            Tensor sum = Of(new double[width * lanes]), alone = Of(new double[width * lanes]);
            StateKernels.Combine(sum, Of(y0), c, derivatives, lanes);
            StateKernels.Combine(alone, null, c, derivatives, lanes);
            double[] squares = new double[lanes], largest = new double[lanes];
            StateKernels.ScaledError(squares, Of(y0), Of(y1), c, derivatives, 0.01, 0.1, maximum: false);
            StateKernels.ScaledError(largest, Of(y0), Of(y1), c, derivatives, 0.01, 0.1, maximum: true);

            double[] sums = Numbers(sum), alones = Numbers(alone);
            for (int lane = 0; lane < lanes; lane++)
            {
                double square = 0, most = 0;
                for (int i = lane * width; i < (lane + 1) * width; i++)
                {
                    double e = c[3 * lane] * k[0][i] + c[3 * lane + 2] * k[2][i];
                    double ratio = Math.Abs(e / (0.1 + 0.01 * Math.Max(Math.Abs(y0[i]), Math.Abs(y1[i]))));
                    (square, most) = (square + ratio * ratio, Math.Max(most, ratio));
                    alones[i].Should().BeApproximately(e, tolerance * 10, $"number {i} of {width}");
                    sums[i].Should().BeApproximately(y0[i] + e, tolerance * 10, $"number {i} of {width}");
                }
                squares[lane].Should().BeApproximately(square, tolerance * square, $"lane {lane}, {width} numbers");
                largest[lane].Should().BeApproximately(most, tolerance * most, $"lane {lane}, {width} numbers");
            }

            StateKernels.IsFinite(sum).Should().BeTrue();
            foreach (int place in new[] { 0, width / 2, width * lanes - 1 })
                foreach (double bad in new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity })
                {
                    double[] spoiled = [.. y0];
                    spoiled[place] = bad;
                    StateKernels.IsFinite(Of(spoiled)).Should().BeFalse($"number {place} of {width} is {bad}");
                }

            double[] Values(int seed)
            {
                var random = new Random(seed + 10 * width);
                return [.. Enumerable.Range(0, width * lanes).Select(_ => Math.Round(4 * random.NextDouble() - 2, 4))];
            }
        }

        Tensor Of(double[] values) => tensor(values, dtype: type);

        static double[] Numbers(Tensor values) => values.to(ScalarType.Float64).data<double>().ToArray();
    }

    [Fact]
    public void The_largest_error_may_stand_anywhere()
    {
        using DisposeScope scope = NewDisposeScope();
        for (int width = 1; width <= 35; width++)
            for (int place = 0; place < width; place++)
            {
                Tensor y = zeros(width), k = full([width], 0.5f);
                k[place] = -3;
                double[] result = [0];
                StateKernels.ScaledError(result, y, y, [1.0], [k], 0, 2, maximum: true);
                result[0].Should().Be(1.5);
                StateKernels.ScaledError(result, y, y, [1.0], [k], 0, 2, maximum: false);
                result[0].Should().BeApproximately(2.25 + 0.0625 * (width - 1), 1e-6);
            }
    }

    [Fact]
    public void The_larger_of_both_ends_scales_the_relative_tolerance()
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (int width in new[] { 1, 40 })
            foreach ((float before, float after) in new[] { (4f, -1f), (-4f, 1f), (1f, 4f), (-1f, -4f) })
            {
                double[] result = [0];
                StateKernels.ScaledError(result, full([width], before), full([width], after), [1.0], [ones(width)], 0.5, 0, maximum: true);
                result[0].Should().Be(0.5);
            }
    }

    [Fact]
    public void Marked_lanes_are_copied_whole_and_the_others_left()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor target = zeros(3, 5), source = ones(3, 5);
        StateKernels.CopyLanes(target, source, [true, false, true]);
        target.data<float>().ToArray().Should().Equal(1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1);
    }
}
