using System.Diagnostics;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>What is trained: a module with a loss over numbered rows.</summary>
internal interface ITrainable
{
    nn.Module Module { get; }

    long RowCount { get; }

    /// <summary>The mean loss of some rows, in the graph, how many of them are predicted rightly, and what the solve cost.</summary>
    (Tensor Loss, Tensor Correct, SolverStatistics Statistics) Loss(Tensor rows);

    /// <summary>The accuracy on the validation rows; null without them.</summary>
    double? Validate();
}

/// <summary>How to train.</summary>
internal sealed record TrainingPlan(
    int NumberOfEpochs, int BatchSize, double LearningRate, LearningRateSchedule Schedule, double WeightDecay, double? MaximumGradientNorm, Random Random,
    CancellationToken CancellationToken);

/// <summary>The training loop: shuffled batches, Adam, one report an epoch. Knows no task.</summary>
internal sealed class TrainingLoop
{
    private readonly ITrainable _trainable;
    private readonly TrainingPlan _plan;
    private readonly Action _checkAlive;
    private long _step;

    public TrainingLoop(ITrainable trainable, TrainingPlan plan, Action checkAlive)
    {
        _trainable = trainable;
        _plan = plan;
        _checkAlive = checkAlive;
    }

    private long BatchesPerEpoch => (_trainable.RowCount + _plan.BatchSize - 1) / _plan.BatchSize;

    public IReadOnlyList<NeuralOdeEpochReport> Run(Action<NeuralOdeEpochReport> report)
    {
        var reports = new List<NeuralOdeEpochReport>();
        _trainable.Module.train();
        using var optimizer = optim.Adam(_trainable.Module.parameters(), _plan.LearningRate, weight_decay: _plan.WeightDecay);
        long[] order = new long[_trainable.RowCount];
        for (long i = 0; i < order.Length; i++)
            order[i] = i;
        for (int epoch = 1; epoch <= _plan.NumberOfEpochs; epoch++)
        {
            _plan.Random.Shuffle(order);
            NeuralOdeEpochReport result = RunEpoch(epoch, optimizer, order);
            reports.Add(result);
            report(result);
        }
        _trainable.Module.eval();
        return reports;
    }

    private NeuralOdeEpochReport RunEpoch(int epoch, optim.Optimizer optimizer, long[] order)
    {
        long started = Stopwatch.GetTimestamp();
        using Tensor rows = tensor(order);
        double loss = 0, correct = 0, rate = _plan.LearningRate;
        long forward = 0, backward = 0;
        for (long first = 0; first < order.Length; first += _plan.BatchSize)
        {
            _plan.CancellationToken.ThrowIfCancellationRequested();
            _checkAlive();
            using DisposeScope scope = NewDisposeScope();
            long size = Math.Min(_plan.BatchSize, order.Length - first);
            rate = _plan.Schedule.At(_plan.LearningRate, _step++ / (double)(BatchesPerEpoch * _plan.NumberOfEpochs));
            foreach (optim.ILearningRateController group in optimizer.ParamGroups)
                group.LearningRate = rate;
            optimizer.zero_grad();
            (Tensor batchLoss, Tensor batchCorrect, SolverStatistics statistics) = _trainable.Loss(rows.narrow(0, first, size));
            batchLoss.backward();
            double value = batchLoss.ToDouble();
            Check(value, epoch, statistics);
            if (_plan.MaximumGradientNorm is { } maximum)
                nn.utils.clip_grad_norm_(_trainable.Module.parameters(), maximum);
            optimizer.step();
            loss += value * size;
            correct += batchCorrect.ToInt64();
            forward += statistics.FunctionEvaluations;
            backward += statistics.BackwardEvaluations;
        }
        double? validation = _trainable.Validate();
        return new NeuralOdeEpochReport
        {
            Epoch = epoch,
            NumberOfEpochs = _plan.NumberOfEpochs,
            TrainLoss = loss / order.Length,
            TrainAccuracy = correct / order.Length,
            ValidationAccuracy = validation,
            NfeForward = forward / (double)BatchesPerEpoch,
            NfeBackward = backward / (double)BatchesPerEpoch,
            Seconds = Stopwatch.GetElapsedTime(started).TotalSeconds,
            LearningRate = rate,
        };
    }

    private static void Check(double loss, int epoch, SolverStatistics statistics)
    {
        if (statistics.BackwardFailure is { } failure)
            throw new InvalidOperationException($"The gradients of a batch in epoch {epoch} could not be computed: {failure.Message}", failure);
        if (!double.IsFinite(loss))
            throw new InvalidOperationException(
                $"The loss became {loss} in epoch {epoch}. Lower LearningRate, set MaximumGradientNorm, or normalise the features.");
    }
}
