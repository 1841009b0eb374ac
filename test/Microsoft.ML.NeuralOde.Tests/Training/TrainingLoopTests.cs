using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Training;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>The loop with a module that is no network and data that have no labels.</summary>
public sealed class TrainingLoopTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("neuralode-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(NeuralOdeOptimizer.AdamW, false)]
    [InlineData(NeuralOdeOptimizer.Sgd, true)]
    public void A_loop_that_is_stopped_after_any_batch_ends_as_one_that_is_not(NeuralOdeOptimizer optimizer, bool streamed)
    {
        float[] expected = Run(optimizer, streamed, null);
        // 7 batches an epoch, 4 epochs: early, at an epoch's end, in between, and in the last batch but one.
        foreach (int batches in new[] { 1, 6, 5, 3, 12 })
            FluentActions.Invoking(() => Run(optimizer, streamed, _folder, batches)).Should().Throw<OperationCanceledException>();

        Run(optimizer, streamed, _folder).Should().Equal(expected);
    }

    [Fact]
    public void Data_without_labels_are_enough_and_the_mean_is_found()
    {
        float[] mean = Run(NeuralOdeOptimizer.AdamW, streamed: false, null, epochs: 60);

        mean[0].Should().BeApproximately(3, 0.1f);
        mean[1].Should().BeApproximately(-1, 0.1f);
    }

    private static float[] Run(NeuralOdeOptimizer optimizer, bool streamed, string? folder, int? stopAfter = null, int epochs = 4)
    {
        var mlContext = new MLContext(1);
        var options = new NeuralOdeRegressionTrainer.Options
        {
            NumberOfEpochs = epochs,
            BatchSize = 32,
            LearningRate = 0.05,
            LearningRateSchedule = LearningRateSchedule.Constant,
            Optimizer = optimizer,
            CheckpointFolder = folder,
            CheckpointInterval = TimeSpan.Zero,
        };
        var random = new Random(2);
        IDataView data = mlContext.Data.LoadFromEnumerable(
            Enumerable.Range(0, 200)
            .Select(_ => new Row { Features = [3 + random.NextSingle() - 0.5f, -1 + random.NextSingle() - 0.5f] }).ToArray());
        var columns = new RowColumns((Runtime.IExceptionContext)mlContext, "Features");
        using ITrainingRows rows = streamed ? Stream(data, columns) : new RowLoader(columns, 1 << 20, _ => { }, () => { }).Load(data);
        using var trainable = new Centre(stopAfter);
        CheckpointStore? store = CheckpointStore.Open(options);
        store?.Identify(options, rows.Statistics, null);
        using var loop = new TrainingLoop(
            trainable, rows, null, options.Plan(7, store), new TrainingSurroundings(_ => { }, _ => { }, _ => { }, _ => { }, () => { }));
        loop.Run().Should().HaveCount(epochs);
        return trainable.Value;
    }

    /// <summary>A pool of 50 rows.</summary>
    private static StreamedRows Stream(IDataView data, RowColumns columns)
    {
        using ITrainingRows all = new RowLoader(columns, 1 << 20, _ => { }, () => { }).Load(data);
        return new StreamedRows(data, columns, all.Format, null, all.Statistics, 50 * columns.ShapeIn(data.Schema).Bytes);
    }

    private sealed class Row
    {
        [Microsoft.ML.Data.VectorType(2)]
        public float[] Features { get; set; } = [];
    }

    /// <summary>
    /// Finds the point with the smallest squared distance from the rows; each distance is disturbed at random, as an estimator's would be.
    /// </summary>
    private sealed class Centre : nn.Module, ITrainable, IDisposable
    {
        private readonly TorchSharp.Modules.Parameter _point;
        private readonly int? _stopAfter;
        private int _batches;

        public Centre(int? stopAfter)
            : base(nameof(Centre))
        {
            _stopAfter = stopAfter;
            _point = new TorchSharp.Modules.Parameter(zeros(2));
            register_parameter("point", _point);
        }

        public float[] Value => _point.detach().data<float>().ToArray();

        public nn.Module Module => this;

        public TrainingMetric? Metric => null;

        public BatchResult Loss(RowBatch batch, TrainingMoment moment)
        {
            if (_batches++ == _stopAfter)
                throw new OperationCanceledException();
            batch.Labels.Should().BeNull();
            Tensor loss = (batch.Features.ToDense() - _point).square().mean() * (1 + 0.01 * new Random(moment.Seed).NextDouble());
            return new BatchResult(loss, loss.detach(), batch.Count, null, 0, new SolverStatistics());
        }

        public BatchResult Evaluate(RowBatch batch) => Loss(batch, default);
    }
}
