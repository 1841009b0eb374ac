using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Density;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Anomaly;

public class ContinuousFlowAnomalyTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Anomalies_between_and_beside_clusters_are_found_and_MLNET_evaluates_them()
    {
        using ContinuousFlowAnomalyTransformer model = Trainer(o => (o.HiddenLayers, o.NumberOfEpochs) = ([128, 128], 15))
            .Fit(View(DensityRows.WithAnomalies(600, 0)));
        IDataView scored = model.Transform(View(DensityRows.WithAnomalies(400, 100, seed: 2)));

        AnomalyDetectionMetrics metrics = _mlContext.AnomalyDetection.Evaluate(scored, falsePositiveCount: 20);
        metrics.AreaUnderRocCurve.Should().BeGreaterThan(0.98);
        metrics.DetectionRateAtFalsePositiveCount.Should().BeGreaterThan(0.9);
        bool[] predicted = [.. scored.GetColumn<bool>("PredictedLabel")];
        predicted[400..].Count(p => p).Should().BeGreaterThan(90);
        predicted[..400].Count(p => p).Should().BeLessThan(50);
    }

    [Theory]
    [InlineData(0.02)]
    [InlineData(0.2)]
    public void Contamination_is_the_share_of_training_rows_above_the_threshold(double contamination)
    {
        IDataView data = View(DensityRows.WithAnomalies(500, 0));
        using ContinuousFlowAnomalyTransformer model = Trainer(o => (o.Contamination, o.NumberOfEpochs) = (contamination, 2)).Fit(data);

        IDataView scored = model.Transform(data);
        scored.GetColumn<bool>("PredictedLabel").Count(p => p).Should().Be((int)Math.Round(contamination * 500));
        scored.GetColumn<float>("Score")
            .Zip(scored.GetColumn<bool>("PredictedLabel")).Should().OnlyContain(pair => pair.First > model.Threshold == pair.Second);
    }

    [Fact]
    public void What_is_normal_may_depend_on_a_condition()
    {
        using ContinuousFlowAnomalyTransformer model = Trainer(o => o.ConditionColumnName = "Condition")
            .Fit(View(DensityRows.Conditional(800)));
        List<DensityRow> rows = DensityRows.Conditional(400, seed: 2);
        foreach (DensityRow row in rows.Where((_, i) => i % 4 == 0))
            (row.Condition, row.Label) = (-row.Condition, 1);

        _mlContext.AnomalyDetection.Evaluate(model.Transform(View(rows))).AreaUnderRocCurve.Should().BeGreaterThan(0.99);
    }

    [Fact]
    public void A_saved_pipeline_gives_the_same_scores_in_batches_and_one_by_one()
    {
        List<DensityRow> rows = DensityRows.WithAnomalies(300, 30);
        IDataView data = View(rows);
        var pipeline = _mlContext.Transforms.NormalizeMinMax("Scaled", "Features").Append(
            _mlContext.AnomalyDetection.Trainers.ContinuousFlow(Options(o => (o.NumberOfEpochs, o.FeatureColumnName) = (2, "Scaled"))));
        using TransformerChain<ContinuousFlowAnomalyTransformer> model = pipeline.Fit(data);
        using var stream = new MemoryStream();
        _mlContext.Model.Save(model, data.Schema, stream);
        stream.Position = 0;
        ITransformer loaded = new MLContext().Model.Load(stream, out _);

        float[] expected = [.. model.Transform(data).GetColumn<float>("Score")];
        loaded.Transform(data).GetColumn<float>("Score").Should().Equal(expected);
        DataViewSchema schema = loaded.GetOutputSchema(data.Schema);
        schema.Select(c => $"{c.Name} {c.Type}").Should().Equal(model.GetOutputSchema(data.Schema).Select(c => $"{c.Name} {c.Type}"));
        using var engine = _mlContext.Model.CreatePredictionEngine<DensityRow, DensityPrediction>(loaded);
        for (int i = 290; i < 330; i++)
        {
            DensityPrediction prediction = engine.Predict(rows[i]);
            prediction.Score.Should().BeApproximately(expected[i], 1e-3f * (1 + Math.Abs(expected[i])));
        }
    }

    [Fact]
    public void Rows_with_missing_values_are_left_out_of_the_training_and_get_no_score()
    {
        List<DensityRow> rows = DensityRows.WithAnomalies(200, 0);
        rows[3].Features = [float.NaN, 0];
        var log = new List<string>();
        _mlContext.Log += (_, e) => log.Add(e.Message);
        using ContinuousFlowAnomalyTransformer model = Trainer(o => o.NumberOfEpochs = 1).Fit(View(rows));

        float[] scores = [.. model.Transform(View(rows)).GetColumn<float>("Score")];
        scores[3].Should().Be(float.NaN);
        scores.Count(float.IsNaN).Should().Be(1);
        model.Transform(View(rows)).GetColumn<bool>("PredictedLabel").ElementAt(3).Should().BeTrue();
        log.Should().Contain(message => message.Contains("1 rows have values in the feature column 'Features' that are missing"));
    }

    [Fact]
    public void Constant_duplicated_and_extreme_features_are_handled()
    {
        var random = new Random(1);
        List<TableRow> rows = [.. Enumerable.Range(0, 400).Select(_ => new TableRow
        {
            Features = [7, (float)(1e-8 * DensityRows.Normal(random)), (float)(1e8 * DensityRows.Normal(random)), random.Next(2)],
        })];
        using ContinuousFlowAnomalyTransformer model = Trainer(o => o.NumberOfEpochs = 4).Fit(TabularData.View(_mlContext, rows));

        float[] normal = [.. model.Transform(TabularData.View(_mlContext, rows)).GetColumn<float>("Score")];
        float Score(params float[] features) =>
            model.Transform(TabularData.View(_mlContext, [new TableRow { Features = features }])).GetColumn<float>("Score").Single();
        normal.Should().OnlyContain(score => float.IsFinite(score));
        Score(12, 0, 0, 0).Should().BeGreaterThan(normal.Max());
        Score(7, 1e-7f, 0, 0).Should().BeGreaterThan(normal.Max());
        Score(7, 0, -1e9f, 0).Should().BeGreaterThan(normal.Max());
        Score(7, 0, 0, 9).Should().BeGreaterThan(normal.Max());
    }

    [Fact]
    public void A_cancelled_training_ends()
    {
        using var cancel = new CancellationTokenSource();
        Action fit = () => Trainer(o => (o.CancellationToken, o.EpochCallback) = (cancel.Token, _ => cancel.Cancel()))
            .Fit(View(DensityRows.WithAnomalies(200, 0)));

        fit.Should().Throw<OperationCanceledException>();
    }

    [RealData("anomaly")]
    [Trait("Category", "Slow")]
    public void Real_anomalies_are_found_with_the_default_options()
    {
        // The best of five usual detectors reach 0.987 and 0.994 on these two.
        foreach ((string name, double least) in new[] { ("breastw", 0.98), ("glass", 0.84) })
        {
            List<TableRow> all = TabularData.Real(name);
            List<TableRow> normal = [.. all.Where(row => !row.Label)];
            List<TableRow> training = [.. normal.Where((_, i) => i % 5 < 3)];
            List<TableRow> test = [.. normal.Where((_, i) => i % 5 >= 3), .. all.Where(row => row.Label)];
            using ContinuousFlowAnomalyTransformer model = _mlContext.AnomalyDetection.Trainers.ContinuousFlow()
                .Fit(TabularData.View(_mlContext, training));

            IDataView scored = _mlContext.Transforms.Conversion.ConvertType("Label", outputKind: DataKind.Single)
                .Fit(TabularData.View(_mlContext, test)).Transform(model.Transform(TabularData.View(_mlContext, test)));
            _mlContext.AnomalyDetection.Evaluate(scored).AreaUnderRocCurve.Should().BeGreaterThan(least, name);
        }
    }

    private static ContinuousFlowAnomalyTrainer.Options Options(Action<ContinuousFlowAnomalyTrainer.Options>? change = null)
    {
        var options =
            new ContinuousFlowAnomalyTrainer.Options { NumberOfEpochs = 8, HiddenLayers = [64, 64], EnsembleSize = 1, Smoothing = 0.2 };
        change?.Invoke(options);
        return options;
    }

    private ContinuousFlowAnomalyTrainer Trainer(Action<ContinuousFlowAnomalyTrainer.Options>? change = null) =>
        _mlContext.AnomalyDetection.Trainers.ContinuousFlow(Options(change));

    private IDataView View(List<DensityRow> rows) => _mlContext.Data.LoadFromEnumerable(rows);
}
