using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Tests.Support;
using Microsoft.ML.NeuralOde.Training;
using static TorchSharp.torch;
using Options = Microsoft.ML.NeuralOde.NeuralOdeRegressionTrainer.Options;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>What a loop keeps and says when it ends early, fails or is complete, on a module whose gradient is always 1.</summary>
public sealed class LoopCheckpointTests : IDisposable
{
    private readonly string _folder = Path.Combine(Directory.CreateTempSubdirectory("neuralode-").FullName, "made", "on demand");
    private readonly List<string> _lines = [];

    public void Dispose() => Directory.Delete(Path.Combine(_folder, "..", ".."), recursive: true);

    [Fact]
    public void Weights_that_are_no_numbers_are_not_kept()
    {
        // 3e38 and 1e38 more are infinite: the second batch of the second epoch finds them so.
        NeuralOdeTrainingException found = FluentActions.Invoking(() => Run(o => (o.LearningRate, o.BatchSize) = (1e38, 1)))
            .Should().Throw<NeuralOdeTrainingException>().WithMessage("A weight became NaN or infinite in epoch *").Which;
        found.Checkpoint.Should().Be(Path.Combine(_folder, "neuralode.checkpoint"));
        // What was kept is the last that was good, and can be gone on from.
        Run(o => (o.LearningRate, o.BatchSize, o.NumberOfEpochs) = (1e-9, 1, 3)).Weight.Should().BeInRange(-float.MaxValue, -2.9e38f);
        _lines.Should().Contain(line => line.StartsWith("going on from '", StringComparison.Ordinal));
    }

    /// <summary>Validation losses, the patience, and what a second run is told.</summary>
    [Theory]
    [InlineData(new[] { 3, 4, 5.0 }, 1, "holds 2 of 3 epochs and was stopped early. Its model is returned and nothing is trained.")]
    [InlineData(new[] { 3, 2, 1.0 }, 1, "holds 3 of 3 epochs. Its model is returned and nothing is trained.")]
    public void A_training_that_is_complete_says_how_it_ended(double[] losses, int patience, string message)
    {
        for (int run = 0; run < 2; run++)
        {
            _lines.Clear();
            Run(o => o.EarlyStoppingPatience = patience, losses);
        }
        _lines.Should().ContainSingle().Which.Should().StartWith(
            $"This training is already complete: '{Path.Combine(_folder, "neuralode.checkpoint")}' {message}");
    }

    [Fact]
    public void A_token_ends_a_loop_before_its_next_batch()
    {
        using var source = new CancellationTokenSource();
        source.Cancel();
        FluentActions.Invoking(() => Run(o => o.CancellationToken = source.Token)).Should().Throw<OperationCanceledException>();
    }

    /// <summary>
    /// Two ranks share batches of two rows, are asked to end at some moment, and go on: the means of the epoch are those of all rows.
    /// </summary>
    [Theory]
    [InlineData(6)]
    [InlineData(9)]
    [InlineData(13)]
    public void Ranks_that_are_stopped_within_an_epoch_keep_what_all_have_done(int messages)
    {
        var ends = ThreadGroup.Run(2, group =>
        {
            group.StopAfter = messages;
            return Run(o => o.BatchSize = 2, group: group);
        });
        ends.Should().AllSatisfy(end => end.Exception.Should().BeOfType<OperationCanceledException>());
        var whole = ThreadGroup.Run(2, group => Run(o => o.BatchSize = 2, group: group));
        whole.Should().AllSatisfy(end => end.Exception.Should().BeNull());
        // Of 1, 2, 3, 4, 10.
        whole.Should().AllSatisfy(end => end.Result.Losses.Should().Equal([4, 4, 4], (a, b) => Math.Abs(a - b) < 1e-6));
        _lines.Should().Contain(line => line.StartsWith("going on from '", StringComparison.Ordinal));
        // Three epochs of three batches, each a step of 0.1.
        whole.Should().AllSatisfy(end => end.Result.Weight.Should().BeApproximately(-0.9f, 1e-6f));
    }

