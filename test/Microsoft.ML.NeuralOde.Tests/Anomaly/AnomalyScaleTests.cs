using Microsoft.ML.NeuralOde.Anomaly;
using Microsoft.ML.NeuralOde.Flows;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Anomaly;

/// <summary>Scales and thresholds by hand.</summary>
public class AnomalyScaleTests
{
    [Fact]
    public void A_scale_is_the_median_and_the_distance_of_the_quantiles_one_deviation_to_either_side()
    {
        // Of the squares of 0 to 100 those at the places 0.1587 · 100 ≈ 16, 50 and 0.8413 · 100 ≈ 84.
        float[] squares = [.. Enumerable.Range(0, 101).Select(i => (float)(i * i))];
        new Random(1).Shuffle(squares);
        EvidenceScale.Of(squares).Should().Be(new EvidenceScale(2500, 84 * 84 - 16 * 16));
        EvidenceScale.Of([3, 3, 3]).Should().Be(new EvidenceScale(3, 1), "rows that are all alike have no spread");
        EvidenceScale.Of([-7]).Should().Be(new EvidenceScale(-7, 1));
        EvidenceScale.Of([5, 1]).Spread.Should().Be(4);
    }

    [Fact]
    public void A_score_is_the_larger_of_both_evidences_in_their_own_units_of_which_the_latent_one_is_handicapped()
    {
        using DisposeScope scope = NewDisposeScope();
        var scale = new AnomalyScale(new EvidenceScale(10, 2), new EvidenceScale(100, 50));
        // Densities of 0, 2, −1, 0.5, and latent distances of 0, 1, 3, 1.15 less 0.65.
        Tensor score = scale.Score(tensor(new[] { 10f, 14, 8, 11 }), tensor(new[] { 100f, 150, 250, 157.5f }));
        score.data<float>().ToArray().Should().Equal([0, 2, 2.35f, 0.5f], (a, b) => Math.Abs(a - b) < 1e-6);
        AnomalyOutput.ScoreOf(new FlowEvidence(tensor(new[] { 3f }), tensor(new[] { 9f })), null).ToDouble().Should().Be(3);
        AnomalyOutput.ScoreOf(new FlowEvidence(tensor(new[] { 14f }), tensor(new[] { 150f })), scale).ToDouble().Should().Be(2);
    }

    /// <summary>Ten or so scores 0, 1, 2 …, a contamination, and how many of them are above the threshold.</summary>
    [Theory]
    [InlineData(10, 0.1, 1)]
    [InlineData(10, 0.3, 3)]
    [InlineData(10, 0.24, 2)]
    [InlineData(10, 0.26, 3)]
    [InlineData(10, 0.04, 0)]
    [InlineData(10, 0.06, 1)]
    [InlineData(10, 0.9, 9)]
    [InlineData(10, 0.99, 9)]
    [InlineData(500, 0.02, 10)]
    [InlineData(500, 0.2, 100)]
    [InlineData(1, 0.4, 0)]
    [InlineData(1, 0.9, 0)]
    [InlineData(4096, 0.5, 2048)]
    [InlineData(4097, 0.25, 1024)]
    public void So_many_scores_are_above_the_threshold_as_the_contamination_says(int count, double contamination, int above)
    {
        float[] scores = [.. Enumerable.Range(0, count).Select(i => (float)i)];
        float threshold = ScoreQuantiles.Threshold(scores, contamination);
        threshold.Should().Be(count - 1 - above);
        scores.Count(score => score > threshold).Should().Be(above);
        if (count <= 4096)
            ScoreQuantiles.Of(scores).Threshold(contamination).Should().Be(threshold);
    }

    [Fact]
    public void Of_many_scores_4096_are_kept_from_the_smallest_to_the_largest_at_equal_distances()
    {
        ScoreQuantiles.Of(Numbers(4096)).Sorted.ToArray().Should().Equal(Numbers(4096));
        ScoreQuantiles.Of(Numbers(8191)).Sorted.ToArray().Should().Equal(Enumerable.Range(0, 4096).Select(i => 2f * i));
        float[] one = ScoreQuantiles.Of(Numbers(4097)).Sorted.ToArray();
        (one.Length, one[0], one[^1]).Should().Be((4096, 0, 4096));

        static float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(i => (float)i)];
    }

    public static TheoryData<float[], bool> Quantiles => new()
    {
        { [1], true }, { [1, 1, 2], true }, { [.. Enumerable.Range(0, 4096).Select(i => (float)i)], true }, { [], false },
            { [2, 1], false }, { [1, float.NaN], false },
        { [float.NegativeInfinity, 1], false }, { [.. Enumerable.Range(0, 4097).Select(i => (float)i)], false },
    };

    [Theory]
    [MemberData(nameof(Quantiles))]
    public void Scores_in_a_file_must_be_in_order_and_not_too_many(float[] scores, bool isGood)
    {
        byte[] bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes(scores.AsSpan()).ToArray();
        (new ScoreQuantiles(bytes).FindDefect() is null).Should().Be(isGood);
        (new AnomalyOutput("Score", "PredictedLabel", null, 1, null, Compared: new ScoreQuantiles(bytes)).FindDefect() is null)
            .Should().Be(isGood);
        new ScoreQuantiles([.. bytes, 0]).FindDefect().Should().Contain($"{bytes.Length + 1} bytes");
    }

    [Fact]
    public void A_threshold_and_a_treatment_of_missing_values_in_a_file_must_make_sense()
    {
        var good = new AnomalyOutput("Score", "PredictedLabel", null, 1, 0.1);
        good.FindDefect().Should().BeNull();
        (good with { Threshold = float.NaN }).FindDefect().Should().Contain("threshold is NaN");
        (good with { Threshold = float.PositiveInfinity }).FindDefect().Should().Contain("threshold is ");
        (good with { MissingValues = (MissingValueHandling)7 }).FindDefect().Should().Contain("unknown way 7");
        good.MissingValues.Should().Be(MissingValueHandling.Normal, "files of the first format have no other");
    }

    [Fact]
    public void A_threshold_comes_from_the_scores_that_there_are_by_rank_or_by_p_value()
    {
        float[] scores = [.. Enumerable.Range(0, 10).Select(i => (float)i)];
        var plain = new AnomalyOutput("S", "L", null, 1, 0.1);
        var compared = plain with { Compared = ScoreQuantiles.Of(scores) };
        AnomalyOutput calibrated = compared with { PValue = "P", Contributions = "C" };
        plain.ThresholdOf(0.2).Should().BeNull();
        // Two of ten lie above the eighth; by p-values (1 + k) / 11 only one may.
        compared.ThresholdOf(0.2).Should().Be(7);
        calibrated.ThresholdOf(0.2).Should().Be(8);
        calibrated.FindDefect().Should().BeNull();
        (plain with { PValue = "P" }).FindDefect().Should().Be("it has p-values but no scores that they compare with");

        foreach (string name in new[] { "S", "L", "C", "P" })
            calibrated.HasColumn(name).Should().BeTrue(name);
        foreach (string name in new[] { "C", "P", "s", "" })
            plain.HasColumn(name).Should().BeFalse(name);
        string text = System.Text.Json.JsonSerializer.Serialize(calibrated.ToMetadata());
        text.Should().Be("{\"Score\":\"S\",\"PredictedLabel\":\"L\",\"Scale\":null,\"Threshold\":1,\"Contamination\":0.1,"
            + "\"MissingValues\":\"Normal\",\"Contributions\":\"C\",\"PValue\":\"P\"}");
    }
}
