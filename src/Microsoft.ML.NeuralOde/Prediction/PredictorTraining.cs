using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Networks;
using Microsoft.ML.NeuralOde.Training;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>A network that learns to predict a label.</summary>
internal sealed class PredictorTraining : ITrainable
{
    private readonly NeuralOdeNetwork _network;
    private readonly PredictionTask _task;
    private readonly NeuralOdePredictorOptions _options;
    private readonly OdeSolverOptions _solver;
    private readonly ImageAugmenter? _augmenter;

    public PredictorTraining(NeuralOdeNetwork network, PredictionTask task, NeuralOdePredictorOptions options)
    {
        _network = network;
        _task = task;
        _options = options;
        _solver = options.SolverOptions();
        if (options.Network is ConvolutionalNetwork { Augmentation: { IsActive: true } augmentation })
            _augmenter = new ImageAugmenter(augmentation, ((ConvolutionalDescription)network.Description).Image);
    }

    public Parameter? SlotWeight => _network.Device.type == DeviceType.CPU ? _network.SlotWeight : null;

    public nn.Module Module => _network;

    public TrainingMetric Metric => _task.Metric;

    public bool CanShareSteps => _solver is { Method: { IsAdaptive: true, ExplicitTableau: not null }, StepSize: null };

    public SolverTolerances? TolerancesAt(double progress) =>
        _solver is { Method.IsAdaptive: true, StepSize: null } ? _options.TolerancesAt(progress) : null;

    public BatchResult Loss(RowBatch batch, TrainingMoment moment)
    {
        OdeSolverOptions solver = With(_options.TolerancesAt(moment.Progress));
        EncodedRows encoded = _network.Encode(
            batch.Features.To(_network.Device), moment.InPieces,
            _augmenter is null ? null : rows => _augmenter.Apply(rows, moment.Seed, batch.First, batch.Total));
        double? endTime = _options.EndTimeSpread > 0 ? EndTime(moment.Seed) : null;
        if (!_options.Regularization.IsActive)
        {
            (Tensor outputs, SolverStatistics statistics) = _network.SolveEncoded(encoded.State, solver, endTime);
            return Penalized(Result(batch, outputs, statistics, encoded.Slots), null);
        }
        // The estimator of the Jacobian's norm draws random vectors.
        (Tensor regularized, SolverStatistics cost, Tensor penalty) = TorchSeed.Run(
            Seeds.Rows(moment.Seed, batch.First), () => _network.SolveEncoded(encoded.State, solver, _options.Regularization, endTime));
        return Penalized(Result(batch, regularized, cost, encoded.Slots), penalty);
    }

    public BatchResult Evaluate(RowBatch batch) => Evaluate(batch, With(_options.EvaluationTolerances) with { PerRow = true });

    /// <summary>The same, solved in another way.</summary>
    public BatchResult Evaluate(RowBatch batch, OdeSolverOptions solver)
    {
        EncodedRows encoded = _network.Encode(batch.Features.To(_network.Device), inPieces: false);
        (Tensor outputs, SolverStatistics statistics) = _network.SolveEncoded(encoded.State, solver);
        return Result(batch, outputs, statistics, null);
    }

    /// <summary>Drawn evenly from both sides of the end time, for the batch of a seed.</summary>
    private double EndTime(int seed) => _options.EndTime + _options.EndTimeSpread * (2 * new Random(seed).NextDouble() - 1);

    private OdeSolverOptions With(SolverTolerances tolerances) =>
        _solver with { RelativeTolerance = tolerances.Relative, AbsoluteTolerance = tolerances.Absolute };

    private BatchResult Penalized(BatchResult result, Tensor? penalty)
    {
        if (_options.SpectralNormPenalty > 0)
        {
            Tensor spectral = _network.SpectralNorms().Times(_options.SpectralNormPenalty);
            penalty = penalty is null ? spectral : penalty.Plus(spectral);
        }
        return penalty is null ? result : result with { Objective = result.Objective.Plus(penalty), Penalty = penalty };
    }

    private BatchResult Result(RowBatch batch, Tensor outputs, SolverStatistics statistics, SlotWeights? slots) =>
        _task.Judge(batch, outputs, statistics) with { Slots = slots };
}
