using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Classification;

public sealed class TransformerTests : IDisposable
{
    private readonly MLContext _mlContext = new(1);
    private readonly NeuralOdeClassificationTransformer _model;
    private readonly IDataView _data;

    public TransformerTests()
    {
        _data = _mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Fit(Blobs.View(_mlContext, Blobs.Rows(600))).Transform(Blobs.View(_mlContext, Blobs.Rows(600)));
        _model = _mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options(o => o.NumberOfEpochs = 2)).Fit(_data);
    }

    public void Dispose() => _model.Dispose();

    [Fact]
    public void Columns_carry_the_annotations_that_evaluators_and_mappings_read()
    {
        DataViewSchema schema = _model.GetOutputSchema(_data.Schema);

        VBuffer<ReadOnlyMemory<char>> names = default;
        schema["PredictedLabel"].GetKeyValues(ref names);
        string[] expected = ["red", "green", "blue"];
        names.DenseValues().Select(n => n.ToString()).Should().Equal(expected);
        schema["Score"].GetSlotNames(ref names);
        names.DenseValues().Select(n => n.ToString()).Should().Equal(expected);
        schema["Score"].Annotations.GetValue("TrainingLabelValues", ref names);
        names.DenseValues().Select(n => n.ToString()).Should().Equal(expected);
        schema["PredictedLabel"].Type.Should().Be(new KeyDataViewType(typeof(uint), 3));
        schema["Score"].Type.Should().Be(new VectorDataViewType(NumberDataViewType.Single, 3));
    }

    [Fact]
    public void Estimator_transformer_and_mapper_promise_the_same_columns()
    {
        string[] names = [.. _model.GetOutputSchema(_data.Schema).Select(c => c.Name)];
        _model.Transform(_data).Schema.Select(c => c.Name).Should().Equal(names);
        ((ITransformer)_model).GetRowToRowMapper(_data.Schema).OutputSchema.Select(c => c.Name).Should().Equal(names);
        SchemaShape promised = Fitted.Pipeline(_mlContext).GetOutputSchema(Interop.Schemas.ShapeOf(Blobs.View(_mlContext, []).Schema));
        promised.Select(c => c.Name).Should().Contain(["Label", "Features", "PredictedLabel", "Score"]);
    }

    [Fact]
    public void Scores_are_probabilities_and_the_label_is_the_most_probable()
    {
        IDataView scored = _model.Transform(_data);
        float[][] scores = [.. scored.GetColumn<float[]>("Score")];
        uint[] labels = [.. scored.GetColumn<uint>("PredictedLabel")];

        scores.Should().OnlyContain(s => Math.Abs(s.Sum() - 1) < 1e-5 && s.All(p => p >= 0));
        labels.Should().Equal(scores.Select(s => (uint)Array.IndexOf(s, s.Max()) + 1));
    }

    [Fact]
    public void A_row_scores_the_same_alone_and_among_others()
    {
        float[][] together = [.. _model.Transform(_data).GetColumn<float[]>("Score")];
        float[] features = [.. _data.GetColumn<float[]>("Features").SelectMany(f => f)];
        var alone = new float[3];
        for (int row = 0; row < 600; row += 37)
        {
            _model.Model.Score(features[(2 * row)..(2 * row + 2)], 1, alone);
            alone.Should().Equal(together[row]);
        }
    }

    [Fact]
    public void Cursors_with_some_all_or_no_scores_agree()
    {
        IDataView scored = _model.Transform(_data);
        scored.GetColumn<int>("Id").Should().Equal(Enumerable.Range(0, 600));
        var all = Rows(scored, scored.Schema);
        all.Select(r => r.Id).Should().Equal(Enumerable.Range(0, 600));
        all.Select(r => r.RowId).Should().OnlyHaveUniqueItems();
        var shuffled = Rows(scored, scored.Schema, new Random(3));
        shuffled.OrderBy(r => r.Id).Select(r => r.Score).Should().BeEquivalentTo(all.Select(r => r.Score), o => o.WithStrictOrdering());
        Rows(scored, [scored.Schema["Id"], scored.Schema["Score"]]).Select(r => r.Score[0]).Should().Equal(all.Select(r => r.Score[0]));
        scored.GetRowCount().Should().Be(600);

        static List<(int Id, float[] Score, string RowId)> Rows(
            IDataView view, IEnumerable<DataViewSchema.Column> columns, Random? random = null)
        {
            using DataViewRowCursor cursor = view.GetRowCursor(columns, random);
            ValueGetter<int> id = cursor.GetGetter<int>(view.Schema["Id"]);
            ValueGetter<VBuffer<float>> score = cursor.GetGetter<VBuffer<float>>(view.Schema["Score"]);
            ValueGetter<DataViewRowId> rowId = cursor.GetIdGetter();
            var rows = new List<(int, float[], string)>();
            VBuffer<float> values = default;
            int value = 0;
            DataViewRowId identity = default;
            while (cursor.MoveNext())
            {
                id(ref value);
                score(ref values);
                rowId(ref identity);
                rows.Add((value, [.. values.DenseValues()], identity.ToString()));
            }
            return rows;
        }
    }

    [Fact]
    public void A_prediction_engine_says_what_the_batch_says()
    {
        var chain = Fitted.Model(_mlContext, Fitted.Options(o => o.NumberOfEpochs = 2));
        List<Point> rows = Blobs.Rows(20, seed: 4);
        List<PointPrediction> batch = Fitted.Predict(_mlContext, chain, rows);
        using PredictionEngine<Point, PointPrediction> engine = _mlContext.Model.CreatePredictionEngine<Point, PointPrediction>(chain);
        for (int i = 0; i < rows.Count; i++)
        {
            PointPrediction single = engine.Predict(rows[i]);
            single.PredictedLabel.Should().Be(batch[i].PredictedLabel);
            single.Score.Should().Equal(batch[i].Score);
        }
    }

    [Fact]
    public void Several_threads_may_score_at_once()
    {
        float[][] expected = [.. _model.Transform(_data).GetColumn<float[]>("Score")];
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 4 }, _ =>
            _model.Transform(_data).GetColumn<float[]>("Score").SelectMany(s => s).Should().Equal(expected.SelectMany(s => s)));
    }

    [Fact]
    public void After_disposal_predictions_fail_clearly()
    {
        var chain = Fitted.Model(_mlContext, Fitted.Options(o => o.NumberOfEpochs = 1));
        IDataView scored = chain.Transform(Blobs.View(_mlContext, Blobs.Rows(3)));
        chain.NeuralOde().Dispose();
        chain.NeuralOde().Dispose();

        Func<float[][]> read = () => [.. scored.GetColumn<float[]>("Score")];
        read.Should().Throw<ObjectDisposedException>();
        Action transform = () => chain.Transform(Blobs.View(_mlContext, Blobs.Rows(3)));
        transform.Should().Throw<ObjectDisposedException>();
        Action save = () => _mlContext.Model.Save(chain, null, Stream.Null);
        save.Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    public void Feature_importance_and_cross_validation_take_the_trainer()
    {
        var importance = _mlContext.MulticlassClassification.PermutationFeatureImportance(_model, _data, permutationCount: 1);
        importance.Should().HaveCount(2);
        var folds = _mlContext.MulticlassClassification.CrossValidate(
            _data, _mlContext.MulticlassClassification.Trainers.NeuralOde(Fitted.Options(o => o.NumberOfEpochs = 2)), numberOfFolds: 2);
        folds.Should().HaveCount(2).And.OnlyContain(f => f.Metrics.MicroAccuracy > 0.8);
    }
}
