using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Tests.Support;

namespace Microsoft.ML.NeuralOde.Tests.Training;

public sealed class CheckpointTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;
    private readonly List<string> _lines = [];

    private string CheckpointFile => Path.Combine(_folder, "neuralode.checkpoint");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(NeuralOdeOptimizer.AdamW, "checkpointed")]
    [InlineData(NeuralOdeOptimizer.Adam, "adjoint")]
    [InlineData(NeuralOdeOptimizer.Sgd, "direct")]
    public void A_training_that_is_interrupted_ends_as_one_that_is_not(NeuralOdeOptimizer optimizer, string gradient)
    {
        (float[] expected, NeuralOdeEpochReport[] history) = Fit(Configure);
        foreach (int epoch in new[] { 1, 4, 5 })
            FluentActions.Invoking(() => Fit(o => { Configure(o); Checkpoint(o); }, stopAfter: epoch))
            .Should().Throw<OperationCanceledException>();

        (float[] found, NeuralOdeEpochReport[] resumed) = Fit(o => { Configure(o); Checkpoint(o); });

        found.Should().Equal(expected);
        resumed.Select(r => (r.Epoch, r.TrainLoss, r.ValidationLoss, r.TrainMetric, r.LearningRate, r.NfeForward))
            .Should().Equal(history.Select(r => (r.Epoch, r.TrainLoss, r.ValidationLoss, r.TrainMetric, r.LearningRate, r.NfeForward)));
        _lines.Count(line => line.Contains("going on from", StringComparison.Ordinal)).Should().Be(3);
        Directory.EnumerateFiles(_folder).Should().Equal(CheckpointFile);

        void Configure(NeuralOdeBinaryClassificationTrainer.Options options)
        {
            options.Optimizer = optimizer;
            options.GradientMethod = GradientMethod.Parse(gradient);
            options.WeightDecay = 1e-3;
            options.LearningRateSchedule = LearningRateSchedule.OneCycle;
            options.FinalTolerances = new SolverTolerances(1e-5, 1e-6);
        }
    }

    [Fact]
    public void A_finished_training_is_not_done_again_and_may_be_made_longer()
    {
        (float[] expected, _) = Fit(Checkpoint);
        _lines.Clear();
        Fit(Checkpoint).Scores.Should().Equal(expected);
        _lines.Count(line => line.Contains("epoch ", StringComparison.Ordinal)).Should().Be(0);

        Fit(o => { Checkpoint(o); o.NumberOfEpochs = 8; }).History.Should().HaveCount(8);
        _lines.Should().Contain(line => line.Contains("NumberOfEpochs was 6 and is 8", StringComparison.Ordinal));
    }

    [Fact]
    public void A_checkpoint_of_another_training_is_refused_with_the_difference_unless_it_is_to_be_overwritten()
    {
        Fit(Checkpoint);
        Action other = () => Fit(o => { Checkpoint(o); o.BatchSize = 11; o.EncoderLayers = [9]; });
        other.Should().Throw<InvalidOperationException>()
            .WithMessage("*another training*BatchSize was 32 and is 11*EncoderLayers was [8] and is [9]*ResumeFromCheckpoint*");

        Fit(o => { Checkpoint(o); o.BatchSize = 11; o.ResumeFromCheckpoint = false; }).History.Should().HaveCount(6);
    }

    [Fact]
    public void Other_data_in_the_same_folder_have_a_file_of_their_own()
    {
        float[] first = Fit(Checkpoint).Scores, alone = Fit(_ => { }, rows: 180).Scores;

        Fit(Checkpoint, rows: 180).Scores.Should().Equal(alone);
        _lines.Should().Contain(line => line.Contains("none of this training (the training data are others)", StringComparison.Ordinal));
        Fit(Checkpoint).Scores.Should().Equal(first);
        Directory.EnumerateFiles(_folder).Should().HaveCount(2);
    }

    [Fact]
    public void A_damaged_checkpoint_is_named_and_nothing_is_trained()
    {
        Fit(Checkpoint);
        byte[] bytes = File.ReadAllBytes(CheckpointFile);
        bytes[^80] ^= 1;
        File.WriteAllBytes(CheckpointFile, bytes);

        Action act = () => Fit(Checkpoint);

        act.Should().Throw<InvalidDataException>().WithMessage($"*{CheckpointFile}*Delete it*checksum*");
    }

    [Fact]
    public void A_training_that_diverges_names_the_epoch_and_the_last_good_checkpoint_which_can_be_taken_up()
    {
        Fit(o => { Checkpoint(o); o.NumberOfEpochs = 2; });

        Action act = () => Fit(o => { Checkpoint(o); o.LearningRate = 1e30; });

        NeuralOdeTrainingException exception = act.Should()
            .Throw<NeuralOdeTrainingException>().WithMessage("*in epoch 3*LearningRate*MaximumGradientNorm*").Which;
        exception.Epoch.Should().Be(3);
        exception.Checkpoint.Should().Be(CheckpointFile);
        Fit(Checkpoint).History.Should().HaveCount(6);
    }

    [Fact]
    public void Without_a_seed_a_resumed_training_keeps_the_seed_it_began_with()
    {
        FluentActions.Invoking(() => Fit(o => { Checkpoint(o); o.Seed = null; }, stopAfter: 2, context: new MLContext()))
            .Should().Throw<OperationCanceledException>();
        string copy = Directory.CreateDirectory(Path.Combine(_folder, "copy")).FullName;
        File.Copy(CheckpointFile, Path.Combine(copy, "neuralode.checkpoint"));

        float[] first = Fit(o => { Checkpoint(o); o.Seed = null; }, context: new MLContext()).Scores;
        float[] second = Fit(o => { Checkpoint(o); o.Seed = null; o.CheckpointFolder = copy; }, context: new MLContext()).Scores;

        second.Should().Equal(first);
    }

    private void Checkpoint(NeuralOdeBinaryClassificationTrainer.Options options)
    {
        options.CheckpointFolder = _folder;
        options.CheckpointInterval = TimeSpan.Zero;
    }

    /// <summary>Trains and scores; cancels after an epoch where that is asked for.</summary>
    private (float[] Scores, NeuralOdeEpochReport[] History) Fit(
        Action<NeuralOdeBinaryClassificationTrainer.Options> change, int? stopAfter = null, int rows = 240, MLContext? context = null)
    {
        MLContext mlContext = context ?? new MLContext(1);
        mlContext.Log += (_, e) => _lines.Add(e.Message);
        using var source = new CancellationTokenSource();
        var options = new NeuralOdeBinaryClassificationTrainer.Options
        {
            NumberOfEpochs = 6,
            BatchSize = 32,
            LearningRate = 0.02,
            LearningRateSchedule = LearningRateSchedule.Constant,
            EncoderLayers = [8],
            DynamicsLayers = [8],
            ValidationFraction = 0.2,
            Seed = 5,
            CancellationToken = source.Token,
        };
        change(options);
        IDataView data = TabularData.View(mlContext, TabularData.Circle(rows));
        options.EpochCallback = report =>
        {
            if (report.Epoch == stopAfter)
                source.Cancel();
        };
        using NeuralOdeBinaryClassificationTransformer model = mlContext.BinaryClassification.Trainers.NeuralOde(options).Fit(data);
        return ([.. model.Transform(data).GetColumn<float>("Score")], [.. model.TrainingHistory]);
    }
}
