using Microsoft.ML.NeuralOde.Plots;

namespace Microsoft.ML.NeuralOde.IntegrationTests.Pictures;

public class CalibrationTests
{
    [Fact]
    public void Errors_are_those_computed_by_hand()
    {
        // Two bins: {0.2, 0.4} of which one came true, and {0.8, 1} of which both did.
        var calibration = Calibration.Of([0.2, 0.4, 0.8, 1], [false, true, true, true], bins: 2);

        calibration.Bins.Select(bin => (bin.From, bin.To, bin.Count, bin.Share)).Should().Equal((0, 0.5, 2, 0.5), (0.5, 1, 2, 1));
        calibration.Bins.Select(bin => bin.MeanProbability).Should().SatisfyRespectively(
            low => low.Should().BeApproximately(0.3, 1e-12), high => high.Should().BeApproximately(0.9, 1e-12));
        calibration.ExpectedError.Should().BeApproximately((0.2 * 2 + 0.1 * 2) / 4, 1e-12);
        calibration.LargestError.Should().BeApproximately(0.2, 1e-12);
        calibration.BrierScore.Should().BeApproximately((0.04 + 0.36 + 0.04 + 0) / 4, 1e-12);
        calibration.Count.Should().Be(4);
    }

    [Fact]
    public void Probabilities_that_mean_what_they_say_have_a_small_error_and_bold_ones_a_large()
    {
        var random = new Random(3);
        double[] probabilities = [.. Enumerable.Range(0, 20_000).Select(_ => random.NextDouble())];
        bool[] outcomes = [.. probabilities.Select(probability => random.NextDouble() < probability)];

        Calibration.Of(probabilities, outcomes).ExpectedError.Should().BeLessThan(0.02);
        // Bold: every number above one half is called certain. Its error is the mean distance of p from 0 or 1: a quarter.
        Calibration.Of([.. probabilities.Select(probability => Math.Round(probability))], outcomes).ExpectedError.Should()
            .BeApproximately(0.25, 0.02);
    }
}
