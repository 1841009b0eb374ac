using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Flows;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Persistence;
using Microsoft.ML.NeuralOde.Scoring;
using Microsoft.ML.NeuralOde.Series;
using Microsoft.ML.NeuralOde.Tests.Series;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>Several ranks, here threads, that train one model.</summary>
public sealed class DistributedTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    /// <summary>A trainer of each kind that takes batches apart in a way of its own.</summary>
    public static TheoryData<string> Kinds =>
        ["table", "adaptive", "adjoint", "weights", "penalties", "sparse", "images", "series", "likelihood", "matching",
            "condition", "stream"];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Gradients_of_two_and_three_ranks_are_those_of_one_process(string kind)
    {
        float[] expected = Gradients(kind, null);
        Norm(expected).Should().BePositive();
        foreach (int size in new[] { 1, 2, 3 })
        {
            (float[]? Result, Exception? Exception)[] found = ThreadGroup.Run(size, group => Gradients(kind, group));
            found.Should().AllSatisfy(rank => rank.Exception.Should().BeNull());
            found.Should().AllSatisfy(rank => rank.Result.Should().Equal(found[0].Result!, "all ranks have the same weights, bit by bit"));
            // The adjoint's own steps, backward in time, depend on the rows at hand within the tolerances.
            double tolerance = kind == "adjoint" ? 1e-3 : 1e-6;
            Norm([.. found[0].Result!.Zip(expected, (a, b) => a - b)]).Should().BeLessThan(tolerance * Norm(expected), $"{size} ranks");
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(7)]
    public void A_whole_training_is_that_of_one_process(int size)
    {
        // 101 rows in batches of 20: shares are unequal, and the last batch, of one row, cannot be shared at all.
        Outcome expected = Train(null);
        (Outcome? Result, Exception? Exception)[] found = ThreadGroup.Run(size, group => Train(group));

        found.Should().AllSatisfy(rank => rank.Exception.Should().BeNull());
        found.Should().AllSatisfy(rank => rank.Result!.Weights.Should().Equal(found[0].Result!.Weights));
        found.Should().AllSatisfy(rank => rank.Result!.Losses.Should().Equal(found[0].Result!.Losses));
        found[0].Result!.Losses.Should().HaveSameCount(expected.Losses, "early stopping comes to the same");
        for (int i = 0; i < expected.Losses.Length; i++)
            found[0].Result!.Losses[i].Should().BeApproximately(expected.Losses[i], 1e-3 * Math.Abs(expected.Losses[i]));
        found[0].Result!.Reports.Should().Be(expected.Losses.Length / 2);
        found.Skip(1).Should().OnlyContain(rank => rank.Result!.Reports == 0, "rank 0 speaks for all");
    }

    [Fact]
    public void An_interrupted_training_goes_on_with_another_number_of_ranks()
    {
        Outcome expected = Train(null);
        Stop(3);
        File.Exists(Path.Combine(_folder, "neuralode.checkpoint")).Should().BeTrue();
        Stop(2);
        (Outcome? Result, Exception? Exception)[] found = ThreadGroup.Run(4, group => Train(group, Kept));

        found.Should().AllSatisfy(rank => rank.Exception.Should().BeNull());
        found[0].Result!.Losses.Should().HaveSameCount(expected.Losses);
        for (int i = 0; i < expected.Losses.Length; i++)
            found[0].Result!.Losses[i].Should().BeApproximately(expected.Losses[i], 1e-3 * Math.Abs(expected.Losses[i]));
        // And a process alone takes up what ranks have left.
        Train(null, Kept).Weights.Should().Equal(found[0].Result!.Weights);

        void Stop(int size)
        {
            (Outcome? Result, Exception? Exception)[] stopped = ThreadGroup.Run(size, group =>
            {
                if (group.Rank == size - 1)
                    group.StopAfter = 40;
                return Train(group, Kept);
            });
            stopped.Should().AllSatisfy(rank => rank.Exception.Should().BeOfType<OperationCanceledException>()
                .Which.Message.Should().StartWith("The training was asked to end in epoch "));
            stopped[0].Exception!.Message.Should().Contain("neuralode.checkpoint");
        }
    }

    public static TheoryData<string, string> Differences => new()
    {
        { "options", "on rank 1 BatchSize is 10 and on rank 0 20" },
        { "seed", "on rank 1 Seed is 8 and on rank 0 7" },
        { "rows", "on rank 1 the training data is *" },
        { "schema", "on rank 1 FeatureColumnName is Inputs and on rank 0 Features" },
        { "package", "on rank 1 the package is 2.0 and on rank 0 1.0" },
    };

    [Theory]
    [MemberData(nameof(Differences))]
    public void Ranks_that_differ_are_told_of_it_all_of_them(string what, string message)
    {
        (Outcome? Result, Exception? Exception)[] found = ThreadGroup.Run(3, group =>
        {
            bool differs = group.Rank == 1;
            group.Pretend("the package", differs && what == "package" ? "2.0" : "1.0");
            return Train(group, options =>
            {
                if (differs && what == "options")
                    options.BatchSize = 10;
                if (differs && what == "seed")
                    options.Seed = 8;
                if (differs && what == "schema")
                    options.FeatureColumnName = "Inputs";
            }, rows: differs && what == "rows" ? 90 : 101);
        });
        found.Should()
            .AllSatisfy(rank => rank.Exception.Should().BeOfType<TrainingGroupException>().Which.Message.Should().Match($"*{message}*"));
    }

    [Fact]
    public void Without_a_seed_of_its_own_every_rank_takes_that_of_the_first()
    {
        (Outcome? Result, Exception? Exception)[] found = ThreadGroup.Run(
            2, group => Train(group, options => options.Seed = null, context: new MLContext(seed: group.Rank)));
        found.Should().AllSatisfy(rank => rank.Exception.Should().BeNull());
        found[1].Result!.Weights.Should().Equal(found[0].Result!.Weights);
    }

    [Fact]
    public void A_rank_that_fails_ends_the_training_of_the_others_with_its_reason()
    {
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        (Outcome? Result, Exception? Exception)[] found = ThreadGroup.Run(3, group => group.Rank == 2
            ? Train(group, rows: 0)
            : Train(group));
        found[2].Exception.Should().BeOfType<InvalidOperationException>();
        found.Take(2).Should().AllSatisfy(rank => rank.Exception.Should().BeOfType<TrainingGroupException>()
            .Which.Message.Should().Be("Rank 2 failed: " + found[2].Exception!.Message));

        found = ThreadGroup.Run(
            2, group => Train(group, options => options.CancellationToken = group.Rank == 1 ? cancelled.Token : default));
        found[1].Exception.Should().BeAssignableTo<OperationCanceledException>();
        found[0].Exception.Should().BeOfType<TrainingGroupException>().Which.Message.Should().StartWith("Rank 1 failed: ");
    }

    [Theory]
    [InlineData(10, 3, new long[] { 4, 3, 3 })]
    [InlineData(3, 3, new long[] { 1, 1, 1 })]
    [InlineData(2, 3, new long[] { 2, 2, 2 })]
    [InlineData(7, 1, new long[] { 7 })]
    public void A_batch_is_shared_evenly_or_not_at_all(long items, int size, long[] counts)
    {
        BatchShare[] shares = [.. Enumerable.Range(0, size).Select(rank => new BatchShare(rank, size))];
        shares.Select(share => share.Of(items).Count).Should().Equal(counts);
        shares.Sum(share => share.Of(items).Count * share.WeightOf(items)).Should().BeApproximately(items, 1e-12);
        if (items >= size)
            shares.SelectMany(share => Enumerable.Range((int)share.Of(items).First, (int)share.Of(items).Count)).Should()
                .Equal(Enumerable.Range(0, (int)items));
        shares.Should().OnlyContain(share => share.Of(items).Count <= share.MostOf(items));
    }

    private void Kept(NeuralOdeTrainerOptions options)
    {
        options.CheckpointFolder = _folder;
        options.CheckpointInterval = TimeSpan.Zero;
    }

    /// <summary>Kinds whose gradient does not depend on where rows stand in a batch; with rows that ranks hold apart.</summary>
    public static TheoryData<string, DistributedRows> HeldApart
    {
        get
        {
            var data = new TheoryData<string, DistributedRows>();
            foreach (string kind in (string[])["table", "adaptive", "weights", "penalties", "sparse", "series", "likelihood", "stream"])
                foreach (DistributedRows rows in (DistributedRows[])[DistributedRows.Parts, DistributedRows.Own])
                    data.Add(kind, rows);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(HeldApart))]
    public void Gradients_of_rows_that_ranks_hold_apart_are_those_of_one_process(string kind, DistributedRows rows)
    {
        float[] expected = Gradients(kind, null, rows);
        foreach (int size in new[] { 1, 2, 3 })
        {
            (float[]? Result, Exception? Exception)[] found = ThreadGroup.Run(size, group => Gradients(kind, group, rows));
            found.Should().AllSatisfy(rank => rank.Exception.Should().BeNull());
            found.Should().AllSatisfy(rank => rank.Result.Should().Equal(found[0].Result!, "all ranks have the same weights, bit by bit"));
            // Statistics are sums in another order, and rows stand elsewhere in the products of matrices.
            Norm([.. found[0].Result!.Zip(expected, (a, b) => a - b)]).Should().BeLessThan(1e-6 * Norm(expected), $"{size} ranks");
        }
    }

    /// <summary>The weights after one step so large that they are the gradient.</summary>
    private static float[] Gradients(string kind, TrainingGroup? group, DistributedRows rows = DistributedRows.Same)
    {
        var mlContext = new MLContext(seed: 5);
        List<TableRow> table = TabularData.Circle(23);
        for (int i = 0; i < table.Count; i++)
            table[i].Weight = 1 + i % 4;
        // More than the smallest budget for rows in memory.
        if (kind == "stream")
            table.ForEach(row => row.Features = [.. row.Features, .. Enumerable.Range(0, 12_000).Select(i => MathF.Sin(i * row.Target))]);
        IDataView view = TabularData.View(mlContext, table);
        return kind switch
        {
            "sparse" => Weights(
                mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Target" }))
                .Fit(Mine(SparseData.View(mlContext, SparseData.Rows(23, 2000), 2000))).Model),
            "images" => Weights(mlContext.Regression.Trainers.NeuralOde(Small(new NeuralOdeRegressionTrainer.Options
            {
                LabelColumnName = "Brightness",
                Network = new ConvolutionalNetwork
                {
                    Channels = 4,
                    Augmentation = new ImageAugmentation { Shift = 1, Rotation = 5, HorizontalFlip = true }
                },
            })).Fit(ImageData.View(mlContext, ImageData.Rows(23, ImageData.Colour), 3, 12, 14)).Model),
            "series" => SeriesWeights(mlContext),
            "likelihood" => Flow(FlowTrainingMethod.MaximumLikelihood, null),
            "matching" => Flow(FlowTrainingMethod.FlowMatching, null),
            "condition" => Flow(FlowTrainingMethod.FlowMatching, "Target"),
            _ => Weights(mlContext.Regression.Trainers.NeuralOde(Table(kind)).Fit(Mine(view)).Model),
        };

        NeuralOdeRegressionTrainer.Options Table(string which)
        {
            var options = Small(new NeuralOdeRegressionTrainer.Options { LabelColumnName = "Target" });
            if (which is "adaptive" or "adjoint")
                options.StepSize = null;
            if (which == "adjoint")
                options.GradientMethod = GradientMethod.Adjoint();
            if (which is "weights" or "penalties")
                options.ExampleWeightColumnName = "Weight";
            if (which == "penalties")
                (options.Regularization, options.SpectralNormPenalty) = (new PathRegularization { KineticEnergy = 0.3 }, 0.1);
            if (which == "stream")
                options.MemoryBudgetMegabytes = 1;
            return options;
        }

        TOptions Small<TOptions>(TOptions options)
            where TOptions : NeuralOdePredictorOptions
        {
            OneStep(options);
            options.EncoderLayers = [6];
            options.DynamicsLayers = [5];
            return options;
        }

        float[] SeriesWeights(MLContext context)
        {
            var options = new NeuralCdeRegressionTrainer.Options
            {
                LabelColumnName = "Slope",
                ChannelCount = 2,
                Width = 4,
                BlockSize = 2,
                HiddenLayers = [4],
                Dropout = 0,
            };
            // What is drawn for a row depends on its place in the batch.
            if (rows != DistributedRows.Same)
                options.Augmentation = SeriesAugmentation.None;
            OneStep(options);
            using NeuralCdeTransformer model = context.Regression.Trainers.NeuralCde(options)
                .Fit(Mine(SeriesData.View(context, SeriesData.Lines(23))));
            using SharedNetwork<CdeNetwork>.Loan loan = model.Model.Borrow();
            return Numbers(loan.Network.ToArrays());
        }

        float[] Flow(FlowTrainingMethod method, string? condition)
        {
            var options = new ContinuousFlowDensityEstimator.Options
            {
                Method = method,
                ConditionColumnName = condition,
                HiddenLayers = [6],
                BatchesPerEpoch = 1,
                PathsPerBatch = 16,
                ExampleWeightColumnName = "Weight",
            };
            OneStep(options);
            using ContinuousFlowDensityTransformer model = mlContext.Transforms.ContinuousFlowDensity(options).Fit(Mine(view));
            using SharedNetwork<FlowNetwork>.Loan loan = model.Model.Borrow();
            return Numbers(loan.Network.ToArrays());
        }

        // Of ranks with rows of their own the first has most, and the last of three none.
        IDataView Mine(IDataView all)
        {
            if (rows != DistributedRows.Own || group is null)
                return all;
            (int skip, int take) = (group.Size, group.Rank) switch
            {
                (1, _) => (0, 23),
                (2, 0) => (0, 19),
                (2, _) => (19, 4),
                (_, 0) => (0, 15),
                (_, 1) => (15, 8),
                _ => (23, 0),
            };
            IDataView mine = skip > 0 ? mlContext.Data.SkipRows(all, skip) : all;
            return take > 0 ? mlContext.Data.TakeRows(mine, take) : mine;
        }

        void OneStep(NeuralOdeTrainerOptions options)
        {
            options.Seed = 3;
            options.NumberOfEpochs = 1;
            options.BatchSize = 23;
            options.Optimizer = NeuralOdeOptimizer.Sgd;
            options.Momentum = 0;
            options.LearningRate = 1e5;
            options.LearningRateSchedule = LearningRateSchedule.Constant;
            options.StepSize = 0.25;
            options.Solver = OdeMethod.Dopri5;
            (options.Distributed, options.DistributedRows) = (group, rows);
            if (options is NeuralOdePredictorOptions predictor)
                predictor.SkipSolverCheck = true;
        }
    }

    /// <summary>A training with validation, early stopping and a last batch of one row.</summary>
    private static Outcome Train(
        TrainingGroup? group, Action<NeuralOdeRegressionTrainer.Options>? set = null, int rows = 101, MLContext? context = null)
    {
        MLContext mlContext = context ?? new MLContext(seed: 5);
        int reports = 0;
        var options = new NeuralOdeRegressionTrainer.Options
        {
            LabelColumnName = "Target",
            Seed = 7,
            NumberOfEpochs = 8,
            BatchSize = 20,
            LearningRate = 0.02,
            EncoderLayers = [6],
            DynamicsLayers = [5],
            ValidationSet = TabularData.View(mlContext, TabularData.Circle(31, seed: 2)),
            EarlyStoppingPatience = 3,
            EpochCallback = _ => reports++,
            SkipSolverCheck = true,
            Distributed = group,
        };
        set?.Invoke(options);
        List<TableRow> table = TabularData.Circle(rows);
        IDataView view = TabularData.View(mlContext, table);
        if (options.FeatureColumnName != "Features")
            view = mlContext.Transforms.CopyColumns(options.FeatureColumnName, "Features").Fit(view).Transform(view);
        if (options.FeatureColumnName != "Features")
            options.ValidationSet = view;
        using NeuralOdeRegressionTransformer model = mlContext.Regression.Trainers.NeuralOde(options).Fit(view);
        return new Outcome(
            Weights(model.Model),
            [.. model.TrainingHistory.SelectMany(report => new[] { report.TrainLoss, report.ValidationLoss!.Value })], reports);
    }

    private static float[] Weights(NeuralOdeModel model)
    {
        using SharedNetwork<NeuralOdeNetwork>.Loan loan = model.Borrow();
        return Numbers(loan.Network.ToArrays());
    }

    private static float[] Numbers(IEnumerable<NamedArray> arrays) => [.. arrays.SelectMany(array => array.Values)];

    private static double Norm(float[] values) => Math.Sqrt(values.Sum(value => (double)value * value));

    private sealed record Outcome(float[] Weights, double[] Losses, int Reports);
}
