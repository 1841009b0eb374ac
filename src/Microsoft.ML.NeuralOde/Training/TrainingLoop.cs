using System.Diagnostics;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Persistence;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>What a training loop tells and asks its surroundings.</summary>
/// <param name="Report">Takes the report of each epoch.</param>
/// <param name="ReportBatches">Takes reports of batches.</param>
/// <param name="Info">Takes a line for the log.</param>
/// <param name="Warn">Takes a warning.</param>
/// <param name="CheckAlive">Throws where the training is to end.</param>
/// <param name="Team">The processes that train together; null for this one alone.</param>
internal sealed record TrainingSurroundings(
    Action<NeuralOdeEpochReport> Report, Action<NeuralOdeBatchReport> ReportBatches, Action<string> Info, Action<string> Warn,
    Action CheckAlive, Team? Team = null);

/// <summary>
/// The training loop: shuffled batches, an optimizer, one report an epoch, validation, early stopping, checkpoints. Knows a module with a
/// loss and no task.
/// </summary>
/// <remarks>
/// Everything random in a batch or an epoch comes from a seed made for it (see <see cref="Seeds"/>), so that a checkpoint, which may be
/// taken before any step, needs no generator's state: the epoch's order is made again, and the batches that were done are left out.
/// </remarks>
internal sealed class TrainingLoop : IDisposable
{
    private const string Weights = "weights/";
    private const string Best = "best/";

    private readonly ITrainable _trainable;
    private readonly ITrainingRows _rows;
    private readonly ITrainingRows? _validation;
    private readonly TrainingPlan _plan;
    private readonly TrainingSurroundings _surroundings;
    private readonly EvaluationMonitor _monitor;
    private readonly WeightOptimizer _optimizer;
    private readonly Team? _team;
    private readonly SharedGradients? _gradients;
    private TrainingState _state = new();
    private EpochSums _agreed = new();
    private EpochSums _recent = new();
    private ModuleSnapshot? _best;

    public TrainingLoop(
        ITrainable trainable, ITrainingRows rows, ITrainingRows? validation, TrainingPlan plan, TrainingSurroundings surroundings)
    {
        if (plan.EarlyStoppingPatience is not null && validation is null)
            throw new InvalidOperationException(
                $"EarlyStoppingPatience is {plan.EarlyStoppingPatience}, but there are no validation data: "
                + "set ValidationFraction or ValidationSet, or use Fit(train, validation).");
        _trainable = trainable;
        _rows = rows;
        _validation = validation;
        _plan = plan;
        _surroundings = surroundings;
        _monitor = new EvaluationMonitor(surroundings.Warn);
        _optimizer = new WeightOptimizer(plan, trainable.Module, trainable.SlotWeight);
        _team = surroundings.Team;
        _gradients = _team is null ? null : new SharedGradients(_team);
    }

    /// <summary>The rows of batches that this process is given.</summary>
    private BatchShare Given => _team is null || _trainable.TakesWholeBatches ? default : _team.Share;

    private long BatchesPerEpoch => (_rows.Count + _plan.BatchSize - 1) / _plan.BatchSize;

    /// <summary>Trains the module, which is left with the weights to keep and in evaluation mode.</summary>
    /// <returns>The reports of all epochs.</returns>
    /// <exception cref="NeuralOdeTrainingException">The training diverged.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public IReadOnlyList<NeuralOdeEpochReport> Run()
    {
        if (FindCheckpoint() is { } found)
            Resume(found);
        _agreed = _state.Sums.Copy();
        bool trained = false;
        while (_state.CompletedEpochs < _plan.NumberOfEpochs && !_state.IsStopped)
        {
            RunEpoch();
            trained = true;
        }
        _optimizer.Settle();
        CheckWeights();
        if (trained)
            SaveCheckpoint();
        _best?.Restore(_trainable.Module);
        _trainable.Module.eval();
        return _state.Reports;
    }

    /// <summary>Frees what the loop holds; its checkpoints are open to others from now on.</summary>
    public void Dispose()
    {
        _best?.Dispose();
        _optimizer.Dispose();
        _plan.Checkpoints?.Dispose();
    }

