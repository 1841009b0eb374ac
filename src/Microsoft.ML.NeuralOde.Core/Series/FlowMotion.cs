namespace Microsoft.ML.NeuralOde.Series;

/// <summary>States that a flow gives at any time at once. Covariates in time play no part in it: those of the decoder remain.</summary>
internal sealed class FlowMotion : LatentMotion
{
    private readonly CouplingFlow _flow;

    public FlowMotion(LatentOdeOptions options)
        : base(nameof(FlowMotion)) =>
        register_module("flow", _flow = new CouplingFlow(options.LatentSize, options.HiddenSize, options.StaticCovariates));

    public override Tensor forward(Tensor state, Tensor elapsed, LatentConditions conditions)
    {
        using DisposeScope scope = NewDisposeScope();
        long rows = state.size(0), count = elapsed.size(1);
        Tensor times = conditions.Repeated(elapsed).to(state.dtype).reshape(-1, 1);
        Tensor states = state.repeat_interleave(count, 0);
        Tensor? statics = conditions.Statics is { } given ? conditions.Repeated(given).repeat_interleave(count, 0) : null;
        return _flow.call(states, times, statics).view(rows, count, state.size(1)).MoveToOuterDisposeScope();
    }
}
