namespace Microsoft.ML.NeuralOde.Core.Tests.Paths;

public class ControlPathTests
{
    private const double Missing = double.NaN;

    public static TheoryData<PathInterpolation> All => [.. Enum.GetValues<PathInterpolation>()];

    public static TheoryData<PathInterpolation> Causal => [PathInterpolation.Rectilinear, PathInterpolation.HermiteCubic];

    [Theory]
    [MemberData(nameof(All))]
    public void A_path_goes_through_its_observations_with_time_and_counts_beside(PathInterpolation interpolation)
    {
        using DisposeScope scope = NewDisposeScope();
        SeriesBatch series = Series([0.5, 1, 3, 4], [[1, Missing], [2, 5], [Missing, 6], [0, 7]]);
        ControlPath path = ControlPath.Create(series, interpolation, time: true, counts: true);
        double[] at = path.Evaluate(tensor(new[] { 4.0 })).data<double>().ToArray();
        Far(at, 4, 0, 7, 3, 3).Should().BeLessThan(1e-12);
        Far(path.Evaluate(tensor(1.0)).data<double>().ToArray(), 1, 2, 5, 2, 1).Should().BeLessThan(1e-12);
        Far((path.Increments().sum(1) + path.Values.select(1, 0)).data<double>().ToArray(), at)
            .Should().BeLessThan(1e-12, "the increments lead from the first knot to the last");
        path.Knots.diff(1, 1).min().item<double>().Should().BeGreaterThanOrEqualTo(0);
    }

    [Fact]
    public void A_linear_path_fills_gaps_between_the_neighbours_in_time_and_holds_the_ends()
    {
        using DisposeScope scope = NewDisposeScope();
        ControlPath path = ControlPath.Linear(Series([0, 1, 4, 5], [[Missing], [2], [Missing], [6]]), time: false);
        path.Values.data<double>().ToArray().Should().Equal(2, 2, 5, 6);
        path.Evaluate(tensor(new[,] { { -1.0, 2.0, 9.0 } })).data<double>().ToArray().Should().Equal(2, 3, 6);
        path.Derivative(tensor(new[,] { { -1.0, 0.5, 1.0, 4.5, 9.0 } })).data<double>().ToArray().Should().Equal(0, 0, 1, 1, 0);
    }

    [Fact]
    public void A_rectilinear_path_holds_the_last_value_and_then_changes_it_while_time_stays()
    {
        using DisposeScope scope = NewDisposeScope();
        ControlPath path = ControlPath.Rectilinear(Series([0, 2, 3], [[Missing], [4], [5]]));
        path.Values.data<double>().ToArray().Should().Equal(0, 0, 2, 0, 2, 4, 3, 4, 3, 5);
        path.Knots.data<double>().ToArray().Should().Equal(0, 2, 2, 3, 3);
        path.Evaluate(tensor(new[,] { { 1.9, 2, 2.5, 3, 7 } })).select(2, 1).data<double>().ToArray().Should().Equal(0, 4, 4, 5, 5);
    }

    [Fact]
    public void Hermite_pieces_leave_with_the_slope_of_the_piece_before()
    {
        using DisposeScope scope = NewDisposeScope();
        ControlPath path = ControlPath.HermiteCubic(Series([0, 1, 3, 4], [[0], [2], [4], [9]]), time: false);
        double[] slopes = path.Derivative(tensor(new[,] { { 0, 1 - 1e-9, 1, 3 - 1e-9, 3, 4 } })).data<double>().ToArray();
        Far(slopes, 2, 2, 2, 1, 1, 5).Should().BeLessThan(1e-6);
    }

