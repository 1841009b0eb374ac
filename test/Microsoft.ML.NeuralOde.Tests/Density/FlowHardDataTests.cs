using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Density;

/// <summary>Data that real tables hold and that both estimators must bear.</summary>
public class FlowHardDataTests
{
    private readonly MLContext _mlContext = new(1);
    private readonly List<string> _log = [];

    public FlowHardDataTests() => _mlContext.Log += (_, e) => _log.Add(e.Message);

    [Fact]
    public void Rows_that_are_all_equal_are_the_most_probable()
    {
        List<TableRow> rows = Rows(60, _ => [3, 4, 5]);

        Judgement judgement = Judge(rows, [[3, 4, 5], [3, 4, 6], [0, 0, 0]]);

        judgement.LogDensity.Should().OnlyContain(value => float.IsFinite(value)).And.BeInDescendingOrder();
        judgement.Score.Should().OnlyContain(value => float.IsFinite(value)).And.BeInAscendingOrder();
        _log.Should().Contain(message => message.Contains("up to rounding, in slots 0, 1, 2"));
    }

    [Fact]
    public void Rows_of_which_most_are_equal_keep_a_finite_density_that_is_highest_there()
    {
        List<TableRow> rows = Rows(300, random => random.Next(10) < 8 ? [1, 2] : [Normal(random), Normal(random)]);

        Judgement judgement = Judge(rows, [[1, 2], [0, 0], [9, 9]], epochs: 4);

        judgement.LogDensity.Should().OnlyContain(value => float.IsFinite(value)).And.BeInDescendingOrder();
        judgement.Score.Should().OnlyContain(value => float.IsFinite(value)).And.BeInAscendingOrder();
    }

    [Fact]
    public void One_feature_is_enough()
    {
        List<TableRow> rows = Rows(500, random => [3 + 2 * Normal(random)]);

        Judgement judgement = Judge(rows, [[3], [13]], epochs: 4);

        // The normal density of deviation 2 at its mean.
        judgement.LogDensity[0].Should().BeApproximately(-(float)Math.Log(2 * Math.Sqrt(2 * Math.PI)), 0.15f);
        judgement.LogDensity[1].Should().BeLessThan(-8);
        judgement.Score[1].Should().BeGreaterThan(judgement.Score[0] + 3);
    }

    [Fact]
    public void Five_hundred_features_have_finite_densities()
    {
        List<TableRow> rows = Rows(100, random => [.. Enumerable.Range(0, 500).Select(_ => Normal(random))]);

        Judgement judgement = Judge(rows, [rows[0].Features, [.. rows[0].Features.Select(value => 5 * value)]]);

        judgement.LogDensity.Should().OnlyContain(value => float.IsFinite(value)).And.BeInDescendingOrder();
        judgement.Score.Should().OnlyContain(value => float.IsFinite(value)).And.BeInAscendingOrder();
    }

    [Fact]
    public void Features_of_extreme_units_count_as_much_as_others()
    {
        List<TableRow> rows = Rows(400, random => [1e-8f * Normal(random), 1e8f * Normal(random), 1e-20f * Normal(random)]);

        Judgement judgement = Judge(rows, [[0, 0, 0], [1e-7f, 0, 0], [0, 1e9f, 0], [0, 0, 1e-19f]], epochs: 4);

        double peak = -1.5 * Math.Log(2 * Math.PI) - Math.Log(1e-8) - Math.Log(1e8) - Math.Log(1e-20);
        judgement.LogDensity[0].Should().BeApproximately((float)peak, 0.3f);
        judgement.LogDensity[1..].Should().OnlyContain(value => value < peak - 20);
        judgement.Score[1..].Should().OnlyContain(score => score > judgement.Score[0] + 10);
    }

    [Fact]
    public void Small_differences_of_large_numbers_are_learned_as_far_as_Single_holds_them()
    {
        // Neighbours in Single are 1/16 apart here, and the noise is five times that.
        List<TableRow> rows = Rows(600, random => [1e6f + 0.3f * Normal(random), Normal(random)]);

        Judgement judgement = Judge(rows, [[1e6f, 0], [1e6f + 3, 0]], epochs: 4);

        _log.Should().NotContain(message => message.Contains("the same value"));
        judgement.LogDensity[0].Should().BeApproximately(-(float)(Math.Log(2 * Math.PI) + Math.Log(0.3)), 0.25f);
        judgement.LogDensity[1].Should().BeLessThan(judgement.LogDensity[0] - 15);
        judgement.Score[1].Should().BeGreaterThan(judgement.Score[0] + 10);
    }

