using Microsoft.ML.Data;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>What the loop reports, and by how much it moves the weights, on a module whose gradient is always (3, 4).</summary>
public class LoopAmountTests
{
    private static readonly TrainingSurroundings Silent = new(_ => { }, _ => { }, _ => { }, _ => { }, () => { });

    /// <summary>Options of one step of size 0.1 from the weights (1, −2), and where it leads.</summary>
    public static TheoryData<string, Action<NeuralOdeRegressionTrainer.Options>, double[]> OneStep => new()
    {
        { "nothing else", _ => { }, [1 - 0.3, -2 - 0.4] },
        { "a gradient cut to length 1", o => o.MaximumGradientNorm = 1, [1 - 0.06, -2 - 0.08] },
        { "a gradient cut to length 2.5", o => o.MaximumGradientNorm = 2.5, [1 - 0.15, -2 - 0.2] },
        { "a gradient that is short enough", o => o.MaximumGradientNorm = 5.1, [1 - 0.3, -2 - 0.4] },
        { "decay as part of the gradient", o => o.WeightDecay = 0.5, [1 - 0.1 * (3 + 0.5), -2 - 0.1 * (4 - 1)] },
        { "decay behind clipping", o => { o.WeightDecay = 0.5; o.MaximumGradientNorm = 1; },
            [1 - 0.1 * (0.6 + 0.5), -2 - 0.1 * (0.8 - 1)] },
        // The first step of Adam is the sign of the gradient.
        { "Adam", o => o.Optimizer = NeuralOdeOptimizer.Adam, [1 - 0.1, -2 - 0.1] },
        { "Adam with decay", o => { o.Optimizer = NeuralOdeOptimizer.Adam; o.WeightDecay = 3; }, [1 - 0.1, -2 + 0.1] },
        { "AdamW", o => o.Optimizer = NeuralOdeOptimizer.AdamW, [1 - 0.1, -2 - 0.1] },
        { "AdamW with decay of its own", o => { o.Optimizer = NeuralOdeOptimizer.AdamW; o.WeightDecay = 3; },
            [1 * 0.7 - 0.1, -2 * 0.7 - 0.1] },
        { "two steps", o => o.NumberOfEpochs = 2, [1 - 0.6, -2 - 0.8] },
        { "two steps with momentum", o => { o.NumberOfEpochs = 2; o.Momentum = 0.5; }, [1 - 0.3 * 2.5, -2 - 0.4 * 2.5] },
        { "three batches", o => o.BatchSize = 2, [1 - 0.9, -2 - 1.2] },
        { "five batches, two epochs", o => { o.BatchSize = 1; o.NumberOfEpochs = 2; }, [1 - 3, -2 - 4] },
        // At 0, 1/3 and 2/3 of the training.
        { "a schedule", o => { o.BatchSize = 2; o.LearningRateSchedule = LearningRateSchedule.CosineAnnealing; },
            [1 - 0.3 * (1 + 0.75 + 0.25), -2 - 0.4 * (1 + 0.75 + 0.25)] },
        { "a warm-up", o => { o.BatchSize = 2; o.WarmUpFraction = 2.0 / 3; }, [1 - 0.3 * 1.5, -2 - 0.4 * 1.5] },
    };

    [Theory]
    [MemberData(nameof(OneStep))]
    public void Weights_move_by_the_amount_that_the_options_say(string what, Action<NeuralOdeRegressionTrainer.Options> change,
        double[] expected)
    {
        using var probe = new Probe();
        Run(probe, change);
        probe.Weights.Should().Equal(expected, (found, wanted) => Math.Abs(found - wanted) < 1e-5, what);
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(3, false)]
    [InlineData(5, false)]
    [InlineData(2, true)]
    [InlineData(5, true)]
    public void Reports_are_means_over_the_weights_of_the_rows_in_memory_and_streamed(int batchSize, bool streamed)
    {
        // Features 1, 2, 3, 4, 10 with weights 1, 1, 2, 0, 4.
        using var probe = new Probe();
        NeuralOdeEpochReport report =
            Run(probe, o => { o.BatchSize = batchSize; o.NumberOfEpochs = 2; }, validation: Rows((2, 1), (6, 3)), streamed: streamed)[1];

        (report.Epoch, report.NumberOfEpochs, report.MetricName, report.LearningRate).Should().Be((2, 2, "RMSE", 0.1));
        report.TrainLoss.Should().BeApproximately((1 + 2 + 6 + 0 + 40) / 8.0, 1e-5);
        report.TrainMetric.Should().BeApproximately(Math.Sqrt((1 + 4 + 18 + 0 + 400) / 8.0), 1e-5);
        report.ValidationLoss.Should().BeApproximately((2 + 18) / 4.0, 1e-5);
        report.ValidationMetric.Should().BeApproximately(Math.Sqrt((4 + 108) / 4.0), 1e-5);
        // One evaluation a row.
        int batches = (5 + batchSize - 1) / batchSize;
        report.NfeForward.Should().BeApproximately(5.0 / batches, 1e-12);
        report.NfeBackward.Should().Be(0);
        report.Seconds.Should().BeInRange(0, 60);
    }

    [Fact]
    public void Rows_without_weights_count_the_same_and_without_validation_there_is_none()
    {
        using var probe = new Probe();
        NeuralOdeEpochReport report = Run(probe, o => o.BatchSize = 2, weighted: false)[0];
        report.TrainLoss.Should().BeApproximately(20 / 5.0, 1e-5);
        report.TrainMetric.Should().BeApproximately(Math.Sqrt(130 / 5.0), 1e-5);
        (report.ValidationLoss, report.ValidationMetric).Should().Be((null, null));
    }