    [Fact]
    public void A_natural_spline_is_that_of_an_independent_solve_over_each_channels_own_observations()
    {
        using DisposeScope scope = NewDisposeScope();
        var random = new Random(3);
        double[] times = [0, 0.4, 1.1, 1.5, 2.6, 3, 3.3, 5];
        double[][] values = [.. times.Select((_, i) => new[] { random.NextDouble(), i is 1 or 4 or 5 ? Missing : random.NextDouble() })];
        ControlPath path = ControlPath.NaturalCubic(Series(times, values), time: false);
        for (int channel = 0; channel < 2; channel++)
        {
            int[] seen = [.. Enumerable.Range(0, times.Length).Where(i => !double.IsNaN(values[i][channel]))];
            Func<double, double> spline = NaturalSpline([.. seen.Select(i => times[i])], [.. seen.Select(i => values[i][channel])]);
            for (double t = 0; t < 5; t += 0.17)
                path.Evaluate(tensor(t))[0, channel].item<double>().Should().BeApproximately(spline(t), 1e-12);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Derivatives_are_those_of_finite_differences(PathInterpolation interpolation)
    {
        using DisposeScope scope = NewDisposeScope();
        ControlPath path = ControlPath.Create(Random(3, 9, 2, out _), interpolation, counts: true);
        const double H = 1e-6;
        Tensor times = (rand(3, 20, ScalarType.Float64) * (path.Knots.amax([1L], keepdim: true) - 0.1)) + 0.05;
        // Where a knot lies within the difference there is none to compare with.
        Tensor isNear = (times.unsqueeze(2) - path.Knots.unsqueeze(1)).abs().amin([2L]).lt(1e-4).unsqueeze(2);
        Tensor difference = (path.Evaluate(times + H) - path.Evaluate(times - H)) / (2 * H);
        (difference - path.Derivative(times)).masked_fill(isNear, 0).abs().max().item<double>().Should().BeLessThan(1e-6);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Gradients_to_values_and_times_are_those_of_finite_differences(PathInterpolation interpolation)
    {
        using DisposeScope scope = NewDisposeScope();
        SeriesBatch given = Random(2, 6, 2, out Tensor lengths);
        Tensor asked = rand(2, 7, ScalarType.Float64) * 3;
        Tensor weights = randn(2, 7, 5, ScalarType.Float64);
        Func<Tensor, Tensor, Tensor> loss = (values, times) =>
        {
            ControlPath path = ControlPath.Create(new SeriesBatch(values, times, lengths), interpolation, counts: true);
            return (path.Evaluate(asked) * weights).sum() + path.Increments().square().sum();
        };
        Tensor values = given.Values.clone().requires_grad_(), times = given.Times.clone().requires_grad_();
        loss(values, times).backward();
        foreach ((int row, int i, int channel) in new[] { (0, 2, 0), (0, 5, 1), (1, 1, 1), (1, 3, 0) })
        {
            Slope(values, v => loss(v, times.detach()), row, i, channel)
                .Should().BeApproximately(values.grad![row, i, channel].nan_to_num(0).item<double>(), 1e-6);
            Slope(times, t => loss(values.detach(), t), row, i).Should().BeApproximately(times.grad![row, i].item<double>(), 1e-6);
        }
    }

    [Theory]
    [MemberData(nameof(Causal))]
    public void Causal_paths_are_the_same_to_the_last_bit_up_to_a_change_of_the_data(PathInterpolation interpolation)
    {
        using DisposeScope scope = NewDisposeScope();
        SeriesBatch series = Random(2, 12, 3, out _);
        Tensor changed = series.Values.clone();
        changed.narrow(1, 7, 5).mul_(-3).add_(1);
        ControlPath one = ControlPath.Create(series, interpolation, counts: true),
            other = ControlPath.Create(new SeriesBatch(changed, series.Times), interpolation, counts: true);
        int knots = interpolation == PathInterpolation.Rectilinear ? 13 : 7;
        one.Increments().narrow(1, 0, knots - 1).Should().BeBits(other.Increments().narrow(1, 0, knots - 1));
        one.Values.narrow(1, 0, knots).Should().BeBits(other.Values.narrow(1, 0, knots));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Rows_do_not_depend_on_what_else_is_in_the_batch_nor_on_padding(PathInterpolation interpolation)
    {
        using DisposeScope scope = NewDisposeScope();
        SeriesBatch both = Random(2, 10, 2, out _);
        Tensor padded = cat([both.Values, full([2, 4, 2], double.PositiveInfinity, ScalarType.Float64)], 1);
        Tensor times = cat([both.Times, full([2, 4], double.NaN, ScalarType.Float64)], 1);
        ControlPath whole = ControlPath.Create(new SeriesBatch(padded, times, tensor(new long[] { 10, 6 })), interpolation);
        ControlPath alone = ControlPath.Create(
            new SeriesBatch(both.Values.narrow(0, 1, 1).narrow(1, 0, 6), both.Times.narrow(0, 1, 1).narrow(1, 0, 6)), interpolation);
        long pieces = alone.Increments().shape[1];
        (whole.Increments().narrow(0, 1, 1).narrow(1, 0, pieces) - alone.Increments()).abs()
            .max().item<double>().Should().BeLessThan(1e-12);
        whole.Increments()[1].narrow(0, pieces, whole.Increments().shape[1] - pieces).abs().max().item<double>().Should().Be(0);
        whole.Evaluate(tensor(new[] { 50.0, 50.0 }))[1].Should().BeBits(whole.Values[1, -1]);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void One_observation_and_channels_without_any_make_paths_that_stay(PathInterpolation interpolation)
    {
        using DisposeScope scope = NewDisposeScope();
        ControlPath one = ControlPath.Create(Series([2], [[7, Missing]]), interpolation);
        one.Evaluate(tensor(5.0)).data<double>().ToArray().Should().Equal(2, 7, 0);
        one.Derivative(tensor(5.0)).data<double>().ToArray().Should().Equal(0, 0, 0);
        ControlPath none = ControlPath.Create(Series([0, 1, 2], [[Missing, 1], [Missing, 2], [Missing, 4]]), interpolation, time: false);
        none.Values.select(2, 0).abs().max().item<double>().Should().Be(0);
        none.Values.isfinite().all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void Wrong_series_are_refused_by_row_and_observation()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor values = zeros(2, 3, 1), times = tensor(new[,] { { 0.0, 1, 2 }, { 0, 2, 2 } });
        Refused(() => _ = new SeriesBatch(values, times), "*Row 1: time 2 is 2 after 2*");
        Refused(() => _ = new SeriesBatch(values, times, tensor(new long[] { 3, 0 })), "*row 1 is empty*");
        Refused(() => _ = new SeriesBatch(values, times, tensor(new long[] { 4, 1 })), "*Row 0 has length 4*from 1 to 3*");
        Refused(() => _ = new SeriesBatch(values, tensor(new[] { 0.0, double.NaN, 2 })), "*Row 0: time 1 is NaN*");
        Refused(() => _ = new SeriesBatch(values, zeros(2, 4)), "*[2, 4]*[2, 3]*");
        Refused(() => _ = new SeriesBatch(zeros(2, 3)), "*[2, 3]*[batch, length, channels]*");
        Refused(() => _ = new SeriesBatch(zeros(2, 0, 1)), "*at least one*");
        Refused(() => _ = new SeriesBatch(zeros(2, 3, 1, ScalarType.Int64)), "*Int64*float32*");
        Refused(() => _ = new SeriesBatch(values, null, tensor(new[] { 1.0, 2 })), "*lengths*integers*");
        Tensor infinite = zeros(2, 3, 2);
        infinite[1, 2, 1] = float.PositiveInfinity;
        Refused(() => _ = new SeriesBatch(infinite), "*Row 1*channel 1 at observation 2 is infinite*");
        new SeriesBatch(infinite, null, tensor(new long[] { 3, 2 })).Lengths.Should()
            .Equal([3, 2], "what lies behind a row's end is not looked at");
        ControlPath path = ControlPath.Linear(new SeriesBatch(values));
        Refused(() => path.Evaluate(zeros(3)), "*scalar, [2] or [2, n]*");
        ((Action)(() => ControlPath.Create(new SeriesBatch(values), (PathInterpolation)9))).Should().Throw<ArgumentOutOfRangeException>();
        values.Dispose();
        ((Action)(() => _ = new SeriesBatch(values))).Should().Throw<ObjectDisposedException>();

        static void Refused(Action act, string message) => act.Should().Throw<ArgumentException>().WithMessage(message);
    }

    [Fact]
    public void Long_and_wide_series_are_no_trouble()
    {
        using DisposeScope scope = NewDisposeScope();
        ControlPath path = ControlPath.NaturalCubic(new SeriesBatch(randn(1, 10_000, 1)));
        path.Values.isfinite().all().item<bool>().Should().BeTrue();
        ControlPath.Linear(new SeriesBatch(randn(2, 3, 200)), counts: true).Channels.Should().Be(401);
    }

    private static double Far(double[] found, params double[] expected) => found.Zip(expected, (one, other) => Math.Abs(one - other)).Max();

    internal static SeriesBatch Series(double[] times, double[][] values)
    {
        Tensor all = tensor(values.SelectMany(row => row).ToArray()).reshape(1, times.Length, values[0].Length);
        return new SeriesBatch(all, tensor(times));
    }

    private static SeriesBatch Random(int rows, int length, int channels, out Tensor lengths)
    {
        Tensor values = randn(rows, length, channels, ScalarType.Float64);
        values[0, 2, 0] = values[0, 3, 0] = values[-1, 0, 1] = double.NaN;
        Tensor times = (rand(rows, length, ScalarType.Float64) + 0.1).cumsum(1);
        lengths = tensor(Enumerable.Range(0, rows).Select(row => (long)Math.Max(4, length - row)).ToArray());
        return new SeriesBatch(values, times);
    }

    private static double Slope(Tensor at, Func<Tensor, Tensor> loss, params long[] place)
    {
        const double H = 1e-5;
        Tensor up = at.detach().clone(), down = at.detach().clone();
        TensorIndex[] index = [.. place.Select(i => TensorIndex.Single(i))];
        up[index] = up[index] + H;
        down[index] = down[index] - H;
        return double.IsNaN(at.detach()[index].item<double>()) ? 0 : ((loss(up) - loss(down)) / (2 * H)).item<double>();
    }

    /// <summary>By Gaussian elimination on the full system of second derivatives.</summary>
    private static Func<double, double> NaturalSpline(double[] t, double[] y)
    {
        int n = t.Length;
        Tensor system = zeros(n, n, ScalarType.Float64), target = zeros(n, ScalarType.Float64);
        system[0, 0] = system[n - 1, n - 1] = 1.0;
        for (int i = 1; i < n - 1; i++)
        {
            double h0 = t[i] - t[i - 1], h1 = t[i + 1] - t[i];
            system[i, i - 1] = h0 / 6;
            system[i, i] = (h0 + h1) / 3;
            system[i, i + 1] = h1 / 6;
            target[i] = ((y[i + 1] - y[i]) / h1) - ((y[i] - y[i - 1]) / h0);
        }
        double[] m = linalg.solve(system, target).data<double>().ToArray();
        return x =>
        {
            int k = Math.Clamp(Array.FindLastIndex(t, time => time <= x), 0, n - 2);
            double h = t[k + 1] - t[k], a = (t[k + 1] - x) / h, b = (x - t[k]) / h;
            return x >= t[^1]
                ? y[^1] : (a * y[k]) + (b * y[k + 1]) + ((((a * a * a) - a) * m[k]) + (((b * b * b) - b) * m[k + 1])) * h * h / 6;
        };
    }
}

internal static class Bits
{
    public static void BeBits(this FluentAssertions.Primitives.ObjectAssertions found, Tensor expected)
    {
        var tensor = (Tensor)found.Subject;
        tensor.contiguous().bytes.ToArray().Should().Equal(expected.contiguous().bytes.ToArray());
    }
}
