using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Anomaly;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Tests.Density;

namespace Microsoft.ML.NeuralOde.Tests.Anomaly;

/// <summary>
/// Detectors whose flow stands still, so that scores are −log p of a normal distribution, with labels, p-values and contributions by hand.
/// </summary>
public class StillDetectorTests
{
    /// <summary>−log p of a row at the mean: 2π and deviations of 2 and 1/4.</summary>
    private static readonly double AtMean = Math.Log(2 * Math.PI) + Math.Log(2 * 0.25);

    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Scores_labels_and_p_values_follow_from_the_density()
    {
        // One, two and three deviations away, and a row that is missing.
        float[][] rows = [[1, -1], [3, -1], [1, -0.5f], [-5, -1], [float.NaN, 1]];
        float[] expected = [.. new[] { 0, 0.5, 2, 4.5 }.Select(energy => (float)(AtMean + energy))];
        ScoreQuantiles compared = ScoreQuantiles.Of([expected[0], expected[1] - 0.01f, expected[2] - 0.01f, expected[2] + 0.01f]);
        foreach (MissingValueHandling handling in new[] { MissingValueHandling.Anomaly, MissingValueHandling.Normal })
        {
            using ContinuousFlowAnomalyTransformer detector = Detector(
                new AnomalyOutput("Score", "Label", null, expected[1] + 0.01f, 0.25, handling, compared, PValue: "P"));
            (detector.Threshold, detector.Contamination, detector.MissingValues, detector.PValueColumnName).Should()
                .Be((expected[1] + 0.01f, 0.25, handling, "P"));
            IDataView data = StillFlowTests.Data(rows);
            foreach (IDataView scored in new[] { detector.Transform(data), Reloaded(detector, data).Transform(data) })
            {
                scored.GetColumn<float>("Score").Take(4).Should().Equal(expected, (a, b) => Math.Abs(a - b) < 1e-4);
                scored.GetColumn<bool>("Label").Should().Equal(false, false, true, true, handling == MissingValueHandling.Anomaly);
                // (1 + how many of four are as large) / 5.
                scored.GetColumn<float>("P").Should().Equal([0.8f, 0.6f, 0.4f, 0.2f, float.NaN], (a, b) =>
                    a.Equals(b) || Math.Abs(a - b) < 1e-6 || (b == 0.8f && a is 1 or 0.8f));
            }
        }
    }

    [Theory]
    [InlineData(new[] { 1f, float.NaN }, "*feature 1 of 2 (counted from 0) is NaN.*")]
    [InlineData(new[] { float.PositiveInfinity, 0 }, "*feature 0 of 2 (counted from 0) is *")]
    public void A_detector_that_refuses_names_the_feature(float[] row, string message)
    {
        using ContinuousFlowAnomalyTransformer detector = Detector(
            new AnomalyOutput("Score", "Label", null, 1, null, MissingValueHandling.Refuse));
        detector.Transform(StillFlowTests.Data([0, 0])).GetColumn<float>("Score").Should().ContainSingle();
        FluentActions.Invoking(() => detector.Transform(StillFlowTests.Data([0, 0], row)).GetColumn<float>("Score").Count()).Should()
            .Throw<InvalidOperationException>().WithMessage(message);
    }

    /// <summary>
    /// A feature adds what its distance costs, but for that of the most harmless of nine normal values, of which the middle one is next to
    /// the mean.
    /// </summary>
    [Fact]
    public void Contributions_are_what_each_feature_adds_and_other_columns_keep_their_names()
    {
        using ContinuousFlowAnomalyTransformer detector = Detector(
            new AnomalyOutput("Score", "Label", null, 1, null, MissingValueHandling.Anomaly, ScoreQuantiles.Of([1, 2]), PValue: "P"));
        detector.ContributionsColumnName.Should().BeNull();
        using ContinuousFlowAnomalyTransformer told = detector.WithContributions(_mlContext, "Why");
        told.ContributionsColumnName.Should().Be("Why");
        IDataView scored = told.Transform(StillFlowTests.Data([1, -1], [5, -1], [-1, 0], [float.NaN, 0]));
        float[][] why = [.. scored.GetColumn<float[]>("Why")];
        double[][] expected = [[0, 0], [2, 0], [0.5, 8], [double.NaN, double.NaN]];
        for (int i = 0; i < 4; i++)
            why[i].Should().Equal(expected[i], (a, b) => a.Equals((float)b) || Math.Abs(a - b) < 0.02);
        scored.GetColumn<float>("Score").Take(3).Should().Equal(
            [AtMean, AtMean + 2, AtMean + 8.5], (a, b) => Math.Abs(a - b) < 1e-4);
        foreach (string taken in new[] { "Score", "Label", "P" })
            FluentActions.Invoking(() => detector.WithContributions(_mlContext, taken)).Should().Throw<ArgumentException>()
                .WithMessage($"The column of contributions is '{taken}', which is another column of the detector.*");
        FluentActions.Invoking(() => told.WithContributions(_mlContext, "Why")).Should().Throw<ArgumentException>();
        using var conditional = new ContinuousFlowAnomalyTransformer(_mlContext, new ContinuousFlowModel(StillFlowTests.Network(2, 1)),
            new FlowColumns("Features", [2], "Condition"), [], new AnomalyOutput("Score", "Label", null, 1, null));
        FluentActions.Invoking(() => conditional.WithContributions(_mlContext, "Why")).Should().Throw<InvalidOperationException>()
            .WithMessage("*depends on the column 'Condition'*");
    }

