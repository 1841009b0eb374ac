using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Anomaly;
using Microsoft.ML.NeuralOde.Tests.Density;

namespace Microsoft.ML.NeuralOde.Tests.Anomaly;

/// <summary>Thresholds that keep their promise: p-values by rows that were held back, and contaminations found in the scores.</summary>
public sealed class CalibrationTests : IClassFixture<CalibrationTests.Detector>
{
    private readonly ContinuousFlowAnomalyTransformer _model;
    private readonly MLContext _mlContext = new(1);

    public CalibrationTests(Detector detector) => _model = detector.Model;

    [Fact]
    public void A_p_value_counts_the_rows_that_were_held_back_with_such_a_score_or_a_larger_one()
    {
        ScoreQuantiles scores = ScoreQuantiles.Of([1, 2, 2, 5]);
        new[] { 0.5f, 1, 1.5f, 2, 3, 5, 5.5f }.Select(scores.PValue).Should().Equal(1, 1, 0.8f, 0.8f, 0.4f, 0.4f, 0.2f);
        scores.PValue(float.NaN).Should().Be(float.NaN);
        scores.PValue(float.PositiveInfinity).Should().Be(0.2f);
    }

    [Theory]
    [InlineData(0.2, 5)]
    [InlineData(0.39, 5)]
    [InlineData(0.4, 2)]
    [InlineData(0.8, 1)]
    public void Above_the_threshold_p_values_are_no_larger_than_the_contamination(double contamination, float expected)
    {
        ScoreQuantiles scores = ScoreQuantiles.Of([1, 2, 2, 5]);
        float threshold = scores.FalseAlarmThreshold(contamination);
        threshold.Should().Be(expected);
        foreach (float score in new[] { 0.5f, 1, 1.5f, 2, 3, 5, 5.5f })
            (score > threshold).Should().Be(scores.PValue(score) <= (float)contamination, $"the score is {score}");
    }

    [Fact]
    public void Too_few_rows_for_a_rare_event_are_refused_with_the_number_that_is_needed()
    {
        FluentActions.Invoking(() => ScoreQuantiles.Of(new float[98]).FalseAlarmThreshold(0.01)).Should()
            .Throw<InvalidOperationException>().WithMessage("98 rows are too few*at least 99 usable rows*");
        ScoreQuantiles.Of(new float[99]).FalseAlarmThreshold(0.01).Should().Be(0);
    }

    [Theory]
    [InlineData(0.05)]
    [InlineData(0.2)]
    public void So_many_new_normal_rows_are_false_alarms_as_the_contamination_says(double contamination)
    {
        IDataView heldBack = View(DensityRows.WithAnomalies(1500, 0, seed: 21));
        using ContinuousFlowAnomalyTransformer calibrated =
            _mlContext.AnomalyDetection.CalibrateAnomalies(_model, heldBack, contamination);
        IDataView scored = calibrated.Transform(
            View([.. DensityRows.WithAnomalies(3000, 0, seed: 22), new DensityRow { Features = [0, 40] }]));

        float[] p = [.. scored.GetColumn<float>("PValue")];
        bool[] isAnomaly = [.. scored.GetColumn<bool>("PredictedLabel")];
        // Three standard deviations of both samples together.
        double spread = 3 * Math.Sqrt(contamination * (1 - contamination) * (1.0 / 1500 + 1.0 / 3000));
        isAnomaly.Take(3000).Count(flag => flag).Should().BeCloseTo((int)(3000 * contamination), (uint)(3000 * spread));
        isAnomaly.Should().Equal(p.Select(value => value <= (float)contamination));
        p[3000].Should().Be(1f / 1501, "nothing normal has such a score");

        // The same by hand.
        float[] compared = [.. _model.Transform(heldBack).GetColumn<float>("Score")];
        float[] scores = [.. scored.GetColumn<float>("Score")];
        for (int i = 0; i < scores.Length; i += 97)
            p[i].Should().BeApproximately((1f + compared.Count(score => score >= scores[i])) / 1501, 1e-6f);
        (calibrated.Contamination, calibrated.PValueColumnName).Should().Be((contamination, "PValue"));
        (_model.PValueColumnName, _model.Transform(heldBack).Schema.GetColumnOrNull("PValue")).Should().Be((null, null));
    }

