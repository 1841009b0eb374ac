using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Conformance;

/// <summary>
/// Arrays that are null, too short or too long where a column promises a length: ML.NET hands them on as they are, and no number of another
/// row may take the place of those that are missing.
/// </summary>
public sealed class ArrayLengthTests
{
    private const int BadRow = 7;

    private static readonly string[] Kinds = ["multiclass", "binary", "regression", "targets", "density", "conditional", "anomaly"];

    private readonly MLContext _mlContext = new(1);

    public static TheoryData<string, float[]?> WrongFeatures => Matrix(null, [], [1], [1, 2], [1, 2, 3, 4]);

    [Theory]
    [MemberData(nameof(WrongFeatures))]
    public void Features_of_another_length_are_refused_in_training_and_scoring(string kind, float[]? features)
    {
        List<Row> rows = Rows(300);
        ITransformer model = Estimator(kind).Fit(View(rows));
        rows[BadRow].Features = features!;
        string message = $"*feature column 'Features'*{Found(features)}*in row {BadRow}*3*";

        Refused(() => Cursors.Read(model.Transform(View(rows)), model.GetOutputSchema(View(rows).Schema)), message);
        Refused(() => Estimator(kind).Fit(View(rows)), message);
        Refused(() => Estimator(kind, streamed: true).Fit(View(Many(rows))), message);
        Refused(() => Estimator(kind, validation: View(rows)).Fit(View(Rows(300))), message);
        (model as IDisposable)?.Dispose();
    }

    [Theory]
    [MemberData(nameof(WrongFeatures))]
    public void A_prediction_engine_refuses_them_and_goes_on_with_the_next_row(string kind, float[]? features)
    {
        List<Row> rows = Rows(300);
        ITransformer model = Estimator(kind).Fit(View(rows));
        Func<Row, float> predict = Engine(kind, model, out IDisposable engine);
        using (engine)
        {
            float before = predict(rows[0]), other = predict(rows[1]);
            for (int i = 0; i < 2; i++)
            {
                Refused(() => predict(new Row { Features = features!, Condition = [0, 0] }),
                    $"*feature column 'Features'*{Found(features)}*3*");
                predict(rows[0]).Should().Be(before);
                predict(rows[1]).Should().Be(other);
            }
        }
    }

    public static TheoryData<float[]?> WrongPairs => [null, [], [1], [1, 2, 3]];

    [Theory]
    [MemberData(nameof(WrongPairs))]
    public void Labels_and_conditions_of_another_length_are_refused(float[]? pair)
    {
        List<Row> rows = Rows(300);
        rows[BadRow].Sizes = pair!;
        string label = $"*label column 'Sizes'*{Found(pair)}*in row {BadRow}*2*";
        Refused(() => Estimator("targets").Fit(View(rows)), label);
        Refused(() => Estimator("targets", streamed: true).Fit(View(Many(rows))), label);

        rows = Rows(300);
        ITransformer model = Estimator("conditional").Fit(View(rows));
        rows[BadRow].Condition = pair!;
        string condition = $"*condition column 'Condition'*{Found(pair)}*in row {BadRow}*2*";
        Refused(() => Estimator("conditional").Fit(View(rows)), condition);
        Refused(() => model.Transform(View(rows)).GetColumn<float>("LogDensity").Sum(), condition);
        Func<Row, float> predict = Engine("conditional", model, out IDisposable engine);
        using (engine)
        {
            float before = predict(rows[0]);
            Refused(() => predict(new Row { Features = [0, 0, 0], Condition = pair! }), $"*condition column 'Condition'*{Found(pair)}*2*");
            predict(rows[0]).Should().Be(before);
        }
    }

    public static TheoryData<string> AllKinds => [.. Kinds];

