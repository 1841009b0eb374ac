using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>From latent states, statics and covariates to values: a hidden layer, and a linear map beside it; and to their noise.</summary>
internal sealed class LatentDecoder : Module<Tensor, Tensor?, (Tensor Values, Tensor Noise)>
{
    /// <summary>The noise is at least this, in units of the values: otherwise one exact channel would be all that counts.</summary>
    private const double LeastNoise = 1e-3;

    /// <summary>The logarithm of the noise of a channel is learned in such units: it has a long way to go from its start.</summary>
    private const double NoiseUnit = 8;

    private const double StartNoise = 0.5;

    /// <summary>The state changes the logarithm of the noise by at most this.</summary>
    private const double NoiseRange = 3;

    private readonly DenseDynamics _curved, _straight;
    private readonly DenseDynamics? _spread;

    public LatentDecoder(LatentOdeOptions options)
        : base(nameof(LatentDecoder))
    {
        long inputs = options.LatentSize + options.StaticCovariates + options.Covariates;
        register_module(
            "curved", _curved = new DenseDynamics(inputs, options.Channels, [options.HiddenSize], Activation.Tanh, TimeDependence.None));
        register_module("straight", _straight = new DenseDynamics(inputs, options.Channels, [], Activation.Tanh, TimeDependence.None));
        float start = (float)(Math.Log(StartNoise) / NoiseUnit);
        Dynamics.ModuleParameters.Own(this, "noise", () => tensor(Enumerable.Repeat(start, (int)options.Channels).ToArray()));
        if (!options.StateNoise)
            return;
        register_module("spread", _spread = new DenseDynamics(inputs, options.Channels, [], Activation.Tanh, TimeDependence.None));
        using IDisposable noGrad = no_grad();
        _spread.Weights[0].zero_();
        _spread.Biases[0].zero_();
    }

    /// <summary>The values, and the standard deviations of observations around them, <c>[rows, n, channels]</c> each.</summary>
    /// <param name="states">Shape <c>[rows, n, latent]</c>.</param>
    /// <param name="conditions">Shape <c>[rows, n, conditions]</c>; null for none.</param>
    public override (Tensor Values, Tensor Noise) forward(Tensor states, Tensor? conditions)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor all = conditions is null ? states : cat([states, conditions], 2);
        Tensor flat = all.reshape(-1, all.size(2));
        Tensor never = zeros([], states.dtype, states.device);
        Tensor values = _curved.call(never, flat).Plus(_straight.call(never, flat));
        Tensor logarithm = get_parameter("noise")!.Times(NoiseUnit);
        if (_spread is not null)
            logarithm = logarithm.Plus(_spread.call(never, flat).Over(NoiseRange).tanh().Times(NoiseRange));
        Tensor noise = logarithm.expand(values.shape).exp().Plus(LeastNoise);
        return (Shaped(values).MoveToOuterDisposeScope(), Shaped(noise).MoveToOuterDisposeScope());

        Tensor Shaped(Tensor made) => made.reshape(all.size(0), all.size(1), -1);
    }
}
