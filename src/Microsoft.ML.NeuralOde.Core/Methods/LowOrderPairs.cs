namespace Microsoft.ML.NeuralOde.Methods;

/// <summary>Explicit pairs of low order, for loose tolerances.</summary>
internal static class LowOrderPairs
{
    /// <summary>Heun's method with Euler's as its estimate.</summary>
    public static ButcherTableau AdaptiveHeun { get; } = new(
        order: 2, a: [[], [1]], b: [1.0 / 2, 1.0 / 2], c: [0, 1], error: [-1.0 / 2, 1.0 / 2], errorOrder: 1);

    /// <summary>E. Fehlberg, Low-order classical Runge–Kutta formulas with stepsize control, NASA TR R-315, 1969.</summary>
    public static ButcherTableau Fehlberg2 { get; } = new(
        order: 2,
        a: [[], [1.0 / 2], [1.0 / 256, 255.0 / 256]],
        b: [1.0 / 512, 255.0 / 256, 1.0 / 512],
        c: [0, 1.0 / 2, 1],
        error: [-1.0 / 512, 0, 1.0 / 512],
        errorOrder: 1);

    /// <summary>P. Bogacki, L. F. Shampine, A 3(2) pair of Runge–Kutta formulas, Appl. Math. Lett. 2, 1989.</summary>
    public static ButcherTableau BogackiShampine3 { get; } = new(
        order: 3,
        a: [[], [1.0 / 2], [0, 3.0 / 4], [2.0 / 9, 1.0 / 3, 4.0 / 9]],
        b: [2.0 / 9, 1.0 / 3, 4.0 / 9, 0],
        c: [0, 1.0 / 2, 3.0 / 4, 1],
        error: [-5.0 / 72, 1.0 / 12, 1.0 / 9, -1.0 / 8],
        errorOrder: 2);
}
