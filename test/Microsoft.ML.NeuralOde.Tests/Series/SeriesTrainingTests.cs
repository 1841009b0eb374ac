using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Tests.Support;
using TorchSharp;

namespace Microsoft.ML.NeuralOde.Tests.Series;

/// <summary>What trainers on series have in common with all others: seeds, validation, streaming, checkpoints, cancellation,
/// files.</summary>
public sealed class SeriesTrainingTests : IDisposable
{
    private readonly MLContext _mlContext = new(1);
    private readonly TemporaryFolder _folder = new();
    private readonly List<SeriesRow> _rows = SeriesData.Lines(64);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_seed_decides_and_an_interrupted_training_ends_as_one_that_is_not()
    {
        (float[] expected, NeuralCdeTransformer whole) = Fit(Configure);
        Fit(Configure).Scores.Should().Equal(expected);
        Fit(options => { Configure(options); options.Seed = 2; }).Scores.Should().NotEqual(expected);
        foreach (int epoch in new[] { 1, 3 })
        {
            using var stop = new CancellationTokenSource();
            FluentActions.Invoking(() => Fit(options =>
            {
                Configure(options);
                Checkpoint(options);
                options.CancellationToken = stop.Token;
                options.EpochCallback = report =>
                {
                    if (report.Epoch == epoch)
                        stop.Cancel();
                };
            })).Should().Throw<OperationCanceledException>();
        }

        (float[] found, NeuralCdeTransformer resumed) = Fit(options => { Configure(options); Checkpoint(options); });
        found.Should().Equal(expected);
        resumed.TrainingHistory.Select(report => (report.TrainLoss, report.ValidationLoss))
            .Should().Equal(whole.TrainingHistory.Select(report => (report.TrainLoss, report.ValidationLoss)));
        FluentActions.Invoking(() => Fit(options => { Configure(options); Checkpoint(options); options.Width = 4; }))
            .Should().Throw<InvalidOperationException>()
            .WithMessage("*another training*Width was 8 and is 4*");

        void Configure(NeuralCdeBinaryClassificationTrainer.Options options)
        {
            options.NumberOfEpochs = 5;
            options.ValidationFraction = 0.25;
            options.EarlyStoppingPatience = 5;
            options.Dropout = 0.2;
        }

        void Checkpoint(NeuralCdeBinaryClassificationTrainer.Options options)
        {
            options.CheckpointFolder = _folder.Path;
            options.CheckpointInterval = TimeSpan.Zero;
        }
    }

    [Fact]
    public void Training_goes_on_from_a_model_of_the_same_structure()
    {
        NeuralCdeTransformer first = Fit(options => options.NumberOfEpochs = 6).Model;
        NeuralCdeBinaryClassificationTrainer.Options options =
            SeriesData.Small(new NeuralCdeBinaryClassificationTrainer.Options { LabelColumnName = "IsUp" }, epochs: 1);
        options.LearningRate = 1e-6;
        NeuralCdeTransformer second = _mlContext.BinaryClassification.Trainers.NeuralCde(options).Fit(View(), first.Model);

        second.TrainingHistory[0].TrainLoss.Should().BeApproximately(first.TrainingHistory[^1].TrainLoss, 0.1);
        options.Width = 16;
        FluentActions.Invoking(() => _mlContext.BinaryClassification.Trainers.NeuralCde(options).Fit(View(), first.Model))
            .Should().Throw<ArgumentException>()
            .WithMessage("*another structure*Width 16 and 8*");
    }

    [Theory]
    [InlineData(20)]
    [InlineData(1000)]
    public void A_stream_gives_every_series_once_an_epoch_with_its_label(int poolRows)
    {
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "Values", new NumberLabel("Slope"), "Weight")
        {
            Series = new SeriesColumns("Times", ["Values"], 2),
        };
        IDataView data = View();
        using ITrainingRows memory = new RowLoader(columns, 1 << 20, _ => { }, () => { }).Load(data);
        memory.Should().BeOfType<MemoryRows>();
        long bytes = (long)(poolRows * (memory.Statistics.MeanFeatureBytes + 8));
        using var stream = new StreamedRows(data, columns, memory.Format, null, memory.Statistics, bytes);

        (float Slope, float First)[] inOrder = Rows(memory.Batches(10));
        Rows(stream.Batches(10)).Should().Equal(inOrder);
        Rows(stream.Batches(10, orderSeed: 1)).Should().NotEqual(inOrder).And.BeEquivalentTo(inOrder);
        (float Slope, float First)[] shuffled = Rows(memory.Batches(10, orderSeed: 1));
        shuffled.Should().BeEquivalentTo(inOrder).And.NotEqual(inOrder);
        Rows(memory.Batches(10, orderSeed: 1, firstBatch: 2)).Should().Equal(shuffled.Skip(20), "a seed decides");
        Rows(memory.Batches(10, orderSeed: 2)).Should().NotEqual(shuffled);
        Groups(memory.Batches(10, orderSeed: 1)).Should().BeLessThan(Groups(memory.Batches(10)), "like is with like");
        using ITrainingRows small = new RowLoader(columns, 1 << 10, _ => { }, () => { }).Load(data);
        small.Should().BeOfType<StreamedRows>();
        small.Statistics.CheckNumber.Should().Be(memory.Statistics.CheckNumber);

