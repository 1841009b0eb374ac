using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.NeuralOde.Tests.Density;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>Ranks, here threads, each of which holds some of the rows.</summary>
public sealed class DistributedRowsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(20, new long[] { 101 })]
    [InlineData(20, new long[] { 51, 50 })]
    [InlineData(20, new long[] { 97, 0, 3, 1 })]
    [InlineData(1, new long[] { 1, 1, 1 })]
    [InlineData(7, new long[] { 0, 2, 30 })]
    [InlineData(1000, new long[] { 3, 5 })]
    public void Every_row_is_in_one_batch_and_batches_have_a_fair_share_of_each_rank(int batchSize, long[] rows)
    {
        OwnPart[][] parts = [.. Enumerable.Range(0, rows.Length).Select(rank => new RankShares(rows, rank).Parts(batchSize).ToArray())];
        long total = rows.Sum();
        for (int rank = 0; rank < rows.Length; rank++)
        {
            parts[rank].Should().HaveCount((int)((total + batchSize - 1) / batchSize));
            long next = 0;
            for (int batch = 0; batch < parts[rank].Length; batch++)
            {
                OwnPart part = parts[rank][batch];
                part.Start.Should().Be(next);
                next += part.Count;
                part.Total.Should().Be(Math.Min(batchSize, total - batch * batchSize));
                part.First.Should().Be(Enumerable.Range(0, rank).Sum(other => (long)parts[other][batch].Count));
                // As many as its share of all rows so far, but for one.
                Math.Abs(next - rows[rank] * Math.Min(total, (batch + 1.0) * batchSize) / total).Should().BeLessThan(1.5);
            }
            next.Should().Be(rows[rank]);
        }
        for (int batch = 0; batch < parts[0].Length; batch++)
            parts.Sum(rank => (long)rank[batch].Count).Should().Be(parts[0][batch].Total);
    }

    [Theory]
    [InlineData(DistributedRows.Parts, 1)]
    [InlineData(DistributedRows.Parts, 3)]
    [InlineData(DistributedRows.Own, 2)]
    [InlineData(DistributedRows.Own, 4)]
    public void A_training_learns_from_all_rows_and_all_ranks_come_to_the_same(DistributedRows rows, int size)
    {
        Outcome[] found = Run(size, rows);
        found.Should().AllSatisfy(rank => rank.Weights.Should().Equal(found[0].Weights));
        found.Should().AllSatisfy(rank => rank.Losses.Should().Equal(found[0].Losses));
        // The rows of any rank alone are too few, or of the wrong kind, for that.
        Outcome alone = Train(null, DistributedRows.Same);
        found[0].Losses[^1].Should().BeLessThan(1.5 * alone.Losses[^1] + 0.02);
        found[0].Losses.Should().HaveSameCount(alone.Losses);
    }

    [Theory]
    [InlineData(DistributedRows.Parts)]
    [InlineData(DistributedRows.Own)]
    public void A_share_of_the_rows_is_kept_for_validation_by_all_together(DistributedRows rows)
    {
        Outcome[] found = Run(3, rows, options => (options.ValidationSet, options.ValidationFraction) = (null, 0.2));
        found.Should().AllSatisfy(rank => rank.Losses.Should().Equal(found[0].Losses));
        found[0].Losses.Should().OnlyContain(loss => double.IsFinite(loss));
    }

    [Theory]
    [InlineData(DistributedRows.Parts)]
    [InlineData(DistributedRows.Own)]
    public void Rows_that_are_held_apart_go_on_with_another_number_of_ranks(DistributedRows rows)
    {
        (Outcome? Result, Exception? Exception)[] stopped = ThreadGroup.Run(3, group =>
        {
            group.StopAfter = 150;
            return Train(group, rows, Kept);
        });
        stopped.Should().AllSatisfy(rank => rank.Exception.Should().BeOfType<OperationCanceledException>());
        var infos = new List<string>();
        Outcome[] found = Run(2, rows, Kept, infos);
        found[1].Weights.Should().Equal(found[0].Weights);
        infos.Should()
            .Contain(line => line.Contains("going on from", StringComparison.Ordinal), "the rows are the same, whoever holds them");
    }

    [Fact]
    public void Without_any_rows_all_say_so_and_ranks_whose_rows_are_of_other_kinds_are_told_of_it()
    {
        (Outcome? Result, Exception? Exception)[] found = ThreadGroup.Run(2, group => Train(group, DistributedRows.Own, count: 0));
        found.Should().AllSatisfy(rank => rank.Exception.Should().BeOfType<InvalidOperationException>()
            .Which.Message.Should().Be("There is no row to train on in the data of any of the 2 processes."));

        found = ThreadGroup.Run(2, group => Train(group, group.Rank == 0 ? DistributedRows.Own : DistributedRows.Parts));
        found.Should().AllSatisfy(rank => rank.Exception.Should().BeOfType<TrainingGroupException>()
            .Which.Message.Should().Contain("on rank 1 DistributedRows is Parts and on rank 0 Own"));

        found = ThreadGroup.Run(2, group => Train(group, DistributedRows.Own, options =>
        {
            if (group.Rank == 1)
                options.ValidationSet = null;
            options.EarlyStoppingPatience = null;
        }));
        found.Should().AllSatisfy(rank => rank.Exception.Should().BeOfType<TrainingGroupException>()
            .Which.Message.Should().Contain("on rank 1 the validation data is none and on rank 0 given"));
    }

    [Fact]
    public void Keys_of_own_rows_must_stand_for_the_same_classes()
    {
        (string? Result, Exception? Exception)[] found = ThreadGroup.Run(2, group =>
        {
            var mlContext = new MLContext(seed: 3);
            // Each rank's own keys, in the order in which it has met the classes.
            List<Point> points = Blobs.Rows(60);
            if (group.Rank == 1)
                points.Reverse();
            NeuralOdeClassificationTrainer.Options options = Fitted.Options(o => o.NumberOfEpochs = 1);
            (options.Distributed, options.DistributedRows, options.SkipSolverCheck) = (group, DistributedRows.Own, true);
            Fitted.Pipeline(mlContext, options).Fit(Blobs.View(mlContext, points));
            return "trained";
        });
        found.Should().AllSatisfy(rank => rank.Exception.Should().BeOfType<TrainingGroupException>()
            .Which.Message.Should().Contain("what the keys of the label stand for is "));
    }

    [Fact]
    public void Flow_matching_and_detectors_of_anomalies_take_rows_of_ranks()
    {
        (float[]? Result, Exception? Exception)[] found = ThreadGroup.Run(3, group =>
        {
            var mlContext = new MLContext(seed: 3);
            int count = group.Rank == 2 ? 0 : 60 + 40 * group.Rank;
            IDataView view = mlContext.Data.LoadFromEnumerable(DensityRows.Gaussian(count, group.Rank));
            using ContinuousFlowAnomalyTransformer model = mlContext.AnomalyDetection.Trainers.ContinuousFlow(
                new ContinuousFlowAnomalyTrainer.Options
                {
                    HiddenLayers = [8],
                    NumberOfEpochs = 2,
                    BatchSize = 64,
                    Seed = 4,
                    Reshaping = FeatureReshaping.IrregularFeatures,
                    Distributed = group,
                    DistributedRows = DistributedRows.Own,
                }).Fit(view);
            using SharedNetwork<FlowNetwork>.Loan loan = model.Model.Borrow();
            return (float[])[.. loan.Network.ToArrays().SelectMany(array => array.Values)];
        });
        found.Should().AllSatisfy(rank => rank.Exception.Should().BeNull());
        found.Should().AllSatisfy(rank => rank.Result.Should().Equal(found[0].Result!));
    }

    [Fact]
    public void A_forecaster_says_that_it_needs_all_series()
    {
        (string? Result, Exception? Exception)[] found = ThreadGroup.Run(2, group =>
        {
            var mlContext = new MLContext(seed: 3);
            mlContext.Forecasting.LatentOde(new LatentOdeForecastingTrainer.Options
            {
                Horizon = 2,
                Distributed = group,
                DistributedRows = DistributedRows.Own,
            }).Fit(mlContext.Data.LoadFromEnumerable<Support.Point>([]));
            return "trained";
        });
        found.Should().AllSatisfy(rank => rank.Exception.Should().BeOfType<NotSupportedException>()
            .Which.Message.Should().StartWith("LatentOdeForecastingTrainer: DistributedRows is Own."));
    }

    private static Outcome[] Run(
        int size, DistributedRows rows, Action<NeuralOdeRegressionTrainer.Options>? set = null, List<string>? infos = null)
    {
        (Outcome? Result, Exception? Exception)[] found =
            ThreadGroup.Run(size, group => Train(group, rows, set, infos: group.Rank == 0 ? infos : null));
        found.Should().AllSatisfy(rank => rank.Exception.Should().BeNull());
        return [.. found.Select(rank => rank.Result!)];
    }

    private void Kept(NeuralOdeRegressionTrainer.Options options)
    {
        options.CheckpointFolder = _folder;
        options.CheckpointInterval = TimeSpan.Zero;
    }

    /// <summary>Rows of one's own are those of unequal parts of the circle; the last of more than two ranks has none.</summary>
    private static Outcome Train(
        TrainingGroup? group, DistributedRows rows, Action<NeuralOdeRegressionTrainer.Options>? set = null, int count = 101,
        List<string>? infos = null)
    {
        var mlContext = new MLContext(seed: 5);
        if (infos is not null)
            mlContext.Log += (_, e) => infos.Add(e.Message);
        var options = new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            Seed = 7,
            NumberOfEpochs = 6,
            BatchSize = 20,
            LearningRate = 0.02,
            EncoderLayers = [6],
            DynamicsLayers = [5],
            ValidationSet = TabularData.View(mlContext, Mine(TabularData.Circle(31, seed: 2))),
            SkipSolverCheck = true,
            Distributed = group,
            DistributedRows = rows,
        };
        set?.Invoke(options);
        using NeuralOdeRegressionTransformer model =
            mlContext.Regression.Trainers.NeuralOde(options).Fit(TabularData.View(mlContext, Mine(TabularData.Circle(count))));
        using SharedNetwork<NeuralOdeNetwork>.Loan loan = model.Model.Borrow();
        return new Outcome(
            [.. loan.Network.ToArrays().SelectMany(array => array.Values)],
            [.. model.TrainingHistory.SelectMany(report => new[] { report.TrainLoss, report.ValidationLoss!.Value })]);

        List<TableRow> Mine(List<TableRow> all)
        {
            if (rows != DistributedRows.Own || group is null)
                return all;
            int holders = Math.Max(1, Math.Min(group.Size, group.Size > 2 ? group.Size - 1 : 2));
            return [.. all.Where((_, i) => Holder(i, holders) == group.Rank)];
        }

        static int Holder(int row, int holders) => row % 5 == 4 ? Math.Min(1, holders - 1) : row % 7 == 6 ? holders - 1 : 0;
    }

    private sealed record Outcome(float[] Weights, double[] Losses);
}
