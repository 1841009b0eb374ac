using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Regression;

public class RegressionTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void A_number_is_learned_in_its_own_units_and_the_report_says_how_well()
    {
        var reports = new List<NeuralOdeEpochReport>();
        using NeuralOdeRegressionTransformer model = Trainer(o => { o.EpochCallback = reports.Add; o.ValidationFraction = 0.2; })
            .Fit(TabularData.View(_mlContext, TabularData.Circle(600)));

        RegressionMetrics metrics =
            _mlContext.Regression.Evaluate(model.Transform(TabularData.View(_mlContext, TabularData.Circle(400, seed: 2))), "Target");

        metrics.RSquared.Should().BeGreaterThan(0.95);
        metrics.RootMeanSquaredError.Should().BeLessThan(0.12);
        reports[^1].MetricName.Should().Be("RMSE");
        reports[^1].ValidationMetric.Should().BeInRange(0.5 * metrics.RootMeanSquaredError, 2 * metrics.RootMeanSquaredError);
        reports[^1].TrainAccuracy.Should().BeNull();
    }

    [Fact]
    public void Several_targets_of_different_scale_are_learned_together()
    {
        IDataView test = TabularData.View(_mlContext, TabularData.Circle(400, seed: 2));
        using NeuralOdeRegressionTransformer model = Trainer(o => o.LabelColumnName = "Targets")
            .Fit(TabularData.View(_mlContext, TabularData.Circle(600)));
        IDataView scored = model.Transform(test);

        scored.Schema["Score"].Type.Should().Be(new VectorDataViewType(NumberDataViewType.Single, 2));
        float[][] expected = [.. test.GetColumn<float[]>("Targets")];
        float[][] found = [.. scored.GetColumn<float[]>("Score")];
        for (int target = 0; target < 2; target++)
        {
            double mean = expected.Average(row => row[target]);
            double residual = expected.Zip(found, (e, f) => Math.Pow(e[target] - f[target], 2)).Sum();
            (1 - residual / expected.Sum(row => Math.Pow(row[target] - mean, 2))).Should().BeGreaterThan(0.93);
        }
    }

    [Fact]
    public void Promises_hold_for_numbers_and_vectors_after_loading_too()
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(100));
        foreach (string label in new[] { "Target", "Targets" })
        {
            NeuralOdeRegressionTrainer trainer = Trainer(o => { o.NumberOfEpochs = 2; o.LabelColumnName = label; });
            using NeuralOdeRegressionTransformer model = trainer.Fit(data);
            string file = Path.GetTempFileName();
            _mlContext.Model.Save(model, data.Schema, file);
            ITransformer loaded = new MLContext().Model.Load(file, out _);
            File.Delete(file);

            string[] names = [.. model.GetOutputSchema(data.Schema).Select(c => $"{c.Name} {c.Type}")];
            loaded.GetOutputSchema(data.Schema).Select(c => $"{c.Name} {c.Type}").Should().Equal(names);
            ((ITransformer)model).GetRowToRowMapper(data.Schema).OutputSchema.Select(c => $"{c.Name} {c.Type}").Should().Equal(names);
            SchemaShape promised = trainer.GetOutputSchema(Interop.Schemas.ShapeOf(data.Schema));
            promised.Single(c => c.Name == "Score").Kind.Should()
                .Be(label == "Target" ? SchemaShape.Column.VectorKind.Scalar : SchemaShape.Column.VectorKind.Vector);
            Values(loaded.Transform(data)).Should().Equal(Values(model.Transform(data)));
        }

        static float[] Values(IDataView view) =>
            view.Schema["Score"].Type is VectorDataViewType
            ? [.. view.GetColumn<float[]>("Score").SelectMany(v => v)] : [.. view.GetColumn<float>("Score")];
    }

    [RealData("anomaly")]
    public void Real_data_pass_through_cross_validation_and_feature_importance()
    {
        // The first feature of a table, from the others.
        List<TableRow> rows =
            [.. TabularData.Real("cardio").Take(800).Select(r => new TableRow { Target = r.Features[0], Features = r.Features[1..] })];
        IDataView data = TabularData.View(_mlContext, rows);
        NeuralOdeRegressionTrainer trainer = Trainer(o => { o.NumberOfEpochs = 10; o.Normalization = FeatureNormalization.PerSlot; });

        _mlContext.Regression.CrossValidate(data, trainer, numberOfFolds: 2, labelColumnName: "Target")
            .Should().OnlyContain(f => f.Metrics.RSquared > 0.3);
        using NeuralOdeRegressionTransformer model = trainer.Fit(data);
        var importance = _mlContext.Regression.PermutationFeatureImportance(model, data, "Target", permutationCount: 1);
        importance.Should().HaveCount(20);
        importance.Min(metrics => metrics.RSquared.Mean).Should().BeLessThan(-0.05);
    }

    [Fact]
    public void Labels_that_are_no_numbers_are_refused_and_missing_ones_left_out()
    {
        List<TableRow> rows = TabularData.Circle(50);
        Action act = () => Trainer(o => o.LabelColumnName = "Label").Fit(TabularData.View(_mlContext, rows));
        act.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*label*'Label'*Single*");

        var warnings = new List<string>();
        _mlContext.Log += (_, e) =>
        {
            if (e.Kind == Runtime.ChannelMessageKind.Warning)
                warnings.Add(e.Message);
        };
        rows[3].Target = float.NaN;
        Trainer(o => o.NumberOfEpochs = 1).Fit(TabularData.View(_mlContext, rows)).Dispose();
        warnings.Should().ContainSingle().Which.Should().Contain("1 rows have no value in the label column 'Target'");
    }

    private NeuralOdeRegressionTrainer Trainer(Action<NeuralOdeRegressionTrainer.Options>? change = null)
    {
        var options = new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 40,
            BatchSize = 32,
            LearningRate = 0.01,
            EncoderLayers = [8],
            DynamicsLayers = [16],
        };
        change?.Invoke(options);
        return _mlContext.Regression.Trainers.NeuralOde(options);
    }
}
