namespace Microsoft.ML.NeuralOde;

/// <summary>How accurately a differential equation is solved: rtol and atol.</summary>
/// <param name="Relative">rtol.</param>
/// <param name="Absolute">atol, in the unit of the state.</param>
public sealed record SolverTolerances(double Relative, double Absolute)
{
    /// <summary>1e-3 and 1e-4: enough for gradients, which are noisy anyway.</summary>
    public static SolverTolerances Training { get; } = new(1e-3, 1e-4);

    /// <summary>1e-4 and 1e-5: for predictions; the solver's error is far below the model's.</summary>
    public static SolverTolerances Production { get; } = new(1e-4, 1e-5);

    /// <summary>1e-5 and 1e-6: for figures that are compared, about the best that pays in float32.</summary>
    public static SolverTolerances Evaluation { get; } = new(1e-5, 1e-6);

    /// <summary>The tolerances at a share of the way from these to others, in equal ratios.</summary>
    internal SolverTolerances Towards(SolverTolerances other, double share) => new(
        Relative * Math.Pow(other.Relative / Relative, share), Absolute * Math.Pow(other.Absolute / Absolute, share));

    /// <summary>Whether steps may be so large that time, a number of double precision, tells their ends apart.</summary>
    internal bool AreAttainable => Math.Max(Relative, Absolute) >= Math.BitIncrement(1.0) - 1;

    internal bool AreValid => Relative is > 0 and <= float.MaxValue && Absolute is > 0 and <= float.MaxValue;
}
