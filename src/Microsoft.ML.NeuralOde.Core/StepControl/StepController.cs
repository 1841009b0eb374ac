namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Sets the size of the next step from the errors of the last ones: the digital filter of Söderlind, with the integral (I), PI and PID
/// controllers as its usual choices.
/// </summary>
/// <remarks>
/// With ε_n the tolerance divided by the error of step n and k the order of the error estimate plus one,
/// h_{n+1} = h_n · safety · ε_n^{β₁/k} ε_{n−1}^{β₂/k} ε_{n−2}^{β₃/k}, where β₁ = p_I + p_P + p_D, β₂ = −(p_P + 2 p_D), β₃ = p_D
/// (G. Söderlind, Digital filters in adaptive time-stepping, ACM TOMS 29, 2003).
/// </remarks>
public sealed class StepController
{
    private StepController(double integral, double proportional, double derivative, double safety, double minimumFactor, double maximumFactor)
    {
        RequireCoefficient(safety is > 0 and <= 1, nameof(safety), safety, "above 0 and at most 1");
        RequireCoefficient(minimumFactor is > 0 and < 1, nameof(minimumFactor), minimumFactor, "between 0 and 1");
        RequireCoefficient(maximumFactor > 1, nameof(maximumFactor), maximumFactor, "above 1");
        RequireCoefficient(integral > 0 && double.IsFinite(integral + proportional + derivative), nameof(integral), integral, "positive, and all coefficients finite");
        Beta1 = integral + proportional + derivative;
        Beta2 = -(proportional + 2 * derivative);
        Beta3 = derivative;
        Safety = safety;
        MinimumFactor = minimumFactor;
        MaximumFactor = maximumFactor;
    }

    /// <summary>Factor on the step size that the error suggests.</summary>
    public double Safety { get; }

    /// <summary>A rejected step is repeated with at least this fraction of its size.</summary>
    public double MinimumFactor { get; }

    /// <summary>A step is at most this many times its predecessor.</summary>
    public double MaximumFactor { get; }

    internal double Beta1 { get; }

    internal double Beta2 { get; }

    internal double Beta3 { get; }

    /// <summary>The classical controller, which looks at the last error only.</summary>
    /// <param name="safety">Factor on the suggested size; default 0.9.</param>
    /// <param name="minimumFactor">Strongest decrease; default 0.2.</param>
    /// <param name="maximumFactor">Strongest increase; default 10.</param>
    /// <returns>The controller.</returns>
    public static StepController Integral(double safety = 0.9, double minimumFactor = 0.2, double maximumFactor = 10) =>
        new(1, 0, 0, safety, minimumFactor, maximumFactor);

    /// <summary>A proportional–integral controller: smoother steps where stability limits them.</summary>
    /// <param name="integral">p_I; default 0.3.</param>
    /// <param name="proportional">p_P; default 0.4.</param>
    /// <param name="safety">Factor on the suggested size; default 0.9.</param>
    /// <param name="minimumFactor">Strongest decrease; default 0.2.</param>
    /// <param name="maximumFactor">Strongest increase; default 10.</param>
    /// <returns>The controller.</returns>
    public static StepController ProportionalIntegral(
        double integral = 0.3, double proportional = 0.4, double safety = 0.9, double minimumFactor = 0.2, double maximumFactor = 10) =>
        new(integral, proportional, 0, safety, minimumFactor, maximumFactor);

    /// <summary>A PID controller.</summary>
    /// <param name="integral">p_I; default 0.3.</param>
    /// <param name="proportional">p_P; default 0.3.</param>
    /// <param name="derivative">p_D; default 0.05.</param>
    /// <param name="safety">Factor on the suggested size; default 0.9.</param>
    /// <param name="minimumFactor">Strongest decrease; default 0.2.</param>
    /// <param name="maximumFactor">Strongest increase; default 10.</param>
    /// <returns>The controller.</returns>
    public static StepController ProportionalIntegralDerivative(
        double integral = 0.3, double proportional = 0.3, double derivative = 0.05, double safety = 0.9, double minimumFactor = 0.2,
        double maximumFactor = 10) =>
        new(integral, proportional, derivative, safety, minimumFactor, maximumFactor);

    private static void RequireCoefficient(bool condition, string name, double found, string expected)
    {
        if (!condition)
            throw new ArgumentOutOfRangeException(name, found, $"A step controller's {name} must be {expected}.");
    }
}
