namespace Microsoft.ML.NeuralOde.Kernels;

/// <summary>The activations that the kernels know: those of built-in dynamics, and more that modules may name.</summary>
internal enum Nonlinearity
{
    Tanh,
    Softplus,
    Relu,
    Silu,
    Sigmoid,

    /// <summary>x Φ(x) with the normal distribution's Φ.</summary>
    Gelu,

    /// <summary>The same with Φ(x) ≈ (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2.</summary>
    GeluTanh,

    /// <summary>x².</summary>
    Square,

    /// <summary>x³.</summary>
    Cube,
}

internal static class Nonlinearities
{
    public static Nonlinearity Of(Activation activation) => activation switch
    {
        Activation.Tanh => Nonlinearity.Tanh,
        Activation.Softplus => Nonlinearity.Softplus,
        Activation.Relu => Nonlinearity.Relu,
        _ => Nonlinearity.Silu,
    };
}
