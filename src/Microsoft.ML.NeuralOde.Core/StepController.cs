namespace Microsoft.ML.NeuralOde;

/// <summary>
/// Sets the size of the next step from the errors of the last ones: the digital filter of Söderlind, with the integral (I), PI and PID
/// controllers as its usual choices; and Gustafsson's predictive control for implicit methods.
/// </summary>
/// <remarks>
/// With ε_n the tolerance divided by the error of step n and k the order of the error estimate plus one,
/// h_{n+1} = h_n · safety · ε_n^{β₁/k} ε_{n−1}^{β₂/k} ε_{n−2}^{β₃/k}, where β₁ = p_I + p_P + p_D, β₂ = −(p_P + 2 p_D), β₃ = p_D
/// (G. Söderlind, Digital filters in adaptive time-stepping, ACM TOMS 29, 2003).
/// </remarks>
public sealed class StepController
{
    /// <summary>Predictive control leaves the step as it is where it could grow by less than this.</summary>
    private const double WorthwhileGrowth = 1.2;

    private readonly bool _isPredictive;

    private StepController(
        double integral, double proportional, double derivative, double safety, double minimumFactor, double maximumFactor,
        bool isPredictive = false)
    {
        _isPredictive = isPredictive;
        RequireCoefficient(safety is > 0 and <= 1, nameof(safety), safety, "above 0 and at most 1");
        RequireCoefficient(minimumFactor is > 0 and < 1, nameof(minimumFactor), minimumFactor, "between 0 and 1");
        RequireCoefficient(maximumFactor > 1, nameof(maximumFactor), maximumFactor, "above 1");
        RequireCoefficient(integral > 0 && double.IsFinite(integral + proportional + derivative), nameof(integral), integral,
            "positive, and all coefficients finite");
        Beta1 = integral + proportional + derivative;
        Beta2 = -(proportional + 2 * derivative);
        Beta3 = derivative;
        Safety = safety;
        MinimumFactor = minimumFactor;
        MaximumFactor = maximumFactor;
    }

    internal static StepController Default { get; } = Integral();

    internal static StepController ForImplicitMethods { get; } = Predictive();

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

    /// <summary>
    /// Gustafsson's predictive controller for implicit methods: where errors grow from step to step, it expects them to go on growing. A
    /// step that could become only a little longer stays as it is, so that factorisations can be used again (K. Gustafsson,
    /// Control-theoretic techniques for stepsize selection in implicit Runge–Kutta methods, ACM TOMS 20, 1994).
    /// </summary>
    /// <param name="safety">Factor on the suggested size; default 0.9.</param>
    /// <param name="minimumFactor">Strongest decrease; default 0.2.</param>
    /// <param name="maximumFactor">Strongest increase; default 10.</param>
    /// <returns>The controller.</returns>
    public static StepController Predictive(double safety = 0.9, double minimumFactor = 0.2, double maximumFactor = 10) =>
        new(1, 0, 0, safety, minimumFactor, maximumFactor, isPredictive: true);

    /// <summary>The coefficients of the filter and its limits.</summary>
    /// <returns>For instance “(β = 1, 0, 0; safety 0.9; factors 0.2 to 10)”.</returns>
    public override string ToString() =>
        $"{(_isPredictive ? "predictive " : "")}(β = {OptionText.Of(Beta1)}, {OptionText.Of(Beta2)}, {OptionText.Of(Beta3)}; "
        + $"safety {OptionText.Of(Safety)}; factors {OptionText.Of(MinimumFactor)} to {OptionText.Of(MaximumFactor)})";

    /// <summary>By how much the step behind an accepted one should differ from it.</summary>
    /// <param name="inverse">Tolerance over error of the accepted step.</param>
    /// <param name="inverse1">The same of the step before.</param>
    /// <param name="inverse2">The same of the step before that.</param>
    /// <param name="growth">The accepted step's size over that of the step before.</param>
    /// <param name="k">The order of the error estimate plus one.</param>
    internal double Factor(double inverse, double inverse1, double inverse2, double growth, int k)
    {
        double factor = Safety * Math.Pow(inverse, Beta1 / k) * Math.Pow(inverse1, Beta2 / k) * Math.Pow(inverse2, Beta3 / k);
        if (!_isPredictive)
            return factor;
        factor *= Math.Min(1, growth * Math.Pow(inverse / inverse1, 1.0 / k));
        return factor is > 1 and < WorthwhileGrowth ? 1 : factor;
    }

    private static void RequireCoefficient(bool condition, string name, double found, string expected)
    {
        if (!condition)
            throw new ArgumentOutOfRangeException(name, found, $"A step controller's {name} must be {expected}.");
    }
}