    [Fact]
    public void P_values_are_saved_and_another_contamination_keeps_the_promise()
    {
        IDataView heldBack = View(DensityRows.WithAnomalies(400, 0, seed: 23)), rows = View(DensityRows.WithAnomalies(50, 5, seed: 24));
        using ContinuousFlowAnomalyTransformer calibrated =
            _mlContext.AnomalyDetection.CalibrateAnomalies(_model, heldBack, 0.1, "Rarity");
        using var stream = new MemoryStream();
        _mlContext.Model.Save(calibrated, rows.Schema, stream);
        stream.Position = 0;
        using var loaded = (ContinuousFlowAnomalyTransformer)new MLContext().Model.Load(stream, out _);
        float[] p = [.. calibrated.Transform(rows).GetColumn<float>("Rarity")];
        loaded.Transform(rows).GetColumn<float>("Rarity").Should().Equal(p);
        (loaded.Threshold, loaded.Contamination).Should().Be((calibrated.Threshold, 0.1));

        using ContinuousFlowAnomalyTransformer rarer = _mlContext.AnomalyDetection.ChangeModelContamination(loaded, 0.02);
        rarer.Transform(rows).GetColumn<bool>("PredictedLabel").Should().Equal(p.Select(value => value <= 0.02f));
        FluentActions.Invoking(() => _mlContext.AnomalyDetection.ChangeModelContamination(loaded, 0.001)).Should()
            .Throw<InvalidOperationException>().WithMessage("*at least 999 usable rows*");
        using ContinuousFlowAnomalyTransformer explained = _mlContext.AnomalyDetection.ExplainAnomalies(loaded, "Why");
        explained.Transform(rows).GetColumn<float>("Rarity").Should().Equal(p);
        explained.Transform(rows).GetColumn<float[]>("Why").Should().OnlyContain(row => row.Length == 2);
    }

    [Fact]
    public void The_detector_of_a_pipeline_is_calibrated_with_rows_as_the_pipeline_takes_them()
    {
        IDataView Raw(int seed) => View(DensityRows.WithAnomalies(300, 3, seed)
            .ConvertAll(row => new RawRow { A = row.Features[0], B = row.Features[1] }));
        var steps = _mlContext.Transforms.Concatenate("Features", "A", "B")
            .Append(_mlContext.AnomalyDetection.Trainers.ContinuousFlow(Detector.Options()))
            .Append(_mlContext.Transforms.CopyColumns("Alarm", "PredictedLabel"));
        ITransformer chain = steps.Fit(Raw(31));

        ITransformer calibrated = _mlContext.AnomalyDetection.CalibrateAnomalies(chain, Raw(32), 0.1);

        IDataView scored = calibrated.Transform(Raw(33));
        scored.GetColumn<bool>("Alarm").Should().Equal(scored.GetColumn<float>("PValue").Select(p => p <= 0.1f));
        (chain as IDisposable)?.Dispose();
        (calibrated as IDisposable)?.Dispose();
    }

    [Fact]
    public void Rows_with_missing_values_are_no_part_of_a_calibration_and_have_no_p_value()
    {
        List<DensityRow> rows = DensityRows.WithAnomalies(100, 0, seed: 41);
        using ContinuousFlowAnomalyTransformer whole = _mlContext.AnomalyDetection.CalibrateAnomalies(_model, View(rows));
        List<DensityRow> withGaps = [.. rows, new DensityRow { Features = [float.NaN, 1] }];
        using ContinuousFlowAnomalyTransformer calibrated = _mlContext.AnomalyDetection.CalibrateAnomalies(_model, View(withGaps));
        calibrated.Threshold.Should().Be(whole.Threshold);
        IDataView scored = calibrated.Transform(View(withGaps));
        scored.GetColumn<float>("PValue").Last().Should().Be(float.NaN);
        scored.GetColumn<bool>("PredictedLabel").Last().Should().BeTrue("a row that cannot be judged is not passed over");
    }

