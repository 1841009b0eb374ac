namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>The stages of a Runge–Kutta step and the coefficients that go with them.</summary>
internal readonly ref struct StepStages
{
    /// <summary>k_0 … k_{s−1} of the step being tried.</summary>
    public required ReadOnlySpan<Tensor> Derivatives { get; init; }

    /// <summary>a, whose row i need not go beyond the stages that stage i is made of.</summary>
    public required double[][] A { get; init; }

    public required double[] B { get; init; }

    public required double[] C { get; init; }

    /// <summary>How many stages the solution at the step's end needs.</summary>
    public required int SolutionCount { get; init; }

    /// <summary>Whether the last stage is the next step's first.</summary>
    public bool IsLastNext => SolutionCount < Derivatives.Length;
}
