using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde.Flows;

/// <summary>Flows that learn the density of rows.</summary>
internal sealed class FlowTraining : ITrainable
{
    private readonly FlowNetwork _network;
    private readonly ContinuousFlowTrainerOptions _options;
    private readonly double _noise;

    /// <param name="network">The flows.</param>
    /// <param name="options">How they are trained.</param>
    /// <param name="noise">Standard deviation of the smoothing noise, in the flows' units.</param>
    public FlowTraining(FlowNetwork network, ContinuousFlowTrainerOptions options, double noise)
    {
        _network = network;
        _options = options;
        _noise = noise;
    }

    public nn.Module Module => _network;

    public TrainingMetric? Metric => null;

    // Paths lead through all rows of a batch, and what is drawn for a row is drawn for all in one go.
    public bool TakesWholeBatches => true;

    public BatchResult Loss(RowBatch batch, TrainingMoment moment) => Result(batch, moment.Seed, _options.CoverageShare);

    // The same draws in every epoch: losses that are compared must differ in the weights alone.
    public BatchResult Evaluate(RowBatch batch) => Result(batch, 0, 0);

    private BatchResult Result(RowBatch batch, int seed, double coverage)
    {
        // Rows that others have as well are drawn for by all alike.
        if (batch.IsOwn)
            seed = Seeds.Rows(seed, batch.First);
        Device device = _network.Device;
        using Generator generator = new(unchecked((ulong)seed), CPU);
        Tensor features = batch.Features.To(device).ToDense();
        Tensor u = batch.IsMapped ? features : _network.ToFlow(features);
        Tensor? conditions = _network.ToFlowCondition(batch.Labels?.to(device));
        Tensor? weights = batch.Weights?.to(device);
        bool matches = _options.Method == FlowTrainingMethod.FlowMatching;
        (long first, long count) = matches ? batch.Share.Of(_options.PathsPerBatch)
            : batch.IsOwn ? (0, batch.Count) : batch.Share.Of(batch.Count);
        double weight = matches ? (weights?.sum().ToDouble() ?? batch.Count) * (batch.IsOwn ? 1 : count / (double)_options.PathsPerBatch)
            : weights?.narrow(0, first, count).sum().ToDouble() ?? count;
        if (_network.Description.WholeSlots is { Length: > 0 } whole)
            u = Dequantized(u, whole, generator);
        Tensor? loss = null;
        foreach (ContinuousFlow flow in _network.Flows)
        {
            Tensor part = matches
                ? VelocityMatching.Loss(flow, u, conditions, weights, Paths(coverage), generator, (first, count))
                : NegativeLogLikelihood(flow, u, conditions, weights, generator, first, count);
            loss = loss is null ? part : loss.Plus(part);
        }
        loss = loss!.Over(_network.Flows.Count);
        weight *= batch.IsOwn ? 1 : batch.Share.WeightOf(matches ? _options.PathsPerBatch : batch.Count);
        return new BatchResult(loss, loss.detach(), weight, null, 0, new SolverStatistics());
    }

    private PathDraw Paths(double coverage) => new(_options.PathsPerBatch, _noise, coverage, _options.CoverageReach);

    private Tensor NegativeLogLikelihood(
        ContinuousFlow flow, Tensor u, Tensor? conditions, Tensor? weights, Generator generator, long first, long count)
    {
        Tensor x = _noise > 0 ? u.Plus(Draws.Normal(u.shape, ScalarType.Float32, u.device, generator).Times(_noise)) : u;
        Tensor logDensity = flow.LogDensity(x.narrow(0, first, count), conditions?.narrow(0, first, count));
        weights = weights?.narrow(0, first, count);
        return weights is null ? -logDensity.mean() : -(logDensity * weights).sum() / weights.sum().AtLeast(1e-30);
    }

    /// <summary>Spreads whole numbers evenly over the unit interval around them.</summary>
    private Tensor Dequantized(Tensor u, int[] slots, Generator generator)
    {
        Tensor index = tensor([.. slots.Select(slot => (long)slot)], device: u.device);
        Tensor noise = Draws.Uniform([u.shape[0], slots.Length], ScalarType.Float32, u.device, generator).Minus(0.5)
            * _network.Units.index_select(0, index);
        return u.index_add(1, index, noise, Numbers.One);
    }
}
