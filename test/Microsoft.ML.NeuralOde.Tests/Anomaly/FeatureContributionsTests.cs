using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Density;

namespace Microsoft.ML.NeuralOde.Tests.Anomaly;

/// <summary>What is strange about a row.</summary>
public sealed class FeatureContributionsTests : IClassFixture<FeatureContributionsTests.Detector>
{
    private const string Column = "FeatureContributions";

    private readonly Detector _detector;
    private readonly MLContext _mlContext = new(1);

    public FeatureContributionsTests(Detector detector) => _detector = detector;

    [Fact]
    public void Of_a_row_with_one_shifted_feature_this_feature_contributes_most()
    {
        var random = new Random(5);
        List<Row> rows = Rows(200, seed: 2);
        int[] shifted = [.. rows.Select(row =>
        {
            int slot = random.Next(row.Features.Length);
            row.Features[slot] += Detector.Units[slot] * (random.Next(2) == 0 ? -5 : 5);
            return slot;
        })];
        using ContinuousFlowAnomalyTransformer explained = _mlContext.AnomalyDetection.ExplainAnomalies(_detector.Model);

        float[][] contributions = Contributions(explained, rows);

        contributions.Zip(shifted)
            .Count(pair => Array.IndexOf(pair.First, pair.First.Max()) == pair.Second).Should().BeGreaterThanOrEqualTo(190);
    }

    [Fact]
    public void A_contribution_is_the_fall_of_the_score_at_the_most_harmless_value_of_the_feature()
    {
        List<Row> rows = Rows(6, seed: 3);
        rows[2].Features[1] += 4 * Detector.Units[1];
        using ContinuousFlowAnomalyTransformer explained = _mlContext.AnomalyDetection.ExplainAnomalies(_detector.Model);
        float[][] contributions = Contributions(explained, rows);
        float[] scores = Scores(_detector.Model, rows);
        Scores(explained, rows).Should().Equal(scores, (a, b) => Math.Abs(a - b) < 1e-4);
        contributions.SelectMany(row => row).Should().OnlyContain(value => value >= 0);

        // By hand: the score along a fine grid of the feature falls at least so far, and not much farther.
        List<Row> along = [.. Enumerable.Range(-30, 61).Select(i => new Row { Features = [.. rows[2].Features] })];
        for (int i = 0; i < along.Count; i++)
            along[i].Features[1] = (i - 30) / 10f * Detector.Units[1];
        float fall = scores[2] - Scores(_detector.Model, along).Min();
        contributions[2][1].Should().BeInRange(0.5f * fall, fall + 1e-3f);
    }

    [Fact]
    public void Names_of_slots_are_kept_and_the_column_is_saved()
    {
        IDataView data = _mlContext.Data.LoadFromEnumerable(Rows(40, seed: 4)
            .Select(row => new NamedRow { Speed = row.Features[0], Load = row.Features[1] }));
        using TransformerChain<ContinuousFlowAnomalyTransformer> chain = _mlContext.Transforms.Concatenate("Features", "Speed", "Load")
            .Append(
            _mlContext.AnomalyDetection.Trainers.ContinuousFlow(Detector.Options(epochs: 1))).Fit(data);

        ITransformer explained = _mlContext.AnomalyDetection.ExplainAnomalies((ITransformer)chain, "Why");
        using var stream = new MemoryStream();
        _mlContext.Model.Save(explained, data.Schema, stream);
        stream.Position = 0;
        IDataView scored = new MLContext().Model.Load(stream, out _).Transform(data);

        VBuffer<ReadOnlyMemory<char>> names = default;
        scored.Schema["Why"].GetSlotNames(ref names);
        names.DenseValues().Select(name => name.ToString()).Should().Equal("Speed", "Load");
        scored.GetColumn<float[]>("Why").Should().BeEquivalentTo(
            explained.Transform(data).GetColumn<float[]>("Why"), options => options.WithStrictOrdering());
    }

    [Fact]
    public void A_row_with_a_missing_value_has_no_contributions()
    {
        List<Row> rows = Rows(3, seed: 6);
        rows[1].Features[0] = float.NaN;
        using ContinuousFlowAnomalyTransformer explained = _mlContext.AnomalyDetection.ExplainAnomalies(_detector.Model);

        Contributions(explained, rows).Select(row => row.All(float.IsNaN)).Should().Equal(false, true, false);
    }

    [Fact]
    public void Wrong_uses_are_refused()
    {
        FluentActions.Invoking(() => _mlContext.AnomalyDetection.ExplainAnomalies(_detector.Model, " "))
            .Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => _mlContext.AnomalyDetection.ExplainAnomalies(_detector.Model, "Score"))
            .Should().Throw<ArgumentException>()
            .WithMessage("*'Score', which is another column*");
        ContinuousFlowAnomalyTrainer.Options options = Detector.Options(epochs: 1);
        options.ConditionColumnName = "Condition";
        using ContinuousFlowAnomalyTransformer conditional = _mlContext.AnomalyDetection.Trainers.ContinuousFlow(options)
            .Fit(_mlContext.Data.LoadFromEnumerable(DensityRows.Conditional(50)));
        FluentActions.Invoking(() => _mlContext.AnomalyDetection.ExplainAnomalies(conditional)).Should().Throw<InvalidOperationException>()
            .WithMessage("*'Condition'*");
    }

    private static List<Row> Rows(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ =>
        {
            double common = DensityRows.Normal(random);
            return new Row { Features =
                [.. Detector.Units.Select(unit => unit * (float)(0.6 * common + 0.8 * DensityRows.Normal(random)))] };
        })];
    }

    private float[] Scores(ContinuousFlowAnomalyTransformer model, List<Row> rows) =>
        [.. model.Transform(_mlContext.Data.LoadFromEnumerable(rows)).GetColumn<float>("Score")];

    private float[][] Contributions(ContinuousFlowAnomalyTransformer model, List<Row> rows) =>
        [.. model.Transform(_mlContext.Data.LoadFromEnumerable(rows)).GetColumn<float[]>(Column)];

    /// <summary>A detector of rows of five correlated features in different units.</summary>
    public sealed class Detector : IDisposable
    {
        public static readonly float[] Units = [1, 100, 0.01f, 1, 3];

        public ContinuousFlowAnomalyTransformer Model { get; } = Fit();

        public static ContinuousFlowAnomalyTrainer.Options Options(int epochs) =>
            new() { NumberOfEpochs = epochs, HiddenLayers = [64, 64] };

        public void Dispose() => Model.Dispose();

        private static ContinuousFlowAnomalyTransformer Fit()
        {
            var mlContext = new MLContext(1);
            return mlContext.AnomalyDetection.Trainers.ContinuousFlow(Options(epochs: 8))
                .Fit(mlContext.Data.LoadFromEnumerable(Rows(600, seed: 1)));
        }
    }

    private sealed class Row
    {
        [VectorType(5)]
        public float[] Features { get; set; } = [];
    }

    private sealed class NamedRow
    {
        public float Speed { get; set; }

        public float Load { get; set; }
    }
}