    [Theory]
    [MemberData(nameof(AllKinds))]
    public void Sparse_vectors_count_as_the_dense_ones_they_are(string kind)
    {
        List<Row> dense = Rows(300);
        var random = new Random(3);
        foreach (Row row in dense)
            for (int slot = 0; slot < 3; slot++)
                if (random.Next(2) == 0)
                    row.Features[slot] = 0;
        // Each getter call is given the buffer of the row before.
        List<SparseRow> sparse = [.. dense.Select((row, i) => new SparseRow
        {
            Features = i % 3 == 0 ? new VBuffer<float>(3, [.. row.Features]) : Sparse(row.Features),
            Sizes = Sparse(row.Sizes),
            Condition = Sparse(row.Condition),
            Label = row.Label,
            IsLarge = row.IsLarge,
            Size = row.Size,
        })];
        IDataView sparseView = Keyed(_mlContext.Data.LoadFromEnumerable(sparse, SparseSchema()));

        ITransformer fromDense = Estimator(kind).Fit(View(dense)), fromSparse = Estimator(kind).Fit(sparseView);
        string[] scores = [.. fromDense.GetOutputSchema(View(dense).Schema)
            .Select(column => column.Name).Except(View(dense).Schema.Select(column => column.Name))];
        List<ReadRow> expected = Read(fromDense, View(dense));

        Texts(Read(fromDense, sparseView)).Should().Equal(Texts(expected));
        Texts(Read(fromSparse, View(dense))).Should().Equal(Texts(expected));

        List<ReadRow> Read(ITransformer model, IDataView data)
        {
            IDataView scored = model.Transform(data);
            return Cursors.Read(scored, scores.Select(name => scored.Schema[name]));
        }

        static IEnumerable<string> Texts(List<ReadRow> rows) =>
            rows.Select(row => string.Join(" ", row.Values.OrderBy(pair => pair.Key).Select(pair => pair.Value)));
    }

    [Fact]
    public void Arrays_that_pass_through_stay_as_they_are()
    {
        List<Row> rows = Rows(600);
        ITransformer model = Estimator("regression").Fit(View(rows));
        for (int i = 0; i < rows.Count; i++)
            rows[i].Sizes = (i % 5) switch { 0 => null!, 1 => [], 2 => [i], 3 => [i, i, i], _ => [i, 2 * i] };

        IDataView data = View(rows), scored = model.Transform(data);

        Cursors.Read(scored, [scored.Schema["Sizes"], scored.Schema["Score"]]).Select(row => row.Values["Sizes"])
            .Should().Equal(rows.Select(row => $"[{string.Join(" ", row.Sizes ?? [])}]"));
    }

    private static string Found(float[]? array) =>
        array is null || array.Length == 0 ? "no numbers" : array.Length == 1 ? "1 number " : $"{array.Length} numbers";

    private static void Refused<T>(Func<T> action, string message) =>
        action.Should().Throw<InvalidOperationException>().WithMessage(message);

    private static TheoryData<string, float[]?> Matrix(params float[]?[] arrays)
    {
        var data = new TheoryData<string, float[]?>();
        foreach (string kind in Kinds)
            foreach (float[]? array in arrays)
                data.Add(kind, array);
        return data;
    }

    private static VBuffer<float> Sparse(float[] values)
    {
        int[] indices = [.. Enumerable.Range(0, values.Length).Where(i => values[i] != 0)];
        return new VBuffer<float>(values.Length, indices.Length, [.. indices.Select(i => values[i])], indices);
    }

