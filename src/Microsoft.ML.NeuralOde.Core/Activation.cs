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

/// <summary>How built-in dynamics depend on time.</summary>
public enum TimeDependence
{
    /// <summary>Not at all: f(t, y) = f(y).</summary>
    None,

    /// <summary>A learned vector times t is added to the result: f(t, y) = f(y) + t w.</summary>
    Add,

    /// <summary>t is one more input feature of every layer.</summary>
    Concatenate,

    /// <summary>Every layer's result is multiplied by σ(t g + c), with learned vectors g and c.</summary>
    Gate,

    /// <summary>
    /// Every layer's result is multiplied by σ(t g + c) and t w is added (W. Grathwohl, R. T. Q. Chen, J. Bettencourt, I. Sutskever, D.
    /// Duvenaud, FFJORD, 2019): the default of <see cref="ContinuousFlow"/>.
    /// </summary>
    ConcatSquash,

    /// <summary>
    /// W (t, sin πt, cos πt, …, sin 4πt, cos 4πt) is added in every layer, with a learned matrix W: for dynamics on [0, 1] that change
    /// quickly at some times and slowly at others, as those of flow matching do.
    /// </summary>
    Fourier,
}