    [Fact]
    public void Wrong_uses_are_refused()
    {
        IDataView rows = View(DensityRows.WithAnomalies(30, 0));
        Func<object> Calibrate(IDataView data, double contamination = 0.1, string name = "PValue") =>
            () => _mlContext.AnomalyDetection.CalibrateAnomalies(_model, data, contamination, name);

        FluentActions.Invoking(Calibrate(rows, 0)).Should().Throw<ArgumentOutOfRangeException>().WithMessage("*between 0 and 1*");
        FluentActions.Invoking(Calibrate(rows, name: " ")).Should().Throw<ArgumentException>();
        FluentActions.Invoking(Calibrate(rows, name: "Score")).Should().Throw<ArgumentException>().WithMessage("*'Score', which is another*");
        FluentActions.Invoking(Calibrate(rows, 0.01)).Should().Throw<InvalidOperationException>().WithMessage("30 rows are too few*");
        FluentActions.Invoking(Calibrate(View(new List<DensityRow> { new() { Features = [float.NaN, 0] } }))).Should()
            .Throw<InvalidOperationException>().WithMessage("*no row without missing values in 'Features'*");
        FluentActions.Invoking(Calibrate(View(new List<RawRow> { new() }))).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => _mlContext.AnomalyDetection.CalibrateAnomalies(
            (ITransformer)_mlContext.Transforms.CopyColumns("Other", "Features").Fit(rows), rows)).Should().Throw<ArgumentException>()
            .WithMessage("*has no step of type ContinuousFlowAnomalyTransformer*");
    }

    /// <summary>Scores at the quantiles of a distribution, and some far above them.</summary>
    [Theory]
    [InlineData("exponential", 1000, 0)]
    [InlineData("exponential", 1000, 50)]
    [InlineData("exponential", 300, 60)]
    [InlineData("normal", 1000, 0)]
    [InlineData("normal", 1000, 100)]
    [InlineData("uniform", 200, 0)]
    [InlineData("uniform", 200, 20)]
    public void What_lies_beyond_the_tail_of_the_scores_is_the_contamination(string distribution, int normal, int anomalies)
    {
        float[] sorted = [.. Enumerable.Range(0, normal).Select(i => (float)Quantile((i + 0.5) / normal)),
            .. Enumerable.Range(0, anomalies).Select(i => 25 + 0.1f * i)];
        Array.Sort(sorted);
        ScoreTail.Contamination(sorted).Should().BeApproximately((double)anomalies / sorted.Length, 1e-12);
        // In other units, from another origin.
        ScoreTail.Contamination([.. sorted.Select(score => 7 * score - 300)]).Should()
            .BeApproximately((double)anomalies / sorted.Length, 1e-12);

        double Quantile(double share) => distribution switch
        {
            "exponential" => -Math.Log(1 - share),
            "uniform" => share,
            _ => NormalQuantile(share),
        };

        static double NormalQuantile(double share)
        {
            double low = -10, high = 10;
            for (int i = 0; i < 60; i++)
            {
                double middle = (low + high) / 2;
                double z = Math.Abs(middle) / Math.Sqrt(2), t = 1 / (1 + 0.5 * z);
                // M. Abramowitz, I. Stegun, 7.1.26, in the form with the exponential of a polynomial.
                double tail = t * Math.Exp(-z * z - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
                    + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))));
                double below = middle < 0 ? tail / 2 : 1 - tail / 2;
                (low, high) = below < share ? (middle, high) : (low, middle);
            }
            return low;
        }
    }

    [Theory]
    [InlineData(new float[] { 1 })]
    [InlineData(new float[] { 1, 1, 1, 1, 1 })]
    [InlineData(new float[] { 1, 2 })]
    public void Scores_without_a_tail_have_no_anomalies(float[] scores) => ScoreTail.Contamination(scores).Should().Be(0);

    /// <summary>
    /// Nine scores whose median is 0 and whose third quartile is ln 2, the quantiles of an exponential of scale 1: 0.1 of them are
    /// expected above ln 45. An even number has them between two scores.
    /// </summary>
    [Fact]
    public void A_score_is_an_anomaly_beyond_the_one_that_a_tenth_of_a_row_exceeds()
    {
        float third = (float)Math.Log(2);
        double limit = Math.Log(45);
        foreach ((double last, int found) in new[] { (limit - 1e-3, 0), (limit + 1e-3, 1), (1e30, 1) })
            ScoreTail.Contamination([-9, -8, -7, -6, 0, 0.3f, third, third, (float)last]).Should()
                .BeApproximately(found / 9.0, 1e-12, $"{last} is the last");
        // Of ten the median, at 4.5, lies between −0.5 and 0.5, the quartile, at 6.75, three quarters of the way from 0.5 to the next.
        float next = (third - 0.25f * 0.5f) / 0.75f;
        limit = Math.Log(50);
        foreach ((double last, int found) in new[] { (limit - 1e-3, 0), (limit + 1e-3, 1) })
            ScoreTail.Contamination([-9, -8, -7, -6, -0.5f, 0.5f, 0.5f, next, next, (float)last]).Should()
                .BeApproximately(found / 10.0, 1e-12, $"{last} is the last of ten");
    }

    [Fact]
    public void A_contamination_that_nobody_says_is_found_in_the_training_rows()
    {
        using ContinuousFlowAnomalyTransformer model = _mlContext.AnomalyDetection.Trainers.ContinuousFlow(Detector.Options(null))
            .Fit(View(DensityRows.WithAnomalies(600, 0)));
        model.Contamination.Should().BeInRange(0, 0.01);
        // Far out, each in a place of its own.
        IDataView mixed = View([.. DensityRows.WithAnomalies(570, 0, seed: 5), .. Enumerable.Range(0, 30).Select(
            i => new DensityRow { Features = [60 * float.Cos(i), 60 * float.Sin(i)] })]);
        ContinuousFlowAnomalyTrainer.Options options = Detector.Options(null);
        options.Reshaping = FeatureReshaping.None;
        using ContinuousFlowAnomalyTransformer contaminated = _mlContext.AnomalyDetection.Trainers.ContinuousFlow(options).Fit(mixed);
        contaminated.Contamination.Should().BeInRange(0.03, 0.06);
    }

    private IDataView View<T>(List<T> rows)
        where T : class => _mlContext.Data.LoadFromEnumerable(rows);

    /// <summary>A detector of rows in two clusters.</summary>
    public sealed class Detector : IDisposable
    {
        public ContinuousFlowAnomalyTransformer Model { get; } = Fit();

        public static ContinuousFlowAnomalyTrainer.Options Options(double? contamination = 0.05) =>
            new() { NumberOfEpochs = 6, HiddenLayers = [64, 64], Seed = 1, Contamination = contamination };

        public void Dispose() => Model.Dispose();

        private static ContinuousFlowAnomalyTransformer Fit()
        {
            var mlContext = new MLContext(1);
            return mlContext.AnomalyDetection.Trainers.ContinuousFlow(Options())
                .Fit(mlContext.Data.LoadFromEnumerable(DensityRows.WithAnomalies(600, 0)));
        }
    }

    private sealed class RawRow
    {
        public float A { get; set; }

        public float B { get; set; }
    }
}
