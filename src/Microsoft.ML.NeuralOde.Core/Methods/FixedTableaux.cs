namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>Explicit methods without an error estimate.</summary>
internal static class FixedTableaux
{
    public static ButcherTableau Euler { get; } = new(order: 1, a: [[]], b: [1], c: [0]);

    public static ButcherTableau Midpoint { get; } = new(order: 2, a: [[], [1.0 / 2]], b: [0, 1], c: [0, 1.0 / 2]);

    public static ButcherTableau Heun2 { get; } = new(order: 2, a: [[], [1]], b: [1.0 / 2, 1.0 / 2], c: [0, 1]);

    /// <summary>K. Heun, Neue Methoden zur approximativen Integration, 1900.</summary>
    public static ButcherTableau Heun3 { get; } = new(
        order: 3, a: [[], [1.0 / 3], [0, 2.0 / 3]], b: [1.0 / 4, 0, 3.0 / 4], c: [0, 1.0 / 3, 2.0 / 3]);

    /// <summary>A. Ralston, Runge–Kutta methods with minimum error bounds, Math. Comp. 16, 1962.</summary>
    public static ButcherTableau Ralston2 { get; } = new(order: 2, a: [[], [2.0 / 3]], b: [1.0 / 4, 3.0 / 4], c: [0, 2.0 / 3]);

    /// <summary>W. Kutta, Beitrag zur näherungsweisen Integration totaler Differentialgleichungen, 1901.</summary>
    public static ButcherTableau ClassicalRungeKutta4 { get; } = new(
        order: 4,
        a: [[], [1.0 / 2], [0, 1.0 / 2], [0, 0, 1]],
        b: [1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6],
        c: [0, 1.0 / 2, 1.0 / 2, 1]);

    /// <summary>Kutta's 3/8 rule, from the same paper.</summary>
    public static ButcherTableau ThreeEighths { get; } = new(
        order: 4,
        a: [[], [1.0 / 3], [-1.0 / 3, 1], [1, -1, 1]],
        b: [1.0 / 8, 3.0 / 8, 3.0 / 8, 1.0 / 8],
        c: [0, 1.0 / 3, 2.0 / 3, 1]);
}
