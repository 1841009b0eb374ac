namespace Microsoft.ML.NeuralOde;

/// <summary>
/// The coefficients of an explicit Runge–Kutta method of one's own, for <see cref="OdeMethod.ExplicitRungeKutta"/>, which checks them. With
/// s stages, k_i = f(t + c_i h, y + h Σ_j a_ij k_j) and y₁ = y + h Σ b_i k_i.
/// </summary>
/// <remarks>Give every number with all digits of float64, best as a quotient: orders are checked to eleven digits.</remarks>
public sealed class RungeKuttaTableau
{
    /// <summary>The order of the solution that <see cref="Weights"/> give, from 1 to 12: its global error is O(h^Order).</summary>
    public required int Order { get; init; }

    /// <summary>c, one number a stage, from 0 to 1; the first is 0, and each is the sum of its row of <see cref="Matrix"/>.</summary>
    public required IReadOnlyList<double> Nodes { get; init; }

    /// <summary>
    /// a, one row a stage. Row i holds a_i0 … a_i,i−1, so that the first row is empty; or a number for each stage, zeros from the diagonal
    /// on.
    /// </summary>
    public required IReadOnlyList<IReadOnlyList<double>> Matrix { get; init; }

    /// <summary>
    /// b, one number a stage. Where the last stage is f at the step's end (its node is 1, its weight 0 and its row of <see cref="Matrix"/>
    /// b), it is taken over as the next step's first.
    /// </summary>
    public required IReadOnlyList<double> Weights { get; init; }

    /// <summary>
    /// b̂, one number a stage: the weights of a second solution, whose distance from the first is the error of a step. Default: null, a
    /// method of fixed steps.
    /// </summary>
    public IReadOnlyList<double>? EmbeddedWeights { get; init; }

    /// <summary>The order of the second solution; set together with <see cref="EmbeddedWeights"/>.</summary>
    public int? EmbeddedOrder { get; init; }

    /// <summary>
    /// The interpolant y(t + σh) = y + h Σ_i p_i(σ) k_i inside a step: row i holds the coefficients of σ, σ², … in p_i. At σ = 1 it gives
    /// the solution at the step's end. Default: null, the cubic through both ends with both derivatives (Hermite), of order 3 or that of
    /// the method if that is lower.
    /// </summary>
    public IReadOnlyList<IReadOnlyList<double>>? Interpolant { get; init; }

    /// <summary>
    /// The order of the interpolant, at most <see cref="Order"/>: its error in one step is O(h^(InterpolantOrder + 1)). Set together with
    /// <see cref="Interpolant"/>.
    /// </summary>
    public int? InterpolantOrder { get; init; }
}