    [Fact]
    public void Missing_values_are_left_out_with_a_warning_and_a_column_without_values_is_refused()
    {
        List<TableRow> rows = Rows(100, random => [Normal(random), random.Next(5) == 0 ? float.NaN : Normal(random)]);

        Judgement judgement = Judge(rows, [[0, float.NaN], [float.NegativeInfinity, 0], [0, 0]]);
        judgement.LogDensity.Select(float.IsNaN).Should().Equal(true, true, false);
        judgement.Score.Select(float.IsNaN).Should().Equal(true, true, false);
        _log.Should().Contain(message => message.Contains("that are missing or infinite"));

        List<TableRow> empty = Rows(20, random => [Normal(random), float.NaN]);
        foreach (Action fit in new Action[] { () => Density(1).Fit(View(empty)), () => Anomaly(1).Fit(View(empty)) })
            fit.Should()
            .Throw<InvalidOperationException>().WithMessage("There is no row to train on: 20 rows*'Features'*missing or infinite*");
    }

    [Fact]
    public void One_row_is_too_few_for_a_detector_as_well()
    {
        Action fit = () => Anomaly(1).Fit(View(Rows(1, _ => [1, 2])));
        fit.Should().Throw<InvalidOperationException>().WithMessage("The data have 1 usable row; a density needs at least two.");
    }

    [Theory]
    [InlineData(nameof(TypedRow.Text), "String")]
    [InlineData(nameof(TypedRow.Texts), "Vector<String>")]
    [InlineData(nameof(TypedRow.Whole), "Vector<Int32>")]
    [InlineData(nameof(TypedRow.Doubles), "Vector<Double>")]
    [InlineData(nameof(TypedRow.Number), "Single")]
    [InlineData(nameof(TypedRow.Variable), "VarVector<Single>")]
    public void Columns_of_other_types_are_named_with_what_is_expected(string column, string type)
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable([new TypedRow()]);
        foreach (Action fit in new Action[]
        {
            () => _mlContext.Transforms.ContinuousFlowDensity(featureColumnName: column).Fit(data),
            () => _mlContext.AnomalyDetection.Trainers.ContinuousFlow(column).Fit(data),
        })
            fit.Should().Throw<ArgumentOutOfRangeException>()
            .WithMessage($"*feature column '{column}': expected a vector of Single of known size, got {type}*");
    }

    private static float Normal(Random random) => (float)DensityRows.Normal(random);

    private static List<TableRow> Rows(int count, Func<Random, float[]> features)
    {
        var random = new Random(1);
        return [.. Enumerable.Range(0, count).Select(_ => new TableRow { Features = features(random) })];
    }

    private ContinuousFlowDensityEstimator Density(int epochs) => _mlContext.Transforms.ContinuousFlowDensity(
        new ContinuousFlowDensityEstimator.Options { NumberOfEpochs = epochs, HiddenLayers = [64, 64] });

    private ContinuousFlowAnomalyTrainer Anomaly(int epochs) => _mlContext.AnomalyDetection.Trainers.ContinuousFlow(
        new ContinuousFlowAnomalyTrainer.Options { NumberOfEpochs = epochs, HiddenLayers = [64, 64], EnsembleSize = 1, Smoothing = 0.2 });

    private IDataView View(List<TableRow> rows) => TabularData.View(_mlContext, rows);

    /// <summary>What both estimators, trained on rows, say to probes.</summary>
    private Judgement Judge(List<TableRow> rows, float[][] probes, int epochs = 1)
    {
        IDataView asked = View([.. probes.Select(features => new TableRow { Features = features })]);
        using ContinuousFlowDensityTransformer density = Density(epochs).Fit(View(rows));
        using ContinuousFlowAnomalyTransformer anomaly = Anomaly(epochs).Fit(View(rows));
        return new Judgement(
            [.. density.Transform(asked).GetColumn<float>("LogDensity")], [.. anomaly.Transform(asked).GetColumn<float>("Score")]);
    }

    private sealed record Judgement(float[] LogDensity, float[] Score);

    private sealed class TypedRow
    {
        public string Text { get; set; } = "a";

        [VectorType(2)]
        public string[] Texts { get; set; } = ["a", "b"];

        [VectorType(2)]
        public int[] Whole { get; set; } = [1, 2];

        [VectorType(2)]
        public double[] Doubles { get; set; } = [1, 2];

        public float Number { get; set; }

        [VectorType]
        public float[] Variable { get; set; } = [1, 2];
    }
}
