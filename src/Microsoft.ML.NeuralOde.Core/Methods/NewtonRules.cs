namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>When a simplified Newton iteration has converged, and when it is not worth going on.</summary>
/// <param name="isControlled">Whether a smaller step is to be had where the iteration fails.</param>
internal readonly struct NewtonRules(bool isControlled)
{
    /// <summary>Corrections of so many units of rounding, relative to the state, are as small as they get.</summary>
    public const double RoundingUnits = 10;

    /// <summary>A Jacobian is kept for the next step while iterations with it shrink the correction by this factor at least.</summary>
    public const double FastRate = 0.05;

    /// <summary>How often a correction with exact Jacobians is halved at most.</summary>
    public const int Halvings = 12;

    /// <summary>Without error control, more iterations than this to go make Jacobians at the stages worth their cost.</summary>
    private const int WorthwhileIterations = 10;

    public bool IsControlled { get; } = isControlled;

    /// <summary>Under error control a smaller step is cheaper than many iterations; without it there is no smaller step.</summary>
    public int MaximumIterations => IsControlled ? 12 : 60;

    /// <summary>With error control the iteration error stays well below the tolerance; without, it goes to rounding.</summary>
    public double Enough => IsControlled ? 0.01 : 1;

    /// <summary>How fast corrections shrink, as far as it matters for the Jacobian's further use.</summary>
    /// <param name="norm">The size of the last correction.</param>
    /// <param name="before">That of the correction before; NaN for none.</param>
    public double Rate(double norm, double before) => !double.IsNaN(before) && norm > Enough ? Shrinkage(norm, before) : 0;

    /// <summary>Whether the iteration has not converged: the last correction times θ / (1 − θ) bounds what is left.</summary>
    /// <inheritdoc cref="Rate"/>
    public bool IsOpen(double norm, double before)
    {
        bool isFirst = double.IsNaN(before);
        double rate = isFirst ? 1 : Shrinkage(norm, before);
        double left = isFirst ? norm : rate < 1 ? norm * rate / (1 - rate) : double.PositiveInfinity;
        // Corrections that no longer shrink but are tiny are rounding.
        return !(Math.Min(left, norm) <= Enough) && !(rate >= 0.5 && norm <= 20 * Enough && !IsControlled);
    }

    /// <summary>Whether, without error control, an iteration that is open diverges or would take long.</summary>
    public bool IsSlow(double norm, double before) =>
        !IsControlled && !(norm * Math.Pow(Shrinkage(norm, before), WorthwhileIterations) <= Enough);

    private static double Shrinkage(double norm, double before) => norm / Math.Max(before, double.Epsilon);
}
