namespace Microsoft.ML.NeuralOde.Core.Tests.Series;

/// <summary>Widths of intervals by errors on other series.</summary>
public class IntervalCalibrationTests
{
    [Fact]
    public void Widths_are_the_quantiles_of_each_channels_errors()
    {
        // Errors of 1 to 9 deviations in the first channel; tenths of them, and one that was not seen, in the second.
        (Tensor mean, Tensor deviation) = Forecast([3, 3, 2]);
        float[] values = [.. Enumerable.Range(1, 9).SelectMany(i => new[] { 5 + 2f * i, i == 9 ? float.NaN : 5 - 0.2f * i })];
        IntervalCalibration calibration = IntervalCalibration.Of((mean, deviation, tensor(values, [3, 3, 2])));
        calibration.HalfWidth(0, 0.5).Should().BeApproximately(5, 1e-5);
        calibration.HalfWidth(0, 0.9).Should().BeApproximately(9, 1e-5);
        calibration.HalfWidth(0, 0.99).Should().BeApproximately(9, 1e-5);
        calibration.HalfWidth(1, 0.5).Should().BeApproximately(0.5, 1e-5);
        (Tensor lower, Tensor upper) = calibration.Intervals(mean, deviation, 0.5);
        lower.shape.Should().Equal(3, 3, 2);
        lower.data<float>().Take(2).Should().Equal([5 - 10, 5 - 1], (a, b) => Math.Abs(a - b) < 1e-4);
        upper.data<float>().Take(2).Should().Equal([5 + 10, 5 + 1], (a, b) => Math.Abs(a - b) < 1e-4);
    }

    [Fact]
    public void Intervals_hold_the_share_that_is_asked_for_whatever_the_model_says_of_its_noise()
    {
        using var generator = new Generator(4);
        (Tensor mean, Tensor deviation) = Forecast([1, 2000, 1]);
        // The errors are three times what the model expects.
        Tensor Drawn() => 5 + randn([1, 2000, 1], generator: generator) * 6;
        IntervalCalibration calibration = IntervalCalibration.Of((mean, deviation, Drawn()));
        (Tensor lower, Tensor upper) = calibration.Intervals(mean, deviation, 0.9);
        Tensor seen = Drawn();
        seen.gt(lower).logical_and(seen.lt(upper)).to(ScalarType.Float64).mean().item<double>().Should().BeApproximately(0.9, 0.03);
    }

    [Fact]
    public void What_makes_no_sense_is_named()
    {
        (Tensor mean, Tensor deviation) = Forecast([3, 3, 2]);
        Refused(() => IntervalCalibration.Of(), "*no forecast*");
        Refused(() => IntervalCalibration.Of((mean, deviation, zeros(3, 3, 1))), "*shape *3, 3, 1*");
        Refused(() => IntervalCalibration.Of((mean, deviation, full([3, 3, 2], float.NaN))), "*Channel 0 has no value*");
        IntervalCalibration calibration = IntervalCalibration.Of((mean, deviation, zeros(3, 3, 2)));
        Refused(() => calibration.HalfWidth(2, 0.9), "*channels 0 to 1*");
        Refused(() => calibration.HalfWidth(0, 1), "*confidence is 1*");
        (Tensor other, Tensor own) = Forecast([3, 3, 1]);
        Refused(() => calibration.Intervals(other, own, 0.9), "*3, 3, 1*n, 2*");
    }

    /// <summary>A mean of 5 and a deviation of 2 everywhere.</summary>
    private static (Tensor Mean, Tensor Deviation) Forecast(long[] shape) => (full(shape, 5f), full(shape, 2f));

    private static void Refused(Action action, string message) => action.Should().Throw<ArgumentException>().WithMessage(message);
}
