using System.Diagnostics;
using Microsoft.ML.NeuralOde.Data;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>What a training loop tells and asks its surroundings.</summary>
/// <param name="Report">Takes the report of each epoch.</param>
/// <param name="Info">Takes a line for the log.</param>
/// <param name="Warn">Takes a warning.</param>
/// <param name="CheckAlive">Throws where the training is to end.</param>
internal sealed record TrainingSurroundings(Action<NeuralOdeEpochReport> Report, Action<string> Info, Action<string> Warn, Action CheckAlive);

/// <summary>The training loop: shuffled batches, an optimizer, one report an epoch, validation, early stopping. Knows a module with a loss and no task.</summary>
internal sealed class TrainingLoop
{
    private readonly ITrainable _trainable;
    private readonly ITrainingRows _rows;
    private readonly ITrainingRows? _validation;
    private readonly TrainingPlan _plan;
    private readonly TrainingSurroundings _surroundings;
    private readonly EvaluationMonitor _monitor;
    private readonly TrainingState _state = new();
    private ModuleSnapshot? _best;

    public TrainingLoop(ITrainable trainable, ITrainingRows rows, ITrainingRows? validation, TrainingPlan plan, TrainingSurroundings surroundings)
    {
        if (plan.EarlyStoppingPatience is not null && validation is null)
            throw new InvalidOperationException(
                $"EarlyStoppingPatience is {plan.EarlyStoppingPatience}, but there are no validation data: set ValidationFraction or ValidationSet, or use Fit(train, validation).");
        _trainable = trainable;
        _rows = rows;
        _validation = validation;
        _plan = plan;
        _surroundings = surroundings;
        _monitor = new EvaluationMonitor(surroundings.Warn);
    }

    private long BatchesPerEpoch => (_rows.Count + _plan.BatchSize - 1) / _plan.BatchSize;

    /// <summary>Trains the module, which is left with the weights to keep and in evaluation mode.</summary>
    /// <returns>The reports of all epochs.</returns>
    /// <exception cref="NeuralOdeTrainingException">The training diverged.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public IReadOnlyList<NeuralOdeEpochReport> Run()
    {
        try
        {
            using OptimizerHelper optimizer = TorchOptimizer.Create(_plan, _trainable.Module);
            while (_state.CompletedEpochs < _plan.NumberOfEpochs && !_state.IsStopped)
                RunEpoch(optimizer);
            _best?.Restore(_trainable.Module);
            _trainable.Module.eval();
            return _state.Reports;
        }
        finally
        {
            _best?.Dispose();
        }
    }

    private void RunEpoch(OptimizerHelper optimizer)
    {
        long started = Stopwatch.GetTimestamp();
        int epoch = _state.CompletedEpochs + 1;
        EpochSums sums = _state.Sums;
        double rate = 0;
        _trainable.Module.train();
        foreach (RowBatch batch in _rows.Batches(_plan.BatchSize, Seeds.Order(_plan.Seed, epoch), sums.Batches))
        {
            using (batch)
            {
                CheckAlive();
                rate = RunBatch(batch, optimizer, sums, epoch);
            }
        }
        _monitor.EndEpoch(sums.Forward / (double)sums.Batches, epoch);
        (double Loss, double? Metric)? validation = Validate();
        var report = new NeuralOdeEpochReport
        {
            Epoch = epoch,
            NumberOfEpochs = _plan.NumberOfEpochs,
            TrainLoss = sums.Loss / sums.Weight,
            ValidationLoss = validation?.Loss,
            MetricName = _trainable.Metric?.Name,
            TrainMetric = _trainable.Metric?.Finish(sums.Figure / sums.FigureWeight),
            ValidationMetric = validation?.Metric,
            NfeForward = sums.Forward / (double)sums.Batches,
            NfeBackward = sums.Backward / (double)sums.Batches,
            Seconds = Stopwatch.GetElapsedTime(started).TotalSeconds,
            LearningRate = rate,
        };
        _state.Reports.Add(report);
        _state.Sums = new EpochSums();
        Judge(report);
        _surroundings.Report(report);
    }

    private double RunBatch(RowBatch batch, OptimizerHelper optimizer, EpochSums sums, int epoch)
    {
        using DisposeScope scope = NewDisposeScope();
        double progress = _state.Step / (double)(BatchesPerEpoch * _plan.NumberOfEpochs);
        double rate = _plan.LearningRates.At(progress);
        foreach (optim.ILearningRateController group in optimizer.ParamGroups)
            group.LearningRate = rate;
        optimizer.zero_grad();
        try
        {
            BatchResult result = _trainable.Loss(batch, new TrainingMoment(Seeds.Batch(_plan.Seed, _state.Step), progress));
            result.Objective.backward();
            double loss = result.Loss.ToDouble();
            if (result.Statistics.BackwardFailure is { } failure)
                throw Diverged("The gradients of a batch could not be computed", epoch, failure);
            if (!double.IsFinite(loss))
                throw Diverged($"The loss became {loss}", epoch);
            if (_plan.MaximumGradientNorm is { } maximum)
                nn.utils.clip_grad_norm_(_trainable.Module.parameters(), maximum);
            optimizer.step();
            sums.Add(result, loss);
            _monitor.Add(result.Statistics, epoch);
        }
        catch (OdeSolverException exception)
        {
            throw Diverged("The equation of a batch could not be solved", epoch, exception);
        }
        _state.Step++;
        return rate;
    }

    private (double Loss, double? Metric)? Validate()
    {
        if (_validation is null)
            return null;
        _trainable.Module.eval();
        using IDisposable noGrad = no_grad();
        var sums = new EpochSums();
        foreach (RowBatch batch in _validation.Batches(Math.Max(_plan.BatchSize, 1024)))
        {
            using (batch)
            {
                CheckAlive();
                using DisposeScope scope = NewDisposeScope();
                BatchResult result = _trainable.Evaluate(batch);
                sums.Add(result, result.Loss.ToDouble());
            }
        }
        return (sums.Loss / sums.Weight, _trainable.Metric?.Finish(sums.Figure / sums.FigureWeight));
    }

    /// <summary>Keeps the best weights, and decides whether it is time to stop.</summary>
    private void Judge(NeuralOdeEpochReport report)
    {
        if (report.ValidationLoss is not { } loss)
            return;
        if (loss < _state.BestLoss)
        {
            _state.BestLoss = loss;
            _state.BestEpoch = report.Epoch;
            if (_plan.KeepBestWeights)
            {
                _best?.Dispose();
                _best = ModuleSnapshot.Of(_trainable.Module);
            }
        }
        else if (report.Epoch - _state.BestEpoch >= _plan.EarlyStoppingPatience && report.Epoch < _plan.NumberOfEpochs)
        {
            _state.IsStopped = true;
            _surroundings.Info($"early stopping after epoch {report.Epoch}: the validation loss was smallest in epoch {_state.BestEpoch}");
        }
    }

    private static NeuralOdeTrainingException Diverged(string what, int epoch, Exception? inner = null) => new(what, epoch, null, inner);

    private void CheckAlive()
    {
        _plan.CancellationToken.ThrowIfCancellationRequested();
        _surroundings.CheckAlive();
    }
}
