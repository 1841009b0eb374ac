using System.Diagnostics;
using Microsoft.ML.Data;
using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Benchmarks.Workloads;

/// <summary>
/// What a trainer adds to the steps of its network: the convolutional ODE-Net in as many batches by a loop of one's own over modules, and by
/// the classification trainer with rows, normalisation, metrics and reports. Steps of one size, so that both evaluate the equation as often.
/// </summary>
internal static class TrainerWorkloads
{
    private const int BatchSize = 128, Channels = 64, Side = 28, Classes = 10;
    private const double LearningRate = 1e-3, StepSize = 0.5;

    public static IEnumerable<WorkloadGroup> Create(Digits digits, bool quick)
    {
        yield return new WorkloadGroup(null,
        [
            Workload("ODE-Net, 20 batches in two steps of rk4, bare modules", () => TrainModules(digits, quick)),
            Workload("ODE-Net, 20 batches in two steps of rk4, through the trainer", () => TrainByTrainer(digits, quick)),
        ]);

        static Workload Workload(string name, Func<Outcome> ours) => new(name, "s", HigherIsBetter: false, ours, _ => null);
    }

    private static (int Size, int Batches) Amount(bool quick) => quick ? (4, 1) : (BatchSize, 20);

    private static Outcome TrainModules(Digits digits, bool quick)
    {
        (int size, int batches) = Amount(quick);
        random.manual_seed(0);
        using DisposeScope outer = NewDisposeScope();
        Module<Tensor, Tensor> down = OdeNetWorkloads.Down(Channels), head = OdeNetWorkloads.Head(Channels, Classes);
        var block = new OdeBlock(
            new ConvolutionalDynamics(Channels), 1, new OdeSolverOptions { Method = OdeMethod.Rk4, StepSize = StepSize });
        using var optimizer = new AdamOptimizer([.. down.parameters(), .. block.parameters(), .. head.parameters()], LearningRate);
        double seconds = 0, last = 0, forward = 0;
        // The first pass over the batches is not counted, as the trainer's first epoch is not.
        for (int epoch = 0; epoch < 2; epoch++)
        {
            long started = Stopwatch.GetTimestamp();
            for (int b = 0; b < batches; b++)
            {
                using DisposeScope scope = NewDisposeScope();
                optimizer.ZeroGradients();
                OdeSolution solution = block.Solve(down.call(digits.TrainImages.narrow(0, b * size, size).reshape(-1, 1, Side, Side)));
                Tensor loss = functional.cross_entropy(head.call(solution.Final), digits.TrainLabels.narrow(0, b * size, size));
                loss.backward();
                optimizer.Step();
                last = loss.ToDouble();
                forward = solution.Statistics.FunctionEvaluations;
            }
            seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        }
        return new Outcome(seconds / batches * 20, forward, 0, last);
    }

    private static Outcome TrainByTrainer(Digits digits, bool quick)
    {
        (int size, int batches) = Amount(quick);
        var mlContext = new MLContext(0);
        IDataView data = Rows(mlContext, digits, size * batches);
        var options = new NeuralOdeClassificationTrainer.Options
        {
            Network = new ConvolutionalNetwork { Channels = Channels },
            Solver = OdeMethod.Rk4,
            StepSize = StepSize,
            LearningRate = LearningRate,
            BatchSize = size,
            NumberOfEpochs = 2,
            SkipSolverCheck = true,
            Seed = 0,
        };
        using NeuralOdeClassificationTransformer model = mlContext.MulticlassClassification.Trainers.NeuralOde(options).Fit(data);
        NeuralOdeEpochReport epoch = model.TrainingHistory[^1];
        return new Outcome(epoch.Seconds / batches * 20, epoch.NfeForward, epoch.NfeBackward, epoch.TrainLoss);
    }

    private static IDataView Rows(MLContext mlContext, Digits digits, int count)
    {
        float[] pixels = [.. digits.TrainImages.narrow(0, 0, count).contiguous().data<float>()];
        long[] labels = [.. digits.TrainLabels.narrow(0, 0, count).contiguous().data<long>()];
        SchemaDefinition schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, Side, Side);
        schema[nameof(Row.Label)].ColumnType = new KeyDataViewType(typeof(uint), Classes);
        return mlContext.Data.LoadFromEnumerable(labels.Select((label, i) => new Row
        {
            Features = pixels[(i * Side * Side)..((i + 1) * Side * Side)],
            Label = (uint)label + 1,
        }).ToList(), schema);
    }

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public uint Label { get; set; }
    }
}
