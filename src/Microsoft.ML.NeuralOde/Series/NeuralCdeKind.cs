namespace Microsoft.ML.NeuralOde;

/// <summary>The kinds of controlled differential equations dz = F(z) dX that series drive.</summary>
public enum NeuralCdeKind
{
    /// <summary>
    /// Linear with block-diagonal matrices, without a solver (B. Walker et al., Structured linear CDEs, 2025): as accurate as the others on
    /// most data, and many times faster.
    /// </summary>
    Linear,

    /// <summary>A dense network F and a solver (P. Kidger et al., Neural controlled differential equations, 2020).</summary>
    NonLinear,

    /// <summary>
    /// A dense network driven by log-signatures of windows, for long series (J. Morrill et al., 2021; B. Walker et al., Log neural controlled
    /// differential equations, 2024).
    /// </summary>
    LogOde,
}
