using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>Wide features of which few numbers are not zero, from training to the engine.</summary>
public sealed class SparseFeatureTests : IDisposable
{
    private const int Width = 4096;

    private readonly MLContext _mlContext = new(1);
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("binary")]
    [InlineData("multiclass")]
    [InlineData("regression")]
    public void Every_task_learns_words_and_scores_rows_the_same_in_whatever_form_they_come(string task)
    {
        ITransformer model = Fit(task, SparseData.Rows(600, Width), o => o.NumberOfEpochs = 10);
        List<SparseRow> sparse = SparseData.Rows(300, Width, seed: 2);
        List<SparseRow> dense = SparseData.Rows(300, Width, seed: 2, dense: _ => true),
            mixed = SparseData.Rows(300, Width, seed: 2, dense: i => i % 3 == 0);

        Accuracy(task, model.Transform(View(sparse))).Should().BeGreaterThan(task == "regression" ? 0.7 : 0.85);
        float[][] expected = Scores(model, sparse);
        Scores(model, dense).SelectMany(row => row).Should().Equal(expected.SelectMany(row => row), "the same order of operations");
        Scores(model, mixed).SelectMany(row => row).Should().Equal(expected.SelectMany(row => row));

        string file = Path.Combine(_folder, "model.zip");
        _mlContext.Model.Save(model, View(sparse).Schema, file);
        ITransformer loaded = _mlContext.Model.Load(file, out _);
        Scores(loaded, sparse).SelectMany(row => row).Should().Equal(expected.SelectMany(row => row));
    }

    [Fact]
    public void The_engine_scores_single_rows_as_batches_do_with_zeros_written_out_and_without_any_number()
    {
        ITransformer model = Fit("regression", SparseData.Rows(600, Width));
        List<SparseRow> rows =
        [
            new() { Features = SparseData.Vector(Width, [], []) },
            new() { Features = SparseData.Vector(Width, [5, 150, 4095], [0, 0, 0]) },
            new() { Features = SparseData.Vector(Width, [3, 7], [1, 1]) },
            new() { Features = SparseData.Vector(Width, [3, 5, 7], [1, 0, 1]) },
            new() { Features = SparseData.Vector(Width, [3, 7], [1, float.NaN]) },
        ];
        float[] scores = [.. Scores(model, rows).Select(row => row[0])];

        scores[0].Should().Be(scores[1]);
        scores[2].Should().Be(scores[3]).And.NotBe(scores[0]);
        scores[4].Should().Be(float.NaN);
        SchemaDefinition schema = SchemaDefinition.Create(typeof(SparseRow));
        schema[nameof(SparseRow.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, Width);
        using PredictionEngine<SparseRow, Scored> engine =
            _mlContext.Model.CreatePredictionEngine<SparseRow, Scored>(model, ignoreMissingColumns: true, inputSchemaDefinition: schema);
        rows.Select(row => engine.Predict(row).Score).Should().Equal(scores);
    }

    [Fact]
    public void How_rows_are_stored_and_where_they_are_held_does_not_change_what_is_learnt()
    {
        List<float[]> weights = [];
        foreach (bool dense in new[] { false, true })
            weights.Add(Weights(Fit("binary", SparseData.Rows(300, Width, dense: i => dense && i % 2 == 0))));
        weights[1].Should().Equal(weights[0]);
    }

    [Fact]
    public void A_stream_gives_every_row_once_and_learns_words()
    {
        List<SparseRow> rows = SparseData.Rows(8_000, Width);
        // 164 bytes a row: more than 1 MiB.
        ITransformer model = Fit("binary", rows, o => { o.MemoryBudgetMegabytes = 1; o.NumberOfEpochs = 1; });
        Accuracy("binary", model.Transform(View(SparseData.Rows(300, Width, seed: 2)))).Should().BeGreaterThan(0.85);

        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "Features", new NumberLabel("Target")) { TakesSparse = true };
        using ITrainingRows stream = new RowLoader(columns, 1000, _ => { }, () => { }).Load(View(rows.Take(500).ToList()));
        stream.Should().BeOfType<StreamedRows>();
        List<float[]> found = [];
        foreach (RowBatch batch in stream.Batches(64, orderSeed: 3))
        {
            using (batch)
            using (TorchSharp.torch.NewDisposeScope())
                found.AddRange(batch.Features.ToDense().data<float>().ToArray().Chunk(Width));
        }
        found.Select(Key).Order().Should().Equal(rows.Take(500).Select(row => Key([.. row.Features.DenseValues()])).Order());

        static string Key(float[] row) => string.Join(' ', row.Select((value, slot) => (value, slot)).Where(pair => pair.value != 0));
    }

    [Theory]
    [InlineData(NeuralOdeOptimizer.AdamW, 0.01, null)]
    [InlineData(NeuralOdeOptimizer.Adam, 0.0, 0.1)]
    [InlineData(NeuralOdeOptimizer.Sgd, 0.0, null)]
    public void An_interrupted_training_ends_with_the_same_weights_to_the_last_bit(NeuralOdeOptimizer optimizer, double decay, double? norm)
    {
        List<SparseRow> rows = SparseData.Rows(200, Width);
        float[] expected = Weights(Fit("binary", rows, Set));
        int batches = 0;
        using var source = new CancellationTokenSource();
        FluentActions.Invoking(() => Fit("binary", rows, o =>
        {
            Set(o);
            Keep(o);
            o.CancellationToken = source.Token;
            o.EpochCallback = _ =>
            {
                if (++batches == 2)
                    source.Cancel();
            };
        })).Should().Throw<OperationCanceledException>();

        Weights(Fit("binary", rows, o => { Set(o); Keep(o); })).Should().Equal(expected);

        void Set(NeuralOdePredictorOptions o)
        {
            (o.Optimizer, o.WeightDecay, o.MaximumGradientNorm, o.NumberOfEpochs) = (optimizer, decay, norm, 4);
            o.LearningRate = optimizer == NeuralOdeOptimizer.Sgd ? 0.05 : 0.01;
        }

        void Keep(NeuralOdePredictorOptions o) => (o.CheckpointFolder, o.CheckpointInterval) = (_folder, TimeSpan.Zero);
    }

    [Fact]
    public void A_missing_number_is_told_by_its_slot_and_the_row_is_left_out()
    {
        List<SparseRow> rows = SparseData.Rows(100, Width);
        rows[7].Features = SparseData.Vector(Width, [3, 2000], [1, float.NaN]);
        List<string> log = [];
        _mlContext.Log += (_, e) => log.Add(e.Message);

        Fit("binary", rows, o => o.NumberOfEpochs = 1);

        log.Should()
            .Contain(line =>
                line.Contains("1 rows have values in the feature column 'Features'") && line.Contains("NaN in row 7, slot 2000 first"));
    }

    [Fact]
    public void Zeros_stay_zeros_and_scales_are_those_of_the_numbers_that_are_there()
    {
        List<SparseRow> rows =
        [
            new() { Features = SparseData.Vector(Width, [3, 9], [3, 1]) },
            new() { Features = SparseData.Vector(Width, [3], [-4]) },
            new() { Features = SparseData.Vector(Width, [11], [0]) },
            new() { Features = SparseData.Vector(Width, [9, 4000], [1, 1e-3f]) },
        ];
        using ITrainingRows loaded = Load(rows, RowPart.All);

        (float[] mean, float[] scale) = loaded.Statistics.Features(FeatureNormalization.PerSlot);

        mean.Should().OnlyContain(value => value == 0);
        // The root of the mean of 9 and 16.
        scale[3].Should().BeApproximately((float)(1 / Math.Sqrt(12.5)), 1e-7f);
        scale[9].Should().Be(1);
        scale[11].Should().Be(1, "a written zero is a zero");
        scale[4000].Should().BeApproximately(1000, 0.001f);
        (mean, scale) = loaded.Statistics.Features(FeatureNormalization.Global);
        mean.Should().Equal(0);
        scale[0].Should().BeApproximately((float)Math.Sqrt(5 / (9 + 1 + 16 + 1 + 1e-6)), 1e-6f);
    }

    [Theory]
    [InlineData(1023, 2, false)]
    [InlineData(1024, 64, true)]
    [InlineData(1024, 65, false)]
    public void A_column_is_sparse_from_1024_slots_on_where_one_number_in_sixteen_is_not_zero(int width, int numbers, bool expected)
    {
        List<SparseRow> rows = SparseData.Rows(300, width, numbers, dense: i => i % 2 == 0);
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "Features") { TakesSparse = true };
        using ITrainingRows loaded = new RowLoader(columns, 1 << 30, _ => { }, () => { }).Load(SparseData.View(_mlContext, rows, width));
        loaded.Format.IsSparse.Should().Be(expected);
    }

    [Theory]
    [InlineData(true, 1 << 30)]
    [InlineData(true, 100)]
    [InlineData(false, 1 << 30)]
    [InlineData(false, 100)]
    public void Parts_hold_each_row_once_in_order_and_their_statistics_come_together(bool sparse, int budget)
    {
        List<SparseRow> rows = SparseData.Rows(100, Width, sparse ? 12 : 500);
        rows[5].Features = SparseData.Vector(Width, [0], [float.NaN]);
        using ITrainingRows all = Load(rows, RowPart.All, budget);
        const int Parts = 7;
        var found = new float[99];
        RowStatistics? together = null;
        for (int k = 0; k < Parts; k++)
        {
            using ITrainingRows part = Load(rows, new RowPart(k, Parts), budget);
            part.Format.IsSparse.Should().Be(sparse);
            part.Count.Should().BeInRange(99 / Parts, 99 / Parts + 1);
            float[] weights = Targets(part);
            for (int i = 0; i < weights.Length; i++)
                found[i * Parts + k] = weights[i];
            if (together is null)
                together = part.Statistics;
            else
                together.Merge(part.Statistics);
        }

        found.Should().Equal(Targets(all));
        together!.Count.Should().Be(99);
        together.LabelWeights.Should().BeEquivalentTo(all.Statistics.LabelWeights);
        (float[] mean, float[] scale) = together.Features(FeatureNormalization.PerSlot);
        (float[] expectedMean, float[] expectedScale) = all.Statistics.Features(FeatureNormalization.PerSlot);
        for (int slot = 0; slot < Width; slot++)
        {
            mean[slot].Should().BeApproximately(expectedMean[slot], 1e-6f);
            scale[slot].Should().BeApproximately(expectedScale[slot], 1e-5f * expectedScale[slot]);
        }
        FluentActions.Invoking(() => new RowPart(7, 7)).Should().Throw<ArgumentOutOfRangeException>();
    }

    private static float[] Targets(ITrainingRows rows)
    {
        List<float> found = [];
        foreach (RowBatch batch in rows.Batches(16))
        {
            using (batch)
                found.AddRange(batch.Weights!.data<float>()
                    .ToArray().Zip(batch.Labels!.data<float>().ToArray(), (weight, label) => weight * label));
        }
        return [.. found];
    }

    private ITrainingRows Load(List<SparseRow> rows, RowPart part, int budget = 1 << 30)
    {
        var columns = new RowColumns(
            (Runtime.IExceptionContext)_mlContext, "Features", new NumberLabel("Target"), "Weight")
        { TakesSparse = true, Part = part };
        return new RowLoader(columns, budget, _ => { }, () => { }).Load(View(rows));
    }

    private IDataView View(List<SparseRow> rows) => SparseData.View(_mlContext, rows, Width);

    private ITransformer Fit(string task, List<SparseRow> rows, Action<NeuralOdePredictorOptions>? change = null)
    {
        switch (task)
        {
            case "binary":
                return _mlContext.BinaryClassification.Trainers.NeuralOde(Set(new NeuralOdeBinaryClassificationTrainer.Options()))
                .Fit(View(rows));
            case "multiclass":
                return _mlContext.MulticlassClassification.Trainers.NeuralOde(
                    Set(new NeuralOdeClassificationTrainer.Options { LabelColumnName = "Class" })).Fit(View(rows));
            default:
                return _mlContext.Regression.Trainers.NeuralOde(Set(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Target" }))
                .Fit(View(rows));
        }

        T Set<T>(T options)
            where T : NeuralOdePredictorOptions
        {
            (options.Seed, options.NumberOfEpochs, options.BatchSize, options.LearningRate) = (1, 6, 32, 0.01);
            (options.EncoderLayers, options.DynamicsLayers) = ([19, 8], [8]);
            change?.Invoke(options);
            return options;
        }
    }

    private double Accuracy(string task, IDataView scored) => task switch
    {
        "binary" => _mlContext.BinaryClassification.Evaluate(scored).Accuracy,
        "multiclass" => _mlContext.MulticlassClassification.Evaluate(scored, "Class").MicroAccuracy,
        _ => _mlContext.Regression.Evaluate(scored, "Target").RSquared,
    };

    private float[][] Scores(ITransformer model, List<SparseRow> rows)
    {
        IDataView scored = model.Transform(View(rows));
        return scored.Schema["Score"].Type is VectorDataViewType
            ? [.. scored.GetColumn<float[]>("Score")]
            : [.. scored.GetColumn<float>("Score").Select(score => new[] { score })];
    }

    private static float[] Weights(ITransformer model) =>
        [.. ((NeuralOdeBinaryClassificationTransformer)model).Model.Weights.OrderBy(pair => pair.Key, StringComparer.Ordinal)
            .SelectMany(pair => pair.Value.Values)];

    private sealed class Scored
    {
        public float Score { get; set; }
    }
}
