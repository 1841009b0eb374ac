namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>The values of the activations and of their derivatives.</summary>
internal static class ActivationFunctions
{
    /// <summary>σ(x).</summary>
    public static Tensor Value(this Activation activation, Tensor x) => activation switch
    {
        Activation.Tanh => x.tanh(),
        Activation.Softplus => nn.functional.softplus(x),
        Activation.Relu => x.relu(),
        _ => nn.functional.silu(x),
    };

    /// <summary>σ′(x), given σ(x).</summary>
    public static Tensor FirstDerivative(this Activation activation, Tensor x, Tensor value)
    {
        switch (activation)
        {
            case Activation.Tanh:
                return value.Squared().From(1);
            case Activation.Softplus:
                return x.sigmoid();
            case Activation.Relu:
                return x.gt(Numbers.Zero).to(x.dtype);
            default:
                Tensor s = x.sigmoid();
                return s.Plus(value * s.From(1));
        }
    }

    /// <summary>σ″(x), given σ(x) and σ′(x); null where it is zero almost everywhere.</summary>
    public static Tensor? SecondDerivative(this Activation activation, Tensor x, Tensor value, Tensor first)
    {
        switch (activation)
        {
            case Activation.Tanh:
                return value.Times(-2) * first;
            case Activation.Softplus:
                return first * first.From(1);
            case Activation.Relu:
                return null;
            default:
                Tensor s = x.sigmoid();
                return s * s.From(1) * (x * s.Times(2).From(1)).Plus(2);
        }
    }
}
