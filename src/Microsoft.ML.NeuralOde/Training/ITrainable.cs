using Microsoft.ML.NeuralOde.Data;
using TorchSharp.Modules;

namespace Microsoft.ML.NeuralOde.Training;

/// <summary>Where a training stands when a batch is due.</summary>
/// <param name="Seed">For random numbers of this batch alone.</param>
/// <param name="Progress">The share of all batches that was seen, 0 to 1.</param>
/// <param name="InPieces">Whether the weights of the slots in use are wanted as <see cref="BatchResult.Slots"/>, and
/// <see cref="ITrainable.SlotWeight"/> gets no gradient.</param>
internal readonly record struct TrainingMoment(int Seed, double Progress, bool InPieces = false);

/// <summary>What a module made of a batch.</summary>
/// <param name="Objective">What is to become small: a scalar, in the graph where it is asked for.</param>
/// <param name="Loss">The objective without penalties, the weighted mean of the rows' losses: a scalar.</param>
/// <param name="Weight">The sum of the weights behind that mean.</param>
/// <param name="Figure">The weighted mean of the figure that goes with the loss (see <see cref="ITrainable.Metric"/>): a scalar; null
/// without one.</param>
/// <param name="FigureWeight">The sum of the weights behind that mean.</param>
/// <param name="Statistics">What the solve cost.</param>
/// <param name="Slots">The weights of the slots in use, where the moment asked for them; null where the whole weight is in the
/// graph.</param>
/// <param name="Penalty">The summand of the objective that is the same for all rows, or a mean over them whatever they weigh: a scalar in
/// the graph; null for none.</param>
internal readonly record struct BatchResult(
    Tensor Objective, Tensor Loss, double Weight, Tensor? Figure, double FigureWeight, SolverStatistics Statistics,
    SlotWeights? Slots = null,
    Tensor? Penalty = null);

/// <summary>A figure that goes with a loss and means more to people.</summary>
/// <param name="Name">Its name in reports.</param>
/// <param name="Finish">Makes the figure of the mean over the rows: nothing for an accuracy, a root for an RMSE.</param>
internal sealed record TrainingMetric(string Name, Func<double, double> Finish);

/// <summary>What can be trained: a module with a loss. Labels are the module's own affair.</summary>
internal interface ITrainable
{
    nn.Module Module { get; }

    /// <summary>
    /// The weight <c>[outputs, slots]</c> of which a batch of sparse rows uses a few slots, in the host's memory and slot by slot; null
    /// where there is none.
    /// </summary>
    Parameter? SlotWeight => null;

    /// <summary>The figure beside the loss; null for none.</summary>
    TrainingMetric? Metric { get; }

    /// <summary>
    /// Whether it is given whole batches where several processes share them (see <see cref="RowBatch.Share"/>), and takes its part by
    /// itself; otherwise batches have its rows only.
    /// </summary>
    bool TakesWholeBatches => false;

    /// <summary>
    /// Whether the loss of every part of a batch takes the same solves one after the other, so that processes which share a batch can
    /// agree on the size of each step.
    /// </summary>
    bool CanShareSteps => false;

    /// <summary>
    /// The solver's tolerances when a share of the training, 0 to 1, lies behind; null where there are none, or none that are told of.
    /// </summary>
    SolverTolerances? TolerancesAt(double progress) => null;

    /// <summary>The loss of a batch, in the graph.</summary>
    BatchResult Loss(RowBatch batch, TrainingMoment moment);

    /// <summary>The loss of a batch as it is reported for validation: outside of the graph, without penalties.</summary>
    BatchResult Evaluate(RowBatch batch);
}
