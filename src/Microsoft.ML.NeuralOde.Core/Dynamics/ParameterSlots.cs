using static TorchSharp.torch.nn;

namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>
/// Where a module's parameters stand in <c>parameters()</c>, by their names: the order in which their gradients are added.
/// </summary>
internal sealed class ParameterSlots
{
    private readonly Dictionary<string, int> _places = [];

    public ParameterSlots(Module module)
    {
        foreach ((string name, _) in module.named_parameters())
            _places.Add(name, _places.Count);
    }

    /// <summary>The place of a parameter that there is.</summary>
    public int this[string name] => _places[name];

    /// <summary>The place of a parameter; null where there is none of that name.</summary>
    public int? Find(string name) => _places.TryGetValue(name, out int place) ? place : null;
}

/// <summary>The places of a dense layer's parameters; null for those that it has not.</summary>
internal readonly record struct DenseSlots(int Weight, int? Bias, int? Time, int? GateWeight, int? GateBias, int? TimeBias = null)
{
    /// <summary>Those of all layers.</summary>
    public static DenseSlots[] Of(DenseDynamics dynamics)
    {
        var slots = new ParameterSlots(dynamics);
        return
        [
            .. Enumerable.Range(0, dynamics.Layers).Select(layer => new DenseSlots(
                slots[$"weight{layer}"], slots[$"bias{layer}"],
                // A time that is added comes behind the last layer.
                slots.Find($"time_weight{layer}") ?? (layer == dynamics.Layers - 1 ? slots.Find("time_weight") : null),
                slots.Find($"gate_weight{layer}"), slots.Find($"gate_bias{layer}"))),
        ];
    }
}

/// <summary>The places of the parameters of a convolution and of the normalisation before it; null for those that there are not.</summary>
/// <remarks>Behind the last convolution stands a normalisation alone.</remarks>
internal readonly record struct ConvolutionalSlots(int NormWeight, int NormBias, int? Weight, int? Bias, int? Time)
{
    /// <summary>Those of all normalisations, with the convolutions behind them.</summary>
    public static ConvolutionalSlots[] Of(ConvolutionalDynamics dynamics)
    {
        var slots = new ParameterSlots(dynamics);
        return
        [
            .. Enumerable.Range(0, dynamics.NormWeights.Count).Select(i => new ConvolutionalSlots(
                slots[$"norm_weight{i}"], slots[$"norm_bias{i}"], slots.Find($"weight{i}"), slots.Find($"bias{i}"),
                // A time that is added comes behind the last normalisation.
                slots.Find($"time_weight{i}") ?? (i == dynamics.Weights.Count ? slots.Find("time_weight") : null))),
        ];
    }
}