    [Fact]
    public void A_calibration_compares_with_other_rows_and_leaves_out_those_that_are_missing()
    {
        using ContinuousFlowAnomalyTransformer detector = Detector(new AnomalyOutput("Score", "Label", null, 1, 0.5));
        // Scores of 0 to 8 deviations' energies, n² / 2, in any order.
        float[][] rows = [[float.NaN, 0], .. new[] { 3, 0, 8, 1, 5, 2, 7, 4, 6 }.Select(n => new[] { 1 + 2f * n, -1 })];
        using ContinuousFlowAnomalyTransformer calibrated = detector.Calibrated(_mlContext, StillFlowTests.Data(rows), 0.3, "P");
        // With probability 3/10 one of ten is among the three largest: above the third largest, of six deviations less one.
        calibrated.Threshold.Should().BeApproximately((float)(AtMean + 6 * 6 / 2.0), 1e-3f);
        (calibrated.Contamination, calibrated.PValueColumnName, detector.PValueColumnName).Should().Be((0.3, "P", null));
        calibrated.WithContamination(_mlContext, 0.1).Threshold.Should().BeApproximately((float)(AtMean + 8 * 8 / 2.0), 1e-3f);
        calibrated.WithThreshold(_mlContext, 7).Contamination.Should().BeNull();
        FluentActions.Invoking(() => calibrated.WithContamination(_mlContext, 0.09)).Should().Throw<InvalidOperationException>()
            .WithMessage("9 rows are too few to say what happens to 0.09 of them: calibrate with at least 11 usable rows, or *");
        FluentActions.Invoking(() => detector.Calibrated(_mlContext, StillFlowTests.Data([float.NaN, 1]), 0.3, "P")).Should()
            .Throw<InvalidOperationException>().WithMessage("The data have no row without missing values in 'Features' to calibrate *");
        FluentActions.Invoking(() => detector.Calibrated(_mlContext, StillFlowTests.Data(rows), 0.3, "Label")).Should()
            .Throw<ArgumentException>().WithMessage("The column of p-values is 'Label', which is another column of the detector.*");
        calibrated.Calibrated(_mlContext, StillFlowTests.Data(rows), 0.3, "P").PValueColumnName.Should()
            .Be("P", "it may be done again");
        FluentActions.Invoking(() => detector.WithContamination(_mlContext, 0.2)).Should().Throw<InvalidOperationException>()
            .WithMessage("The model was saved by an earlier version, without the scores of its training rows*");
    }

    /// <summary>What a file may hold of a detector, and what is said of what makes no sense.</summary>
    [Fact]
    public void Detectors_in_files_that_make_no_sense_are_told_apart()
    {
        var good = new AnomalyOutput(
            "Score", "Label", null, 1, null, MissingValueHandling.Anomaly, ScoreQuantiles.Of([1, 1, 2]), null, "P");
        good.FindDefect().Should().BeNull();
        (good with { Compared = null, PValue = null }).FindDefect().Should().BeNull();
        (good with { Threshold = float.NaN }).FindDefect().Should().Be("its threshold is NaN");
        (good with { MissingValues = (MissingValueHandling)9 }).FindDefect().Should().Be("it treats missing values in the unknown way 9");
        (good with { Compared = null }).FindDefect().Should().Be("it has p-values but no scores that they compare with");
        foreach ((ScoreQuantiles scores, string? defect) in new (ScoreQuantiles, string?)[]
        {
            (ScoreQuantiles.Of(new float[4096]), null), (new(new byte[4096 * 4]), null),
            (new([]), "the scores that it compares with take 0 bytes"), (new(new byte[6]), "the scores that it compares with take 6 bytes"),
            (new(new byte[4097 * 4]), "the scores that it compares with take 16388 bytes"),
            (ScoreQuantiles.Of([2, 1]), "the scores that it compares with are not in order"),
            (ScoreQuantiles.Of([float.NaN]), "the scores that it compares with are not in order"),
            (ScoreQuantiles.Of([1, float.PositiveInfinity]), "the scores that it compares with are not in order"),
        })
            (good with { Compared = scores }).FindDefect().Should().Be(defect);
        good.HasColumn("Score").Should().BeTrue();
        (good with { Contributions = "Why" }).HasColumn("Why").Should().BeTrue();
        good.HasColumn("Why").Should().BeFalse();
        good.ThresholdOf(0.5).Should().Be(1, "of three and a new one two are among the two largest");
        (good with { PValue = null }).ThresholdOf(0.34).Should().Be(1);
        (good with { Compared = null }).ThresholdOf(0.5).Should().BeNull();
    }

    private ContinuousFlowAnomalyTransformer Detector(AnomalyOutput output) => new(
        _mlContext, new ContinuousFlowModel(StillFlowTests.Network(2, 0)), new FlowColumns("Features", [2], null), [], output);

    private ITransformer Reloaded(ITransformer model, IDataView data)
    {
        using var stream = new MemoryStream();
        _mlContext.Model.Save(model, data.Schema, stream);
        stream.Position = 0;
        return new MLContext(1).Model.Load(stream, out _);
    }
}
