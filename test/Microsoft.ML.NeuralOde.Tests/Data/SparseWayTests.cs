using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Data;

/// <summary>Wide features on the ways that users go: hashed words, very many slots, single numbers, other solvers, importance, more
/// training.</summary>
public sealed class SparseWayTests : IDisposable
{
    private readonly MLContext _mlContext = new(1);
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Hashed_words_are_learnt_saved_and_scored_one_by_one()
    {
        List<Phrase> phrases = Phrase.Draw(400, seed: 1), others = Phrase.Draw(200, seed: 2);
        IDataView data = _mlContext.Data.LoadFromEnumerable(phrases);
        var model = _mlContext.Transforms.Text.ProduceHashedWordBags("Features", "Text", numberOfBits: 17, ngramLength: 1)
            .Append(_mlContext.BinaryClassification.Trainers.NeuralOde(
                Small(new NeuralOdeBinaryClassificationTrainer.Options { NumberOfEpochs = 5 })))
            .Fit(data);
        IDataView scored = model.Transform(_mlContext.Data.LoadFromEnumerable(others));
        _mlContext.BinaryClassification.Evaluate(scored).Accuracy.Should().BeGreaterThan(0.95);

        string file = Path.Combine(_folder, "words.zip");
        _mlContext.Model.Save(model, data.Schema, file);
        // Two layers and statistics of 131,072 slots, and nothing of their moments.
        new FileInfo(file).Length.Should().BeLessThan(131_072 * (8 + 2) * sizeof(float));
        using PredictionEngine<Phrase, Scored> engine =
            _mlContext.Model.CreatePredictionEngine<Phrase, Scored>(_mlContext.Model.Load(file, out _));
        others.Select(phrase => engine.Predict(phrase).Score).Should().Equal(scored.GetColumn<float>("Score"));
        float.IsFinite(engine.Predict(new Phrase { Text = "" }).Score).Should().BeTrue();
    }

    [Fact]
    public void A_million_slots_and_rows_of_one_number_are_learnt()
    {
        const int Width = 1 << 20;
        List<SparseRow> rows =
        [
            .. Enumerable.Range(0, 200).Select(i => new SparseRow
            {
                Features = SparseData.Vector(Width, [i % 2 == 0 ? i : Width - 1 - i], [1]),
                Label = i % 2 == 0,
            }),
        ];
        IDataView data = SparseData.View(_mlContext, rows, Width);
        NeuralOdeBinaryClassificationTransformer model =
            Fit(new NeuralOdeBinaryClassificationTrainer.Options { NumberOfEpochs = 30, LearningRate = 0.05 }, data);
        _mlContext.BinaryClassification.Evaluate(model.Transform(data)).Accuracy.Should().Be(1);
    }

    [Fact]
    public void A_solver_that_needs_tensors_scores_rows_with_their_zeros_as_without()
    {
        IDataView data = SparseData.View(_mlContext, SparseData.Rows(120, 2048), 2048);
        NeuralOdeBinaryClassificationTransformer model =
            Fit(new NeuralOdeBinaryClassificationTrainer.Options { Solver = OdeMethod.TrBdf2, NumberOfEpochs = 1 }, data);

        float[] sparse = Scores(model, SparseData.Rows(50, 2048, seed: 2));
        float[] dense = Scores(model, SparseData.Rows(50, 2048, seed: 2, dense: _ => true));
        float[] mixed = Scores(model, SparseData.Rows(50, 2048, seed: 2, dense: i => i % 2 == 0));

        for (int i = 0; i < sparse.Length; i++)
        {
            dense[i].Should().BeApproximately(sparse[i], 1e-5f);
            mixed[i].Should().BeApproximately(sparse[i], 1e-5f);
        }

        float[] Scores(ITransformer model, List<SparseRow> rows) =>
            [.. model.Transform(SparseData.View(_mlContext, rows, 2048)).GetColumn<float>("Score")];
    }

