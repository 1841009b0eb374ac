namespace Microsoft.ML.NeuralOde;

/// <summary>The non-linearity between the layers of built-in dynamics. Smooth ones let adaptive methods take larger steps.</summary>
public enum Activation
{
    /// <summary>tanh x: smooth and bounded, the usual choice.</summary>
    Tanh,

    /// <summary>ln(1 + eˣ): smooth, unbounded.</summary>
    Softplus,

    /// <summary>max(0, x): not differentiable at 0.</summary>
    Relu,

    /// <summary>x / (1 + e⁻ˣ): smooth, unbounded.</summary>
    Silu,
}

internal static class ActivationFunctions
{
    /// <summary>The activation by torch.</summary>
    public static Tensor Apply(this Activation activation, Tensor x) => activation switch
    {
        Activation.Tanh => x.tanh(),
        Activation.Softplus => nn.functional.softplus(x),
        Activation.Relu => x.relu(),
        _ => nn.functional.silu(x),
    };
}

/// <summary>How built-in dynamics depend on time.</summary>
public enum TimeDependence
{
    /// <summary>Not at all: f(t, y) = f(y).</summary>
    None,

    /// <summary>A learned vector times t is added to the result: f(t, y) = f(y) + t w.</summary>
    Add,

    /// <summary>t is one more input feature of every layer.</summary>
    Concatenate,
}