    private static List<Row> Rows(int count)
    {
        var random = new Random(2);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            float[] features = [random.NextSingle(), random.NextSingle(), random.NextSingle()];
            return new Row
            {
                Features = features,
                Label = $"class {i % 3}",
                IsLarge = features[0] > 0.5f,
                Size = features.Sum(),
                Sizes = [features[0], features[1]],
                Condition = [features[1], i % 2],
            };
        })];
    }

    /// <summary>More than the smallest budget.</summary>
    private static IReadOnlyList<Row> Many(List<Row> rows)
    {
        List<Row> good = Rows(300);
        return [.. rows, .. Enumerable.Range(0, 100_000).Select(i => good[i % good.Count])];
    }

    private static SchemaDefinition SparseSchema()
    {
        SchemaDefinition schema = SchemaDefinition.Create(typeof(SparseRow));
        schema["Features"].ColumnType = new VectorDataViewType(NumberDataViewType.Single, 3);
        schema["Sizes"].ColumnType = new VectorDataViewType(NumberDataViewType.Single, 2);
        schema["Condition"].ColumnType = new VectorDataViewType(NumberDataViewType.Single, 2);
        return schema;
    }

    private IDataView View(IReadOnlyList<Row> rows) => Keyed(_mlContext.Data.LoadFromEnumerable(rows));

    private IDataView Keyed(IDataView data) =>
        _mlContext.Transforms.Conversion.MapValueToKey("Class", "Label").Fit(_mlContext.Data.LoadFromEnumerable(Rows(3))).Transform(data);

    private IEstimator<ITransformer> Estimator(string kind, bool streamed = false, IDataView? validation = null)
    {
        return kind switch
        {
            "multiclass" =>
                _mlContext.MulticlassClassification.Trainers.NeuralOde(
                    Small(new NeuralOdeClassificationTrainer.Options { LabelColumnName = "Class" })),
            "binary" => _mlContext.BinaryClassification.Trainers.NeuralOde(
                Small(new NeuralOdeBinaryClassificationTrainer.Options { LabelColumnName = "IsLarge" })),
            "regression" =>
            _mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Size" })),
            "targets" =>
            _mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Sizes" })),
            "density" => _mlContext.Transforms.ContinuousFlowDensity(Flow(new ContinuousFlowDensityEstimator.Options())),
            "conditional" =>
            _mlContext.Transforms.ContinuousFlowDensity(
                Flow(new ContinuousFlowDensityEstimator.Options { ConditionColumnName = "Condition" })),
            _ => _mlContext.AnomalyDetection.Trainers.ContinuousFlow(Flow(new ContinuousFlowAnomalyTrainer.Options())),
        };

        TOptions Small<TOptions>(TOptions options)
            where TOptions : NeuralOdePredictorOptions
        {
            options.EncoderLayers = [4];
            options.DynamicsLayers = [4];
            return Common(options);
        }

        TOptions Flow<TOptions>(TOptions options)
            where TOptions : ContinuousFlowTrainerOptions
        {
            options.HiddenLayers = [4];
            options.BatchesPerEpoch = 2;
            return Common(options);
        }

        TOptions Common<TOptions>(TOptions options)
            where TOptions : NeuralOdeTrainerOptions
        {
            options.NumberOfEpochs = 1;
            options.Seed = 1;
            options.ValidationSet = validation;
            if (streamed)
                options.MemoryBudgetMegabytes = 1;
            return options;
        }
    }

    private Func<Row, float> Engine(string kind, ITransformer model, out IDisposable engine)
    {
        if (kind is "multiclass" or "targets")
            return Create<ScoreVector>(prediction => prediction.Score[0], out engine);
        return kind is "density" or "conditional"
            ? Create<LogDensityNumber>(prediction => prediction.LogDensity, out engine)
            : Create<ScoreNumber>(prediction => prediction.Score, out engine);

        Func<Row, float> Create<T>(Func<T, float> number, out IDisposable created)
            where T : class, new()
        {
            PredictionEngine<Row, T> predictions = _mlContext.Model.CreatePredictionEngine<Row, T>(model);
            created = predictions;
            return row => number(predictions.Predict(row));
        }
    }

    private sealed class Row
    {
        [VectorType(3)]
        public float[] Features { get; set; } = [];

        public string Label { get; set; } = "";

        public bool IsLarge { get; set; }

        public float Size { get; set; }

        [VectorType(2)]
        public float[] Sizes { get; set; } = [];

        [VectorType(2)]
        public float[] Condition { get; set; } = [];
    }

    private sealed class SparseRow
    {
        public VBuffer<float> Features { get; set; }

        public VBuffer<float> Sizes { get; set; }

        public VBuffer<float> Condition { get; set; }

        public string Label { get; set; } = "";

        public bool IsLarge { get; set; }

        public float Size { get; set; }
    }

    private sealed class ScoreNumber
    {
        public float Score { get; set; }
    }

    private sealed class ScoreVector
    {
        public float[] Score { get; set; } = [];
    }

    private sealed class LogDensityNumber
    {
        public float LogDensity { get; set; }
    }
}
