using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.BinaryClassification;

public class BinaryClassificationTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void A_circle_is_learned_and_the_probability_is_that_of_true()
    {
        using NeuralOdeBinaryClassificationTransformer model = Trainer().Fit(TabularData.View(_mlContext, TabularData.Circle(600)));
        IDataView scored = model.Transform(TabularData.View(_mlContext, TabularData.Circle(400, seed: 2)));

        CalibratedBinaryClassificationMetrics metrics = _mlContext.BinaryClassification.Evaluate(scored);
        metrics.Accuracy.Should().BeGreaterThan(0.93);
        metrics.AreaUnderRocCurve.Should().BeGreaterThan(0.98);
        metrics.LogLoss.Should().BeLessThan(0.4);
        float[] scores = [.. scored.GetColumn<float>("Score")];
        float[] probabilities = [.. scored.GetColumn<float>("Probability")];
        scores.Select(s => 1 / (1 + Math.Exp(-s))).Zip(probabilities, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-5);
        scored.GetColumn<bool>("PredictedLabel").Should().Equal(scores.Select(s => s > 0));
    }

    [Fact]
    public void Columns_carry_the_annotations_of_a_binary_scorer()
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(100));
        using NeuralOdeBinaryClassificationTransformer model = Trainer(o => o.NumberOfEpochs = 1).Fit(data);
        DataViewSchema schema = model.GetOutputSchema(data.Schema);

        schema["Score"].Type.Should().Be(NumberDataViewType.Single);
        schema["Probability"].Type.Should().Be(NumberDataViewType.Single);
        schema["PredictedLabel"].Type.Should().Be(BooleanDataViewType.Instance);
        foreach ((string column,
            string kind) in new[] { ("Score", "Score"), ("Probability", "Probability"), ("PredictedLabel", "PredictedLabel") })
        {
            Text(schema[column], "ScoreColumnKind").Should().Be("BinaryClassification");
            Text(schema[column], "ScoreValueKind").Should().Be(kind);
        }
        bool normalized = false;
        schema["Probability"].Annotations.GetValue("IsNormalized", ref normalized);
        normalized.Should().BeTrue();

        static string Text(DataViewSchema.Column column, string kind)
        {
            ReadOnlyMemory<char> value = default;
            column.Annotations.GetValue(kind, ref value);
            return value.ToString();
        }
    }

    [Fact]
    public void Estimator_transformer_mapper_and_loaded_model_promise_the_same_and_the_engine_agrees()
    {
        List<TableRow> rows = TabularData.Circle(100);
        IDataView data = TabularData.View(_mlContext, rows);
        NeuralOdeBinaryClassificationTrainer trainer = Trainer(o => o.NumberOfEpochs = 2);
        using NeuralOdeBinaryClassificationTransformer model = trainer.Fit(data);
        string file = Path.GetTempFileName();
        _mlContext.Model.Save(model, data.Schema, file);
        ITransformer loaded = new MLContext().Model.Load(file, out _);
        File.Delete(file);

        string[] names = [.. model.GetOutputSchema(data.Schema).Select(c => $"{c.Name} {c.Type}")];
        model.Transform(data).Schema.Select(c => $"{c.Name} {c.Type}").Should().Equal(names);
        ((ITransformer)model).GetRowToRowMapper(data.Schema).OutputSchema.Select(c => $"{c.Name} {c.Type}").Should().Equal(names);
        loaded.GetOutputSchema(data.Schema).Select(c => $"{c.Name} {c.Type}").Should().Equal(names);
        trainer.GetOutputSchema(Interop.Schemas.ShapeOf(data.Schema))
            .Select(c => c.Name).Should().Contain(["Score", "Probability", "PredictedLabel"]);
        loaded.Transform(data).GetColumn<float>("Probability").Should().Equal(model.Transform(data).GetColumn<float>("Probability"));

        var definition = SchemaDefinition.Create(typeof(TableRow));
        definition["Features"].ColumnType = new VectorDataViewType(NumberDataViewType.Single, 2);
        using var engine = _mlContext.Model.CreatePredictionEngine<TableRow, BinaryPrediction>(model, inputSchemaDefinition: definition);
        float[] batch = [.. loaded.Transform(data).GetColumn<float>("Probability")];
        for (int i = 0; i < 10; i++)
            engine.Predict(rows[i]).Probability.Should().Be(batch[i]);
    }

    [RealData("anomaly")]
    public void Real_data_pass_through_cross_validation_and_feature_importance()
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Real("breastw"));
        NeuralOdeBinaryClassificationTrainer trainer =
            Trainer(o => { o.NumberOfEpochs = 10; o.Normalization = FeatureNormalization.PerSlot; });

        var folds = _mlContext.BinaryClassification.CrossValidate(data, trainer, numberOfFolds: 3);
        folds.Should().HaveCount(3).And.OnlyContain(f => f.Metrics.AreaUnderRocCurve > 0.97);
        using NeuralOdeBinaryClassificationTransformer model = trainer.Fit(data);
        var importance = _mlContext.BinaryClassification.PermutationFeatureImportance(model, data, permutationCount: 1);
        importance.Should().HaveCount(9);
        importance.Min(metrics => metrics.AreaUnderRocCurve.Mean).Should().BeLessThan(0);
    }

    [Fact]
    public void Balanced_classes_find_more_of_the_rare_one()
    {
        // Of two clouds that overlap, the true one is a twentieth.
        var random = new Random(1);
        List<TableRow> rows = [.. Enumerable.Range(0, 1000).Select(i =>
        {
            bool rare = i % 20 == 0;
            return new TableRow { Label = rare, Features = [(float)(random.NextDouble() + random.NextDouble() + (rare ? 0.6 : 0)),
                random.NextSingle()] };
        })];
        IDataView data = TabularData.View(_mlContext, rows);

        Recall(ClassWeighting.Balanced).Should().BeGreaterThan(Recall(ClassWeighting.None) + 0.3);

        double Recall(ClassWeighting weighting)
        {
            using NeuralOdeBinaryClassificationTransformer model = Trainer(o => o.ClassWeighting = weighting).Fit(data);
            return _mlContext.BinaryClassification.Evaluate(model.Transform(data)).PositiveRecall;
        }
    }

    [Fact]
    public void Weights_of_rows_decide_between_labels_that_contradict()
    {
        // Every point is there with both labels; the weights say which one counts.
        List<TableRow> rows = TabularData.Circle(200);
        List<TableRow> both = [.. rows.Select(r => new TableRow { Features = r.Features, Label = r.Label, Weight = 9 }),
            .. rows.Select(r => new TableRow { Features = r.Features, Label = !r.Label, Weight = 1 })];

        using NeuralOdeBinaryClassificationTransformer model = Trainer(o => o.ExampleWeightColumnName = "Weight")
            .Fit(TabularData.View(_mlContext, both));

        _mlContext.BinaryClassification.Evaluate(model.Transform(TabularData.View(_mlContext, rows))).Accuracy.Should().BeGreaterThan(0.85);
    }

    [Fact]
    public void A_label_of_the_wrong_type_and_a_single_class_are_refused()
    {
        IDataView data = TabularData.View(_mlContext, TabularData.Circle(50));
        Action wrongType = () => Trainer(o => o.LabelColumnName = "Target").Fit(data);
        wrongType.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*label*'Target'*Boolean*");
        Action single = () => Trainer().Fit(TabularData.View(_mlContext, [.. TabularData.Circle(50).Where(r => r.Label)]));
        single.Should().Throw<InvalidOperationException>().WithMessage("*same class*'Label'*");
    }

    private NeuralOdeBinaryClassificationTrainer Trainer(Action<NeuralOdeBinaryClassificationTrainer.Options>? change = null)
    {
        var options = new NeuralOdeBinaryClassificationTrainer.Options
        {
            NumberOfEpochs = 30,
            BatchSize = 32,
            LearningRate = 0.01,
            EncoderLayers = [8],
            DynamicsLayers = [16]
        };
        change?.Invoke(options);
        return _mlContext.BinaryClassification.Trainers.NeuralOde(options);
    }

    private sealed class BinaryPrediction
    {
        public float Probability { get; set; }
    }
}