    private void RunEpoch()
    {
        long started = Stopwatch.GetTimestamp();
        int epoch = _state.CompletedEpochs + 1;
        EpochSums sums = _state.Sums;
        double secondsBefore = sums.Seconds;
        _trainable.Module.train();
        foreach (RowBatch batch in _rows.Batches(_plan.BatchSize, Seeds.Order(_plan.Seed, epoch), sums.Batches, Given))
        {
            using (batch)
            {
                CheckAlive();
                RunBatch(Shared(batch), sums, epoch);
            }
            sums.Seconds = secondsBefore + Stopwatch.GetElapsedTime(started).TotalSeconds;
            if (sums.Batches % _plan.BatchesPerReport == 0 || sums.Batches == BatchesPerEpoch)
                ReportBatches(sums, epoch);
        }
        AgreeOn(sums);
        if (sums.Weight == 0)
            throw new InvalidOperationException(
                $"All {sums.Batches} batches have rows of weight zero only; there is nothing to learn from.");
        _monitor.EndEpoch(sums.Forward / (double)sums.Batches, epoch);
        (double Loss, double? Metric)? validation = Validate();
        var report = new NeuralOdeEpochReport
        {
            Epoch = epoch,
            NumberOfEpochs = _plan.NumberOfEpochs,
            TrainLoss = sums.Loss / sums.Weight,
            ValidationLoss = validation?.Loss,
            MetricName = _trainable.Metric?.Name,
            TrainMetric = Metric(sums),
            ValidationMetric = validation?.Metric,
            NfeForward = sums.Forward / (double)sums.Batches,
            NfeBackward = sums.Backward / (double)sums.Batches,
            Seconds = secondsBefore + Stopwatch.GetElapsedTime(started).TotalSeconds,
            LearningRate = sums.LearningRate,
            Tolerances = sums.Forward > 0 ? _trainable.TolerancesAt(ProgressAt(_state.Step - 1)) : null,
        };
        _state.Reports.Add(report);
        _state.Sums = new EpochSums();
        _agreed = new EpochSums();
        Judge(report);
        if (_team is not null)
        {
            _optimizer.Settle();
            _team.RequireSameWeights(_trainable.Module, epoch);
        }
        _surroundings.Report(report);
    }

    /// <summary>Which share of the training lies behind at the beginning of a batch, counted from the first.</summary>
    private double ProgressAt(long step) => Math.Min(1, step / (double)(BatchesPerEpoch * _plan.NumberOfEpochs));

    private void ReportBatches(EpochSums sums, int epoch)
    {
        _surroundings.ReportBatches(new NeuralOdeBatchReport
        {
            Epoch = epoch,
            Batch = sums.Batches,
            BatchesPerEpoch = BatchesPerEpoch,
            // Rows that weigh nothing have no mean.
            Loss = _recent.Weight > 0 ? _recent.Loss / _recent.Weight : 0,
            NfeForward = _recent.Forward / (double)_recent.Batches,
            LearningRate = sums.LearningRate,
        });
        _recent = new EpochSums();
    }

    /// <summary>The batch with what its rows are to all processes.</summary>
    private RowBatch Shared(RowBatch batch) => _team is null ? batch : batch with { Share = _team.Share };

    /// <summary>Makes sums those of all processes.</summary>
    private void AgreeOn(EpochSums sums)
    {
        if (_team is null)
            return;
        sums.Merge(_team, _agreed);
        _agreed = sums.Copy();
    }

