using System.Diagnostics;
using Microsoft.ML.NeuralOde.Tests.Support;
using Options = Microsoft.ML.NeuralOde.NeuralOdeRegressionTrainer.Options;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>Which checkpoint belongs to which training, and what becomes of those that cannot be written.</summary>
public sealed class CheckpointIdentityTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;
    private readonly List<string> _warnings = [];

    public static TheoryData<string, bool> OtherData
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (string change in new[] { "target", "target of one row", "weights", "weight of one row", "row order", "two rows",
                "features of one row", "one row fewer" })
            {
                data.Add(change, false);
                data.Add(change, true);
            }
            return data;
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(OtherData))]
    public void Other_data_are_never_answered_with_the_model_of_the_first(string change, bool streamed)
    {
        // 20 bytes a row: 60,000 rows are more than 1 MiB.
        List<TableRow> rows = TabularData.Circle(streamed ? 60_000 : 200), changed = [.. rows.Select(Copy)];
        switch (change)
        {
            case "target":
                changed.ForEach(row => row.Target = -row.Target);
                break;
            case "target of one row":
                changed[77].Target += 1;
                break;
            case "weights":
                changed.ForEach(row => row.Weight = 1 + Math.Abs(row.Features[0]));
                break;
            case "weight of one row":
                changed[^1].Weight = 2;
                break;
            case "row order":
                changed.Reverse();
                break;
            case "two rows":
                (changed[3], changed[9]) = (changed[9], changed[3]);
                break;
            case "features of one row":
                changed[5].Features[1] = MathF.BitIncrement(changed[5].Features[1]);
                break;
            default:
                changed.RemoveAt(8);
                break;
        }
        double[] expected = Losses(changed, streamed, null);
        double[] first = Losses(rows, streamed, _folder);
        _warnings.Should().BeEmpty();

        Losses(changed, streamed, _folder).Should().Equal(expected);
        _warnings.Should().ContainSingle().Which.Should().ContainAll(_folder, "the training data");
        Losses(rows, streamed, _folder).Should().Equal(first);
        Losses(changed, streamed, _folder).Should().Equal(expected);
        _warnings.Should().HaveCount(3).And.Subject.Skip(1).Should().OnlyContain(warning => warning.Contains("already complete"));
        Directory.EnumerateFiles(_folder).Should().HaveCount(2);
    }

    [Fact]
    public void Another_explicit_seed_is_another_training()
    {
        Fit(o => o.Seed = 5);
        Fit(o => o.Seed = null);
        Action other = () => Fit(o => o.Seed = 6);
        other.Should().Throw<InvalidOperationException>().WithMessage("*Seed was 5 and is 6*");
    }

    [Fact]
    public void Another_model_to_begin_with_is_another_training()
    {
        using NeuralOdeRegressionTransformer a = Trainer(o => o.Seed = 1, null).Fit(Data()), b = Trainer(o => o.Seed = 2, null).Fit(Data());
        Trainer(_ => { }, _folder).Fit(Data(), a.Model).Dispose();

        Action other = () => Trainer(_ => { }, _folder).Fit(Data(), b.Model);
        other.Should().Throw<InvalidOperationException>().WithMessage("*another training*the model to begin with*");
        Action none = () => Trainer(_ => { }, _folder).Fit(Data());
        none.Should().Throw<InvalidOperationException>().WithMessage("*another training*the model to begin with*");
    }

    [Fact]
    public void Another_validation_set_is_another_training()
    {
        IDataView validation = Data(50, 2), other = Data(50, 3);
        Trainer(_ => { }, _folder).Fit(Data(), validation).Dispose();

        Action act = () => Trainer(_ => { }, _folder).Fit(Data(), other);
        act.Should().Throw<InvalidOperationException>().WithMessage("*another training*the validation data*");
    }

    [Fact]
    public void Another_trainer_on_the_same_numbers_is_another_training()
    {
        var mlContext = new MLContext(1);
        IDataView data = TabularData.View(mlContext,
            [.. TabularData.Circle(200)
                .Select(row => new TableRow { Features = row.Features, Label = row.Label, Target = row.Label ? 1 : 0 })]);
        Trainer(_ => { }, _folder).Fit(data).Dispose();

        Action act = () => mlContext.BinaryClassification.Trainers.NeuralOde(new NeuralOdeBinaryClassificationTrainer.Options
        {
            NumberOfEpochs = 4,
            BatchSize = 32,
            LearningRate = 0.02,
            EncoderLayers = [8],
            DynamicsLayers = [8],
            CheckpointFolder = _folder,
        }).Fit(data);
        act.Should().Throw<InvalidOperationException>().WithMessage("*another training*trainer*");
    }

    [Fact]
    public void A_training_that_is_complete_says_so()
    {
        Fit(_ => { });
        _warnings.Should().BeEmpty();

        Fit(_ => { });
        _warnings.Should().ContainSingle().Which.Should()
            .ContainAll("already complete", "4 of 4 epochs", "neuralode.checkpoint", "ResumeFromCheckpoint", "NumberOfEpochs");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Cross_validation_takes_a_folder_and_goes_on_from_it(bool fraction)
    {
        var mlContext = new MLContext(1);
        double[] alone = Folds(null), kept = Folds(_folder), again = Folds(_folder);

        kept.Should().Equal(alone);
        again.Should().Equal(alone);
        Directory.EnumerateFiles(_folder).Should().HaveCount(3);

        double[] Folds(string? folder) => [.. mlContext.Regression.CrossValidate(
            Data(), Trainer(o => o.ValidationFraction = fraction ? 0.25 : null, folder), numberOfFolds: 3, labelColumnName: "Target")
            .Select(fold => fold.Metrics.MeanSquaredError)];
    }

    [Fact]
    public void A_checkpoint_that_cannot_be_written_is_warned_of_and_tried_again()
    {
        string file = Path.Combine(_folder, "neuralode.checkpoint");
        double[] expected = [.. Trainer(_ => { }, null).Fit(Data()).TrainingHistory.Select(report => report.TrainLoss)];

        // A folder in the file's place: no user may replace that by a file.
        double[] found = Fit(o => o.EpochCallback = report =>
        {
            if (report.Epoch == 1)
            {
                File.Delete(file);
                Directory.CreateDirectory(file);
            }
            if (report.Epoch == 3)
                Directory.Delete(file);
        });

        found.Should().Equal(expected);
        _warnings.Should().ContainSingle().Which.Should().ContainAll(file, "could not be written", "goes on");
        Directory.EnumerateFileSystemEntries(_folder).Should().Equal(file);
        _warnings.Clear();
        Fit(_ => { }).Should().Equal(expected);
        _warnings.Should().ContainSingle().Which.Should().Contain("already complete");
    }

    [Fact]
    public void A_folder_that_vanishes_is_made_again()
    {
        double[] found = Fit(o => o.EpochCallback = report =>
        {
            if (report.Epoch == 2)
                Directory.Delete(_folder, recursive: true);
        });

        found.Should().HaveCount(4);
        File.Exists(Path.Combine(_folder, "neuralode.checkpoint")).Should().BeTrue();
    }

    [Fact]
    public void Two_trainings_of_the_same_data_in_one_folder_are_told_and_others_do_not_disturb_each_other()
    {
        double[] expected = [.. Trainer(_ => { }, null).Fit(Data(180)).TrainingHistory.Select(report => report.TrainLoss)];
        double[] beside = [];
        double[] first = Fit(o => o.EpochCallback = report =>
        {
            if (report.Epoch != 2)
                return;
            Action same = () => Fit(_ => { });
            same.Should().Throw<InvalidOperationException>().WithMessage($"*{_folder}*another training*under way*CheckpointFolder*");
            beside = [.. Trainer(_ => { }, _folder).Fit(Data(180)).TrainingHistory.Select(r => r.TrainLoss)];
        });

        beside.Should().Equal(expected);
        first.Should().Equal(Fit(_ => { }));
        Directory.EnumerateFiles(_folder).Should().HaveCount(2).And.OnlyContain(name => name.EndsWith(".checkpoint"));
    }

    [Fact]
    public void Eight_trainings_at_once_in_one_folder_end_as_they_do_alone()
    {
        double[][] expected = [.. Enumerable.Range(0, 4).Select(i => Losses(i, null))];
        double[][] found = new double[4][];
        int refused = 0;
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
        {
            try
            {
                found[i % 4] = Losses(i % 4, _folder);
            }
            catch (InvalidOperationException exception) when (exception.Message.Contains("under way"))
            {
                Interlocked.Increment(ref refused);
            }
        });

        for (int i = 0; i < 4; i++)
            found[i].Should().Equal(expected[i]);
        refused.Should().BeLessThanOrEqualTo(4);
        Directory.EnumerateFiles(_folder).Should().HaveCount(4).And.OnlyContain(name => name.EndsWith(".checkpoint"));

        static double[] Losses(int i, string? folder)
        {
            var mlContext = new MLContext(1);
            var options = new Options
            {
                LabelColumnName = "Target",
                NumberOfEpochs = 4,
                BatchSize = 32,
                EncoderLayers = [4],
                DynamicsLayers = [4],
                Seed = 5,
                CheckpointFolder = folder,
                CheckpointInterval = TimeSpan.Zero,
            };
            using NeuralOdeRegressionTransformer model = mlContext.Regression.Trainers.NeuralOde(options)
                .Fit(TabularData.View(mlContext, TabularData.Circle(100 + i)));
            return [.. model.TrainingHistory.Select(report => report.TrainLoss)];
        }
    }

    [Fact]
    public void What_a_killed_process_leaves_does_not_stand_in_the_way()
    {
        using Process process = Start("resume", _folder, "100000");
        process.StandardOutput.ReadLine().Should().StartWith("epoch ");
        Directory.EnumerateFiles(_folder).Should().Contain(name => name.EndsWith(".lock"));
        using (Process second = Start("resume", _folder, "100000"))
        {
            second.StandardOutput.ReadToEnd().Should().Contain("InvalidOperationException").And.Contain("under way");
            second.WaitForExit();
        }
        process.Kill();
        process.WaitForExit();
        File.WriteAllBytes(Path.Combine(_folder, "neuralode.checkpoint.0123.new"), [1, 2, 3]);

        using Process third = Start("resume", _folder, "100000");
        third.StandardOutput.ReadLine().Should().StartWith("epoch ");
        third.Kill();
        third.WaitForExit();
        File.Exists(Path.Combine(_folder, "neuralode.checkpoint.0123.new")).Should().BeFalse();
    }

    private static TableRow Copy(TableRow row) =>
        new() { Features = [.. row.Features], Label = row.Label, Target = row.Target, Weight = row.Weight };

    private static Process Start(params string[] arguments) => Programs.Start(Programs.TrainingHost, arguments);

    private double[] Losses(List<TableRow> rows, bool streamed, string? folder)
    {
        var mlContext = new MLContext(1);
        using NeuralOdeRegressionTransformer model = Trainer(
            o =>
            {
                o.NumberOfEpochs = 1;
                o.BatchSize = streamed ? 8192 : 32;
                o.ExampleWeightColumnName = "Weight";
                o.MemoryBudgetMegabytes = streamed ? 1 : 64;
                o.ValidationFraction = 0.25;
            },
            folder).Fit(TabularData.View(mlContext, rows));
        return [.. model.TrainingHistory.Select(report => report.TrainLoss)];
    }

    private double[] Fit(Action<Options> change)
    {
        using NeuralOdeRegressionTransformer model = Trainer(change, _folder).Fit(Data());
        return [.. model.TrainingHistory.Select(report => report.TrainLoss)];
    }

    private NeuralOdeRegressionTrainer Trainer(Action<Options> change, string? folder)
    {
        var mlContext = new MLContext(1);
        mlContext.Log += (_, e) =>
        {
            if (e.Kind == Runtime.ChannelMessageKind.Warning)
                _warnings.Add(e.Message);
        };
        var options = new Options
        {
            LabelColumnName = "Target",
            NumberOfEpochs = 4,
            BatchSize = 32,
            LearningRate = 0.02,
            EncoderLayers = [8],
            DynamicsLayers = [8],
            Seed = 5,
            CheckpointFolder = folder,
            CheckpointInterval = TimeSpan.Zero,
        };
        change(options);
        return mlContext.Regression.Trainers.NeuralOde(options);
    }

    private static IDataView Data(int rows = 200, int seed = 1) => TabularData.View(new MLContext(1), TabularData.Circle(rows, seed));
}
