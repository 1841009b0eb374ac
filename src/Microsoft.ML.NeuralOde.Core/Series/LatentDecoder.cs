using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>From latent states, statics and covariates to values: a hidden layer, and a linear map beside it.</summary>
internal sealed class LatentDecoder : Module<Tensor, Tensor?, Tensor>
{
    private readonly DenseDynamics _curved;
    private readonly DenseDynamics _straight;

    public LatentDecoder(LatentOdeOptions options)
        : base(nameof(LatentDecoder))
    {
        long inputs = options.LatentSize + options.StaticCovariates + options.Covariates;
        register_module("curved", _curved = new DenseDynamics(inputs, options.Channels, [options.HiddenSize], Activation.Tanh, TimeDependence.None));
        register_module("straight", _straight = new DenseDynamics(inputs, options.Channels, [], Activation.Tanh, TimeDependence.None));
    }

    /// <summary>The values, shape <c>[rows, n, channels]</c>.</summary>
    /// <param name="states">Shape <c>[rows, n, latent]</c>.</param>
    /// <param name="conditions">Shape <c>[rows, n, conditions]</c>; null for none.</param>
    public override Tensor forward(Tensor states, Tensor? conditions)
    {
        Tensor all = conditions is null ? states : cat([states, conditions], 2);
        Tensor flat = all.reshape(-1, all.size(2));
        Tensor never = zeros([], states.dtype, states.device);
        return _curved.call(never, flat).Plus(_straight.call(never, flat)).view(all.size(0), all.size(1), -1);
    }
}