        static int Groups(IEnumerable<RowBatch> batches)
        {
            using DisposeScope scope = torch.NewDisposeScope();
            return batches.Sum(batch => ((SeriesRows)batch.Features).Groups().Count());
        }

        static (float Slope, float First)[] Rows(IEnumerable<RowBatch> batches)
        {
            var found = new List<(float, float)>();
            foreach (RowBatch batch in batches)
            {
                using DisposeScope scope = torch.NewDisposeScope();
                float[] firsts = new float[batch.Count];
                foreach (SeriesGroupRows group in ((SeriesRows)batch.Features).Groups())
                    for (int i = 0; i < group.Places.Length; i++)
                        firsts[group.Places[i]] = group.Values[i, 1, 1].item<float>();
                found.AddRange(batch.Labels!.data<float>().ToArray().Zip(firsts));
                batch.Dispose();
            }
            return [.. found];
        }
    }

    [Fact]
    public void Statistics_are_of_observed_values_and_of_times()
    {
        var format = new SeriesFormat(2);
        float[] first = [0, 0, 1, float.NaN, 2, 0, 3, 10], second = [0, 0, 5, float.NaN, 4, 0.5f, float.NaN, 30];
        var all = new RowStatistics(format, new RowShape(2, 0, false));
        var one = new RowStatistics(format, new RowShape(2, 0, false));
        all.Add(new RowValues(first, default), [], 1);
        one.Add(new RowValues(second, default), [], 1);
        all.Merge(one);

        (float[] mean, float[] scale) = all.Features(FeatureNormalization.PerSlot);
        mean.Should().Equal(3, 20);
        scale[0].Should().BeApproximately(1 / MathF.Sqrt(8f / 3), 1e-6f);
        scale[1].Should().BeApproximately(0.1f, 1e-6f);
        all.MeanSpan.Should().Be((2 + 4.5) / 2);
        (float[] overall, float[] _) = all.Features(FeatureNormalization.Global);
        overall[0].Should().BeApproximately((1 + 3 + 5 + 10 + 30) / 5f, 1e-5f);
        overall[1].Should().Be(overall[0]);
    }

    [Fact]
    public void What_is_filled_up_is_bounded_by_a_share_of_what_is_there_whatever_the_longest()
    {
        var random = new Random(1);
        List<float[]> rows = [.. Enumerable.Range(0, 200).Select(i => new float[3 * (i == 7 ? 10_000 : random.Next(1, 60))])];
        using DisposeScope scope = torch.NewDisposeScope();
        SeriesGroupRows[] groups = [.. new SeriesRows(1, rows).Groups()];

        groups.SelectMany(group => group.Places).Order().Should().Equal(Enumerable.Range(0, 200).Select(i => (long)i));
        groups.Sum(group => group.Times.numel()).Should().BeLessThan((long)(1.6 * rows.Sum(row => row.Length / 3)));
        groups.Should().HaveCountLessThan(15);
    }

    [Fact]
    public void Saved_and_sealed_models_say_the_same_and_damaged_ones_are_refused()
    {
        (float[] expected, NeuralCdeTransformer model) = Fit(_ => { });
        string file = Path.Combine(_folder.Path, "model.zip");
        _mlContext.Model.SaveSealed(model, View().Schema, file);
        ITransformer loaded = _mlContext.Model.LoadSealed(file, out _);
        Scores(loaded).Should().Equal(expected);
        loaded.Should().BeOfType<NeuralCdeTransformer>().Which.TrainingHistory.Should().HaveCount(2);

        byte[] archive = File.ReadAllBytes(file);
        var random = new Random(1);
        for (int i = 0; i < 25; i++)
        {
            byte[] damaged = Persistence.Mutations.Replace(archive, payload =>
            {
                byte[] bytes = [.. payload];
                bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                return bytes;
            });
            FluentActions.Invoking(() => _mlContext.Model.LoadSealed(new MemoryStream(damaged), out _))
                .Should().Throw<InvalidDataException>();
        }
        model.Dispose();
        FluentActions.Invoking(() => model.Transform(View())).Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    public void Several_threads_score_at_once()
    {
        (float[] expected, NeuralCdeTransformer model) = Fit(_ => { });
        Parallel.For(0, 8, _ => Scores(model).Should().Equal(expected));
    }

    private IDataView View() => SeriesData.View(_mlContext, _rows);

    private float[] Scores(ITransformer model) => [.. model.Transform(View()).GetColumn<float>("Score")];

    private (float[] Scores, NeuralCdeTransformer Model) Fit(Action<NeuralCdeBinaryClassificationTrainer.Options> change)
    {
        NeuralCdeBinaryClassificationTrainer.Options options =
            SeriesData.Small(new NeuralCdeBinaryClassificationTrainer.Options { LabelColumnName = "IsUp" });
        change(options);
        NeuralCdeTransformer model = _mlContext.BinaryClassification.Trainers.NeuralCde(options).Fit(View());
        return (Scores(model), model);
    }
}