    [Fact]
    public void The_slots_that_matter_are_found_by_permutation()
    {
        // The first slot alone decides; the other numbers are noise.
        var random = new Random(3);
        List<SparseRow> rows =
        [
            .. Enumerable.Range(0, 120).Select(i =>
            {
                var slots = new SortedSet<int> { 20 + random.Next(1000), 20 + random.Next(1000) };
                if (i % 2 == 0)
                    slots.Add(7);
                return new SparseRow { Features = SparseData.Vector(1024, [.. slots], [.. slots.Select(_ => 1f)]), Label = i % 2 == 0 };
            }),
        ];
        IDataView data = SparseData.View(_mlContext, rows, 1024);
        NeuralOdeBinaryClassificationTransformer model =
            Fit(new NeuralOdeBinaryClassificationTrainer.Options { NumberOfEpochs = 15 }, data);

        var importance = _mlContext.BinaryClassification.PermutationFeatureImportance(model, data, permutationCount: 1);

        importance.Should().HaveCount(1024);
        importance.Select((metrics, slot) => (metrics.Accuracy.Mean, slot)).Min().slot.Should().Be(7);
    }

    [Fact]
    public void Training_goes_on_from_a_model_of_sparse_features()
    {
        IDataView data = SparseData.View(_mlContext, SparseData.Rows(200, 2048), 2048);
        var options = new NeuralOdeBinaryClassificationTrainer.Options { NumberOfEpochs = 4 };
        NeuralOdeBinaryClassificationTransformer first = Fit(options, data);
        NeuralOdeBinaryClassificationTransformer second =
            _mlContext.BinaryClassification.Trainers.NeuralOde(options).Fit(data, validationData: null, first.Model);

        double LogLoss(ITransformer model) => _mlContext.BinaryClassification.Evaluate(model.Transform(data)).LogLoss;
        LogLoss(second).Should().BeLessThan(LogLoss(first));
    }

    [Fact]
    public void A_flow_says_what_wide_features_cost_it()
    {
        List<string> log = [];
        _mlContext.Log += (_, e) => log.Add(e.Message);
        IDataView data = SparseData.View(_mlContext, SparseData.Rows(40, 4096), 4096);

        _mlContext.Transforms.ContinuousFlowDensity(
            new ContinuousFlowDensityEstimator.Options { NumberOfEpochs = 1, HiddenLayers = [2], BatchSize = 32 }).Fit(data);

        log.Should().Contain(line => line.Contains("has 4096 slots") && line.Contains("ProjectToPrincipalComponents"));
    }

    private NeuralOdeBinaryClassificationTransformer Fit(NeuralOdeBinaryClassificationTrainer.Options options, IDataView data) =>
        _mlContext.BinaryClassification.Trainers.NeuralOde(Small(options)).Fit(data);

    private static NeuralOdeBinaryClassificationTrainer.Options Small(NeuralOdeBinaryClassificationTrainer.Options options)
    {
        (options.Seed, options.BatchSize, options.EncoderLayers, options.DynamicsLayers) = (1, 32, [8], [6]);
        if (options.LearningRate < 0.01)
            options.LearningRate = 0.01;
        return options;
    }

    private sealed class Phrase
    {
        public string Text { get; set; } = "";

        public bool Label { get; set; }

        public static List<Phrase> Draw(int count, int seed)
        {
            var random = new Random(seed);
            return
            [
                .. Enumerable.Range(0, count).Select(i => new Phrase
                {
                    Text = string.Join(' ',
                        Enumerable.Range(0, 8)
                        .Select(k => $"{(k > 3 ? "" : i % 2 == 0 ? "good" : "bad")}{random.Next(k > 3 ? 5000 : 30)}")),
                    Label = i % 2 == 0,
                }),
            ];
        }
    }

    private sealed class Scored
    {
        public float Score { get; set; }
    }
}