    [Fact]
    public void A_training_is_known_by_its_trainer_its_data_and_its_options()
    {
        var options = new Options();
        RowStatistics rows = DenseRows.Statistics(new RowShape(1, 0, false)), others = DenseRows.Statistics(new RowShape(1, 0, false));
        rows.Add([1], [], 1);
        others.Add([2], [], 1);
        SortedDictionary<string, string> identity = CheckpointIdentity.Of(options, rows, null),
            with = CheckpointIdentity.Of(options, rows, others);
        (identity["the trainer"], identity["the training data"], identity["the validation data"], identity["BatchSize"]).Should()
            .Be(("NeuralOdeRegressionTrainer", rows.Describe(), "none", "128"));
        with["the validation data"].Should().Be(others.Describe());

        var then = new CheckpointDescription(7, with, new TrainingState(), []);
        CheckpointIdentity.Compare(then, with, options, "file").Should().BeEmpty("without a seed it takes the checkpoint's");
        FluentActions.Invoking(() => CheckpointIdentity.Compare(then, identity, options, "file")).Should()
            .Throw<InvalidOperationException>().WithMessage(
                $"The checkpoint 'file' belongs to another training: the validation data was {others.Describe()} and is none. Use *");
        (options.Seed, options.LearningRate) = (8, 0.5);
        SortedDictionary<string, string> other = CheckpointIdentity.Of(options, rows, others);
        FluentActions.Invoking(() => CheckpointIdentity.Compare(then, other, options, "file")).Should().Throw<InvalidOperationException>()
            .WithMessage("The checkpoint 'file' belongs to another training: Seed was 7 and is 8. Use *");
        options.Seed = 7;
        other["news"] = "x";
        other.Remove("BatchSize");
        FluentActions.Invoking(() => CheckpointIdentity.Compare(then, other, options, "file")).Should().Throw<InvalidOperationException>()
            .WithMessage("*another training: news was not known and is x; BatchSize was 128 and is not known. Use *");
        other.Remove("news");
        other["BatchSize"] = "128";
        CheckpointIdentity.Compare(then, other, options, "file").Should().Equal("LearningRate was 0.003 and is 0.5");
    }

    /// <summary>Trains on five rows for three epochs; the losses that were reported, and the weight.</summary>
    private (double[] Losses, float Weight) Run(Action<Options> change, double[]? validation = null, TrainingGroup? group = null)
    {
        var options = new Options
        {
            NumberOfEpochs = 3,
            BatchSize = 5,
            Optimizer = NeuralOdeOptimizer.Sgd,
            Momentum = 0,
            LearningRate = 0.1,
            LearningRateSchedule = LearningRateSchedule.Constant,
            CheckpointFolder = _folder,
            CheckpointInterval = TimeSpan.Zero,
            Seed = 1,
        };
        change(options);
        using Team? team = Team.Begin(group);
        var surroundings = new TrainingSurroundings(_ => { }, _ => { }, Say, Say, () => { }, team);
        using ITrainingRows rows = Load(1, 2, 3, 4, 10);
        using ITrainingRows? validated = validation is null ? null : Load(1);
        using CheckpointStore? store = group is null or { Rank: 0 } ? CheckpointStore.Open(options) : null;
        store?.Identify(options, rows.Statistics, validated?.Statistics, Say);
        using var probe = new Probe { ValidationLosses = validation };
        using var loop = new TrainingLoop(probe, rows, validated, options.Plan(1, store), surroundings);
        IReadOnlyList<NeuralOdeEpochReport> reports = loop.Run();
        return ([.. reports.Select(report => report.TrainLoss)], probe.Weight);

        void Say(string line)
        {
            lock (_lines)
                _lines.Add(line);
        }
    }

    private static ITrainingRows Load(params float[] features)
    {
        var mlContext = new MLContext(1);
        return new RowLoader(new RowColumns((Runtime.IExceptionContext)mlContext, "Features"), 1 << 20, _ => { }, () => { })
            .Load(mlContext.Data.LoadFromEnumerable(features.Select(feature => new Row { Features = [feature] }).ToArray()));
    }

    private sealed class Row
    {
        [VectorType(1)]
        public float[] Features { get; set; } = [];
    }

    /// <summary>Its loss is the mean feature; its objective is its weight.</summary>
    private sealed class Probe : nn.Module, ITrainable, IDisposable
    {
        private readonly TorchSharp.Modules.Parameter _weight = new(zeros(1));
        private int _validations;

        public Probe()
            : base(nameof(Probe)) => register_parameter("weight", _weight);

        public double[]? ValidationLosses { get; init; }

        public float Weight => _weight.detach().item<float>();

        public nn.Module Module => this;

        public TrainingMetric? Metric => null;

        public BatchResult Loss(RowBatch batch, TrainingMoment moment) => Result(batch) with { Objective = _weight.sum() };

        public BatchResult Evaluate(RowBatch batch) => Result(batch) with { Loss = tensor(ValidationLosses![_validations++]) };

        private static BatchResult Result(RowBatch batch)
        {
            Tensor loss = batch.Features.ToDense().mean();
            return new BatchResult(loss, loss, batch.Count, null, 0, ScheduleTests.Cost(1));
        }
    }
}
