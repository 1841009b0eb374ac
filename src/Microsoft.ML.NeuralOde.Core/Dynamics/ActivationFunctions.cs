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
                return 1 - value.square();
            case Activation.Softplus:
                return x.sigmoid();
            case Activation.Relu:
                return x.gt(0).to(x.dtype);
            default:
                Tensor s = x.sigmoid();
                return s + value * (1 - s);
        }
    }

    /// <summary>σ″(x), given σ(x) and σ′(x); null where it is zero almost everywhere.</summary>
    public static Tensor? SecondDerivative(this Activation activation, Tensor x, Tensor value, Tensor first)
    {
        switch (activation)
        {
            case Activation.Tanh:
                return -2 * value * first;
            case Activation.Softplus:
                return first * (1 - first);
            case Activation.Relu:
                return null;
            default:
                Tensor s = x.sigmoid();
                return s * (1 - s) * (2 + x * (1 - 2 * s));
        }
    }
}