    private void RunBatch(RowBatch batch, EpochSums sums, int epoch)
    {
        using DisposeScope scope = NewDisposeScope();
        double progress = ProgressAt(_state.Step);
        _optimizer.ZeroGradients();
        _optimizer.BringUpToDate(batch.Features.UsedSlots);
        try
        {
            var moment = new TrainingMoment(Seeds.Batch(_plan.Seed, _state.Step), progress, _optimizer.HasSlots);
            BatchResult result = _team is null
                ? _trainable.Loss(batch, moment)
                : _team.InStep(_trainable.CanShareSteps, !batch.IsStandIn, () => _trainable.Loss(batch, moment));
            double times = Times(batch);
            bool isSaveDue = _plan.Checkpoints is { IsDue: true }, isStopped = false;
            Tensor objective = result.Objective;
            if (_team is not null)
            {
                (double part, isSaveDue, isStopped) = _team.Agree(result.Weight * times, isSaveDue);
                objective = Part(result, part, times * batch.Count / batch.Total);
            }
            Backward(objective, epoch);
            // A solve that was cancelled on the way back may leave gradients that are NaN.
            CheckAlive();
            double loss = result.Loss.ToDouble();
            if (result.Statistics.BackwardFailure is OdeSolverException failure)
                throw Diverged("The gradients of a batch could not be computed", epoch, failure);
            if (result.Statistics.BackwardFailure is { } other)
                ExceptionDispatchInfo.Throw(other);
            if (!double.IsFinite(loss))
                throw Diverged($"The loss became {loss}", epoch);
            IReadOnlyList<WeightGradient> gradients = _optimizer.Gradients(result.Slots);
            if (_gradients?.Sum(gradients) is { } slots)
                _optimizer.BringUpToDate(slots);
            // Before the step: these weights have just proved good.
            if (isSaveDue)
                SaveCheckpoint();
            if (isStopped)
                throw Stopped(epoch);
            if (_plan.MaximumGradientNorm is { } maximum)
                WeightGradient.Clip(gradients, maximum);
            sums.LearningRate = _plan.LearningRates.At(progress);
            _optimizer.Step(sums.LearningRate, gradients);
            sums.Add(result, loss, times);
            _recent.Add(result, loss, times);
            _monitor.Add(result.Statistics, epoch);
        }
        catch (OdeSolverException exception)
        {
            throw Diverged("The equation of a batch could not be solved", epoch, exception);
        }
        _state.Step++;
    }

    /// <summary>What this process's part of a batch adds to the mean over all of it.</summary>
    /// <param name="result">What became of the part.</param>
    /// <param name="part">What its rows weigh of the whole.</param>
    /// <param name="rows">How many they are of the whole.</param>
    private static Tensor Part(BatchResult result, double part, double rows)
    {
        Tensor objective = result.Objective.Times(part);
        return result.Penalty is { } penalty && rows != part ? objective.Plus(penalty.Times(rows - part)) : objective;
    }

    /// <summary>How often a result counts: less than once where all processes come to the same.</summary>
    private double Times(RowBatch batch) => batch.IsStandIn ? 0
        : batch.IsOwn || _trainable.TakesWholeBatches ? 1 : batch.Share.WeightOf(batch.Total);

    private void Backward(Tensor objective, int epoch)
    {
        try
        {
            objective.backward();
        }
        catch (ExternalException exception) when (BackwardFailure.ToldBy(exception) is { } cause)
        {
            // Only numbers diverge: a cancelled solve was cancelled, and other failures speak for themselves.
            if (cause is OdeSolverException)
                throw Diverged("The gradients of a batch could not be computed", epoch, cause);
            ExceptionDispatchInfo.Throw(cause);
        }
    }

    private OperationCanceledException Stopped(int epoch)
    {
        string kept = _plan.Checkpoints is { HasGoodCheckpoint: true } store ? $" It is kept in '{store.FilePath}' and goes on from there."
            : _team!.IsFirst ? " It was not kept, as CheckpointFolder names no folder." : "";
        return _team!.Agreed(new OperationCanceledException($"The training was asked to end in epoch {epoch}.{kept}"));
    }

    private (double Loss, double? Metric)? Validate()
    {
        if (_validation is null)
            return null;
        _optimizer.Settle();
        _trainable.Module.eval();
        using IDisposable noGrad = no_grad();
        var sums = new EpochSums();
        try
        {
            foreach (RowBatch batch in _validation.Batches(Math.Max(_plan.BatchSize, 1024), share: Given))
            {
                using (batch)
                {
                    CheckAlive();
                    using DisposeScope scope = NewDisposeScope();
                    RowBatch shared = Shared(batch);
                    BatchResult result = _trainable.Evaluate(shared);
                    sums.Add(result, result.Loss.ToDouble(), Times(shared));
                }
            }
            if (_team is not null)
                sums.Merge(_team, new EpochSums());
        }
        catch (OdeSolverException exception)
        {
            throw Diverged("The equation of a validation batch could not be solved", _state.CompletedEpochs + 1, exception);
        }
        double loss = sums.Loss / sums.Weight;
        return double.IsFinite(loss)
            ? (loss, Metric(sums)) : throw Diverged($"The validation loss became {loss}", _state.CompletedEpochs + 1);
    }

