namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>
/// Explicit pairs for intervals of one step, behind which nothing goes on: all stages serve the step itself, none the next one. In each a
/// family of embedded solutions b̂ = b − αe meets the conditions of its order; α makes the estimate about as large as that of the
/// pair by Bogacki and Shampine is on linear equations.
/// </summary>
internal static class SingleStepPairs
{
    /// <summary>The third-order method of Bogacki and Shampine, with an estimate from its three stages; α = 1 / 36.</summary>
    public static ButcherTableau ThirdOrder { get; } = new(
        order: 3,
        a: [[], [1.0 / 2], [0, 3.0 / 4]],
        b: [2.0 / 9, 1.0 / 3, 4.0 / 9],
        c: [0, 1.0 / 2, 3.0 / 4],
        error: [1.0 / 36, -3.0 / 36, 2.0 / 36],
        errorOrder: 2);

    /// <summary>
    /// The classical method of order 4, with the fifth stage by J. A. Zonneveld, Automatic numerical integration, 1964; α is an eighth
    /// of his.
    /// </summary>
    public static ButcherTableau FourthOrder { get; } = new(
        order: 4,
        a: [[], [1.0 / 2], [0, 1.0 / 2], [0, 0, 1], [5.0 / 32, 7.0 / 32, 13.0 / 32, -1.0 / 32]],
        b: [1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6, 0],
        c: [0, 1.0 / 2, 1.0 / 2, 1, 3.0 / 4],
        error: [1.0 / 12, -1.0 / 4, -1.0 / 4, -1.0 / 4, 2.0 / 3],
        errorOrder: 3);
}
