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

    public PredictorTraining(NeuralOdeNetwork network, PredictionTask task, NeuralOdePredictorOptions options)
    {
        _network = network;
        _task = task;
        _options = options;
        _solver = options.SolverOptions();
    }

    public Parameter? SlotWeight => _network.Device.type == DeviceType.CPU ? _network.SlotWeight : null;

    public nn.Module Module => _network;

    public TrainingMetric Metric => _task.Metric;

    public BatchResult Loss(RowBatch batch, TrainingMoment moment)
    {
        OdeSolverOptions solver = With(_options.TolerancesAt(moment.Progress));
        EncodedRows encoded = _network.Encode(batch.Features.To(_network.Device), moment.InPieces);
        if (!_options.Regularization.IsActive)
        {
            (Tensor outputs, SolverStatistics statistics) = _network.SolveEncoded(encoded.State, solver);
            return Penalized(Result(batch, outputs, statistics, encoded.Slots), null);
        }
        // The estimator of the Jacobian's norm draws random vectors.
        (Tensor regularized, SolverStatistics cost, Tensor penalty) = TorchSeed.Run(
            moment.Seed, () => _network.SolveEncoded(encoded.State, solver, _options.Regularization));
        return Penalized(Result(batch, regularized, cost, encoded.Slots), penalty);
    }

    public BatchResult Evaluate(RowBatch batch)
    {
        EncodedRows encoded = _network.Encode(batch.Features.To(_network.Device), inPieces: false);
        (Tensor outputs, SolverStatistics statistics) = _network.SolveEncoded(
            encoded.State, With(_options.EvaluationTolerances) with { PerRow = true });
        return Result(batch, outputs, statistics, null);
    }

    private OdeSolverOptions With(SolverTolerances tolerances) =>
        _solver with { RelativeTolerance = tolerances.Relative, AbsoluteTolerance = tolerances.Absolute };

    private BatchResult Penalized(BatchResult result, Tensor? penalty)
    {
        Tensor objective = penalty is null ? result.Objective : result.Objective.Plus(penalty);
        return result with
        {
            Objective = _options.SpectralNormPenalty > 0
                ? objective.Plus(_network.SpectralNorms().Times(_options.SpectralNormPenalty))
                : objective,
        };
    }

    private BatchResult Result(RowBatch batch, Tensor outputs, SolverStatistics statistics, SlotWeights? slots) =>
        _task.Judge(batch, outputs, statistics) with { Slots = slots };
}