    private double? Metric(EpochSums sums) => sums.FigureWeight > 0 ? _trainable.Metric?.Finish(sums.Figure / sums.FigureWeight) : null;

    /// <summary>Keeps the best weights, and decides whether it is time to stop.</summary>
    private void Judge(NeuralOdeEpochReport report)
    {
        if (report.ValidationLoss is not { } loss)
            return;
        if (_state.BestLoss is null || loss < _state.BestLoss)
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

    private void SaveCheckpoint()
    {
        if (_plan.Checkpoints is null && _team is null)
            return;
        AgreeOn(_state.Sums);
        _optimizer.Settle();
        CheckWeights();
        if (_plan.Checkpoints is not { } store)
            return;
        store.Save(
            new CheckpointDescription(_plan.Seed, store.Identity, _state, _optimizer.Steps),
            NamedTensors.Of(_trainable.Module).Count() + _optimizer.ArrayCount + (_best?.Count ?? 0),
            NamedTensors.Of(_trainable.Module).Select(pair => NamedTensors.ToArray(Weights + pair.Name, pair.Tensor))
                .Concat(_optimizer.ToArrays()).Concat(_best?.ToArrays(Best) ?? []));
    }

    private void CheckWeights()
    {
        if (!NamedTensors.Of(_trainable.Module).All(pair => NamedTensors.IsFinite(pair.Tensor)))
            throw Diverged("A weight became NaN or infinite", Math.Min(_state.CompletedEpochs + 1, _plan.NumberOfEpochs));
    }

    /// <summary>What an interrupted training left; where processes train together, all get it from rank 0.</summary>
    private Payload<CheckpointDescription>? FindCheckpoint()
    {
        Payload<CheckpointDescription>? own = _plan.Checkpoints is { Found: not null } store ? store.Read() : null;
        if (_team?.ShareBytes(own?.ToBytes()) is not { } shared || own is not null)
            return own;
        using var stream = new MemoryStream(shared);
        return PayloadReader.Read<CheckpointDescription>(stream);
    }

    private void Resume(Payload<CheckpointDescription> found)
    {
        Dictionary<string, NamedArray> arrays = found.Arrays.ToDictionary(array => array.Name);
        _state = found.Description.State;
        if (arrays.Keys.Any(name => name.StartsWith(Best, StringComparison.Ordinal)))
        {
            Load(Best);
            _best = ModuleSnapshot.Of(_trainable.Module);
        }
        Load(Weights);
        _optimizer.Restore(arrays, found.Description.OptimizerSteps);
        if (_state.Reports.Count > 0)
            _monitor.Resume(_state.Reports[0]);
        // Patience may be another now.
        _state.IsStopped &= _state.CompletedEpochs - _state.BestEpoch >= _plan.EarlyStoppingPatience;
        if (_plan.Checkpoints is { } store)
            Tell(store);

        void Load(string prefix) => NamedTensors.Fill(NamedTensors.Of(_trainable.Module), arrays, prefix);
    }

    private void Tell(CheckpointStore store)
    {
        string changed = store.Differences.Count == 0 ? "" : $"; {string.Join("; ", store.Differences)}";
        if (_state.CompletedEpochs < _plan.NumberOfEpochs && !_state.IsStopped)
            _surroundings.Info(
                $"going on from '{store.FilePath}': {_state.CompletedEpochs} epochs and {_state.Sums.Batches} batches are done{changed}");
        else
            _surroundings.Warn(
                $"This training is already complete: '{store.FilePath}' holds {_state.CompletedEpochs} of {_plan.NumberOfEpochs} " +
                $"epochs{(_state.IsStopped ? " and was stopped early" : "")}{changed}. Its model is returned and nothing is trained. " +
                "For more, set NumberOfEpochs higher; to train anew, set ResumeFromCheckpoint to false or delete the file.");
    }

    private NeuralOdeTrainingException Diverged(string what, int epoch, Exception? inner = null) =>
        new(what, epoch, _plan.Checkpoints is { HasGoodCheckpoint: true } store ? store.FilePath : null, inner);

    private void CheckAlive()
    {
        _plan.CancellationToken.ThrowIfCancellationRequested();
        _surroundings.CheckAlive();
    }
}