    /// <summary>
    /// Validation losses of eight epochs, the patience, and the number of epochs that are run and the one whose weights are kept.
    /// </summary>
    [Theory]
    [InlineData(new[] { 5, 4, 4.5, 4.2, 4.1, 4.05, 3, 2 }, 1, 3, 2)]
    [InlineData(new[] { 5, 4, 4.5, 4.2, 4.1, 4.05, 3, 2 }, 2, 4, 2)]
    [InlineData(new[] { 5, 4, 4.5, 4.2, 4.1, 4.05, 3, 2 }, 4, 6, 2)]
    [InlineData(new[] { 5, 4, 4.5, 4.2, 4.1, 4.05, 3, 2 }, 5, 8, 8)]
    [InlineData(new[] { 5, 5, 5, 5, 5, 5, 5, 5.0 }, 3, 4, 1)]
    [InlineData(new[] { 8, 7, 6, 5, 4, 3, 2, 3.0 }, 1, 8, 7)]
    [InlineData(new[] { 8, 7, 6, 5, 4, 3, 2, 3.0 }, null, 8, 7)]
    public void A_training_stops_when_its_patience_is_over_and_keeps_the_best_weights(double[] losses, int? patience, int epochs, int best)
    {
        foreach (bool keep in new[] { true, false })
        {
            using var probe = new Probe { ValidationLosses = losses };
            Run(probe, o => { o.NumberOfEpochs = 8; o.EarlyStoppingPatience = patience; o.KeepBestWeights = keep; },
                validation: Rows((1, 1))).Should().HaveCount(epochs);
            probe.Weights[0].Should().BeApproximately(1 - 0.3f * (keep ? best : epochs), 1e-5f);
        }
    }

    [Fact]
    public void Batches_of_weightless_rows_alone_are_nothing_to_learn_from()
    {
        using var probe = new Probe();
        FluentActions.Invoking(() => Run(probe, o => o.BatchSize = 1, rows: Rows((1, 0), (2, 0), (3, 0)))).Should()
            .Throw<InvalidOperationException>()
            .WithMessage("All 3 batches have rows of weight zero only*");
    }

    private static IReadOnlyList<NeuralOdeEpochReport> Run(
        Probe probe, Action<NeuralOdeRegressionTrainer.Options> change, IDataView? rows = null, IDataView? validation = null,
            bool weighted = true, bool streamed = false)
    {
        var options = new NeuralOdeRegressionTrainer.Options
        {
            NumberOfEpochs = 1,
            BatchSize = 5,
            Optimizer = NeuralOdeOptimizer.Sgd,
            Momentum = 0,
            LearningRate = 0.1,
            LearningRateSchedule = LearningRateSchedule.Constant,
        };
        change(options);
        using ITrainingRows training = Load(rows ?? Rows((1, 1), (2, 1), (3, 2), (4, 0), (10, 4)));
        using ITrainingRows? validated = validation is null ? null : Load(validation);
        using var loop = new TrainingLoop(probe, training, validated, options.Plan(7, null), Silent);
        return loop.Run();

        ITrainingRows Load(IDataView data) =>
            new RowLoader(new RowColumns((Runtime.IExceptionContext)new MLContext(1), "Features", null, weighted ? "Weight" : null),
                streamed ? 0 : 1 << 20, _ => { }, () => { }).Load(data);
    }

    private static IDataView Rows(params (float Feature, float Weight)[] rows) =>
        new MLContext(1).Data.LoadFromEnumerable(rows.Select(row => new Row { Features = [row.Feature], Weight = row.Weight }).ToArray());

    private sealed class Row
    {
        [VectorType(1)]
        public float[] Features { get; set; } = [];

        public float Weight { get; set; }
    }

    /// <summary>
    /// Its loss is the mean feature, its figure the mean square; its objective pulls the weights by (3, 4) whatever the rows are.
    /// </summary>
    private sealed class Probe : nn.Module, ITrainable, IDisposable
    {
        private readonly TorchSharp.Modules.Parameter _weights = new(tensor(new[] { 1f, -2f }));
        private int _validations;

        public Probe()
            : base(nameof(Probe)) => register_parameter("weights", _weights);

        /// <summary>What validation is to say epoch by epoch; null for the mean feature.</summary>
        public double[]? ValidationLosses { get; init; }

        public float[] Weights => _weights.detach().data<float>().ToArray();

        public nn.Module Module => this;

        public TrainingMetric? Metric { get; } = new("RMSE", Math.Sqrt);

        public BatchResult Loss(RowBatch batch, TrainingMoment moment) =>
            Result(batch) with { Objective = (_weights * tensor(new[] { 3f, 4f })).sum() };

        public BatchResult Evaluate(RowBatch batch)
        {
            BatchResult result = Result(batch);
            return ValidationLosses is null ? result : result with { Loss = tensor(ValidationLosses[_validations++]) };
        }

        private static BatchResult Result(RowBatch batch)
        {
            Tensor x = batch.Features.ToDense().squeeze(1), w = batch.Weights ?? ones_like(x);
            double weight = w.sum().ToDouble();
            Tensor loss = (x * w).sum() / Math.Max(weight, 1e-30), figure = (x * x * w).sum() / Math.Max(weight, 1e-30);
            return new BatchResult(loss, loss, weight, figure, weight, ScheduleTests.Cost((int)batch.Count));
        }
    }
}
