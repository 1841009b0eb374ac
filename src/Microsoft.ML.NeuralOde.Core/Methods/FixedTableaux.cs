namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>Explicit methods without an error estimate.</summary>
internal static class FixedTableaux
{
    public static ButcherTableau Euler { get; } = new(order: 1, a: [[]], b: [1], c: [0]);

    /// <summary>W. Kutta, Beitrag zur näherungsweisen Integration totaler Differentialgleichungen, 1901.</summary>
    public static ButcherTableau ClassicalRungeKutta4 { get; } = new(
        order: 4,
        a: [[], [1.0 / 2], [0, 1.0 / 2], [0, 0, 1]],
        b: [1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6],
        c: [0, 1.0 / 2, 1.0 / 2, 1]);
}
