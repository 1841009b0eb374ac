using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Tests.Support;
using Microsoft.ML.NeuralOde.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>The place between backward and the optimizer's step.</summary>
public class GradientExchangeTests
{
    private readonly MLContext _mlContext = new(1);

    [Fact]
    public void Two_trainings_on_halves_that_sum_their_gradients_end_as_one_on_all_rows()
    {
        float[] expected = Run(RowPart.All, null, batchSize: 200);
        using var meeting = new Meeting();
        var found = new float[2][];

        Thread[] threads = [.. Enumerable.Range(0, 2).Select(k => new Thread(() => found[k] = Run(new RowPart(k, 2), meeting, batchSize: 100)))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());

        meeting.Calls.Should().Be(2 * 20, "one batch an epoch");
        found[0].Should().Equal(found[1]);
        for (int i = 0; i < expected.Length; i++)
            found[0][i].Should().BeApproximately(expected[i], 1e-5f);
    }

    private float[] Run(RowPart part, IGradientExchange? exchange, int batchSize)
    {
        var options = new NeuralOdeRegressionTrainer.Options { NumberOfEpochs = 20, BatchSize = batchSize, LearningRate = 0.1, MaximumGradientNorm = 1 };
        var columns = new RowColumns((Runtime.IExceptionContext)_mlContext, "Features") { Part = part };
        using ITrainingRows rows = new RowLoader(columns, 1 << 20, _ => { }, () => { }).Load(TabularData.View(_mlContext, TabularData.Circle(200)));
        using var trainable = new Centre();
        using var loop = new TrainingLoop(trainable, rows, null, options.Plan(7, null), new TrainingSurroundings(_ => { }, _ => { }, _ => { }, () => { }, exchange));
        loop.Run();
        return trainable.Value;
    }

    /// <summary>Makes the mean of the gradients of two trainings, by what their rows weigh.</summary>
    private sealed class Meeting : IGradientExchange, IDisposable
    {
        private readonly List<(IReadOnlyList<WeightGradient> Gradients, double Weight)> _here = [];
        private readonly Barrier _barrier;

        public Meeting() => _barrier = new Barrier(2, _ => Sum());

        public int Calls { get; private set; }

        public void Exchange(IReadOnlyList<WeightGradient> gradients, double weight)
        {
            lock (_here)
            {
                Calls++;
                _here.Add((gradients, weight));
            }
            _barrier.SignalAndWait();
        }

        public void Dispose() => _barrier.Dispose();

        private void Sum()
        {
            using IDisposable noGrad = no_grad();
            using DisposeScope scope = NewDisposeScope();
            double total = _here.Sum(one => one.Weight);
            for (int i = 0; i < _here[0].Gradients.Count; i++)
            {
                _here[0].Gradients[i].Name.Should().Be("point");
                Tensor sum = _here.Select(one => one.Gradients[i].Values * (one.Weight / total)).Aggregate((a, b) => a + b);
                foreach ((IReadOnlyList<WeightGradient> gradients, double _) in _here)
                    gradients[i].Values.copy_(sum);
            }
            _here.Clear();
        }
    }

    private sealed class Centre : nn.Module, ITrainable, IDisposable
    {
        private readonly Parameter _point;

        public Centre()
            : base(nameof(Centre))
        {
            _point = new Parameter(zeros(2));
            register_parameter("point", _point);
        }

        public float[] Value => _point.detach().data<float>().ToArray();

        public nn.Module Module => this;

        public TrainingMetric? Metric => null;

        public BatchResult Loss(RowBatch batch, TrainingMoment moment)
        {
            Tensor loss = (batch.Features.ToDense() - _point).square().mean();
            return new BatchResult(loss, loss.detach(), batch.Count, null, 0, new SolverStatistics());
        }

        public BatchResult Evaluate(RowBatch batch) => Loss(batch, default);
    }
}
