using Microsoft.ML.Data;

namespace Microsoft.ML.NeuralOde.Tests.Density;

public class FeatureImputationTests
{
    private readonly MLContext _mlContext = new(1);

    [Theory]
    [InlineData(null)]
    [InlineData(0.25)]
    public void Missing_features_are_as_if_the_lower_median_stood_there(double? validation)
    {
        DensityRow[] gaps = WithGaps(400);
        DensityRow[] filled = FilledByHand(gaps, gaps);
        filled.Should().OnlyContain(row => row.Features.All(float.IsFinite));

        using ContinuousFlowDensityTransformer density = Fit(gaps, FeatureImputation.Median, validation);
        using ContinuousFlowDensityTransformer expected = Fit(filled, FeatureImputation.None, validation);

        DensityRow[] test = WithGaps(100, seed: 3);
        float[] answers = Scores(density, test);
        answers.Should().OnlyContain(answer => float.IsFinite(answer));
        answers.Should().Equal(Scores(expected, FilledByHand(test, gaps)));
        density.Model.LogDensity(test[0].Features).Should().Equal(answers[0]);
    }

    [Fact]
    public void A_detector_judges_a_row_by_what_is_known_of_it()
    {
        using ContinuousFlowAnomalyTransformer detector = Detector(WithGaps(400));

        // The rows lie within a few units of (100, 0).
        DensityRow[] test = [Row(400, float.NaN), Row(101, float.NaN), Row(float.NaN, 0)];
        IDataView scored = detector.Transform(_mlContext.Data.LoadFromEnumerable(test));
        scored.GetColumn<bool>("PredictedLabel").Should().Equal(true, false, false);
        scored.GetColumn<float>("Score").Should().OnlyContain(score => float.IsFinite(score));
    }

    [Fact]
    public void Rows_that_say_nothing_stay_missing_and_no_row_changes_another()
    {
        using ContinuousFlowAnomalyTransformer detector = Detector([.. WithGaps(200), Row(float.NaN, float.NaN)]);
        DensityRow[] plain = WithGaps(50, seed: 2);
        DensityRow[] mixed = [.. plain.SelectMany(row => new[]
        {
            Row(float.NaN, float.NaN), row, Row(float.PositiveInfinity, 0), Row(float.NaN, float.NegativeInfinity), Row(float.NaN, 0),
        })];

        IDataView scored = detector.Transform(_mlContext.Data.LoadFromEnumerable(mixed));

        float[] scores = [.. scored.GetColumn<float>("Score")];
        bool[] labels = [.. scored.GetColumn<bool>("PredictedLabel")];
        scores.Where((_, i) => i % 5 == 1).Should().Equal(
            detector.Transform(_mlContext.Data.LoadFromEnumerable(plain)).GetColumn<float>("Score"));
        for (int i = 0; i < scores.Length; i++)
            float.IsNaN(scores[i]).Should().Be(i % 5 is 0 or 2 or 3);
        labels.Where((_, i) => i % 5 is 0 or 2 or 3).Should().OnlyContain(label => label, "MissingValues says so by default");
    }

    [Fact]
    public void A_saved_model_fills_by_the_same_numbers()
    {
        using ContinuousFlowAnomalyTransformer detector = Detector(WithGaps(200));
        IDataView test = _mlContext.Data.LoadFromEnumerable(WithGaps(50, seed: 2));
        using var file = new MemoryStream();
        _mlContext.Model.Save(detector, test.Schema, file);
        file.Position = 0;
        using var loaded = (ContinuousFlowAnomalyTransformer)new MLContext().Model.Load(file, out _);

        float[] scores = [.. loaded.Transform(test).GetColumn<float>("Score")];
        scores.Should().OnlyContain(score => float.IsFinite(score));
        scores.Should().Equal(detector.Transform(test).GetColumn<float>("Score"));
    }

    [Fact]
    public void Medians_of_many_rows_are_those_of_a_part_of_them()
    {
        // 0 to 59,999 in rising order: the first 20,000 rows alone would give 10,000.
        DensityRow[] rows = [.. Enumerable.Range(0, 60_000).Select(i => Row(i, i % 7 == 0 ? float.NaN : i % 100))];
        using ContinuousFlowDensityTransformer density = Fit(rows, FeatureImputation.Median, null, epochs: 1);

        density.Model.Description.Filling.Should().HaveCount(2);
        density.Model.Description.Filling![0].Should().BeInRange(29_000, 31_000);
        density.Model.Description.Filling![1].Should().BeInRange(48, 51);
    }

    [Fact]
    public void A_feature_without_any_value_is_refused_by_name()
    {
        FluentActions.Invoking(() => Fit([Row(1, float.NaN), Row(2, float.NaN), Row(3, float.NaN)], FeatureImputation.Median, null))
            .Should().Throw<InvalidOperationException>()
            .WithMessage("The feature column 'Features' has no value in slot 1*Leave this slot out*");
        FluentActions.Invoking(() => Fit([Row(1, 2)], (FeatureImputation)7, null))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("Imputation is 7*");
    }

    private static DensityRow Row(float first, float second) => new() { Features = [first, second] };

    /// <summary>A third of the rows lacks the first feature, another third the second one.</summary>
    private static DensityRow[] WithGaps(int count, int seed = 1) => [.. DensityRows.Gaussian(count, seed).Select((row, i) =>
        Row(i % 3 == 1 ? float.NaN : row.Features[0], i % 3 == 2 ? float.NaN : row.Features[1]))];

    private static DensityRow[] FilledByHand(DensityRow[] rows, DensityRow[] known)
    {
        float[] medians = [.. Enumerable.Range(0, 2).Select(slot =>
        {
            float[] sorted = [.. known.Select(row => row.Features[slot]).Where(value => !float.IsNaN(value)).Order()];
            return sorted[(sorted.Length - 1) / 2];
        })];
        return [.. rows.Select(row => new DensityRow
        {
            Features = [.. row.Features.Select((value, slot) => float.IsNaN(value) ? medians[slot] : value)],
        })];
    }

    private ContinuousFlowDensityTransformer Fit(DensityRow[] rows, FeatureImputation imputation, double? validation, int epochs = 2) =>
        _mlContext.Transforms.ContinuousFlowDensity(new ContinuousFlowDensityEstimator.Options
        {
            NumberOfEpochs = epochs,
            BatchesPerEpoch = 20,
            HiddenLayers = [16],
            Imputation = imputation,
            ValidationFraction = validation,
            Seed = 1,
        }).Fit(_mlContext.Data.LoadFromEnumerable(rows));

    private ContinuousFlowAnomalyTransformer Detector(DensityRow[] rows) => _mlContext.AnomalyDetection.Trainers.ContinuousFlow(
        new ContinuousFlowAnomalyTrainer.Options
        {
            NumberOfEpochs = 3,
            HiddenLayers = [32, 32],
            Imputation = FeatureImputation.Median,
            Contamination = 0.02,
            Seed = 1,
        }).Fit(_mlContext.Data.LoadFromEnumerable(rows));

    private float[] Scores(ContinuousFlowDensityTransformer density, DensityRow[] rows) =>
        [.. density.Transform(_mlContext.Data.LoadFromEnumerable(rows)).GetColumn<float>("LogDensity")];
}
