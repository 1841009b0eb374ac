namespace Microsoft.ML.NeuralOde.Core.Tests.Support;

/// <summary>The methods that properties are tested with: ours, and users' own as they might write them. A new one is a line here.</summary>
internal static class TestMethods
{
    /// <summary>
    /// C.-W. Shu, S. Osher, Efficient implementation of essentially non-oscillatory shock-capturing schemes, J. Comp. Phys. 77, 1988.
    /// </summary>
    public static RungeKuttaTableau ShuOsher3 => new()
    {
        Order = 3,
        Nodes = [0, 1, 0.5],
        Matrix = [[], [1], [0.25, 0.25]],
        Weights = [1.0 / 6, 1.0 / 6, 2.0 / 3],
    };

    /// <summary>
    /// E. Fehlberg, Low-order classical Runge–Kutta formulas with stepsize control, NASA TR R-315, 1969; the higher order goes on.
    /// </summary>
    public static RungeKuttaTableau Fehlberg5 => new()
    {
        Order = 5,
        Nodes = [0, 1.0 / 4, 3.0 / 8, 12.0 / 13, 1, 1.0 / 2],
        Matrix =
        [
            [],
            [1.0 / 4],
            [3.0 / 32, 9.0 / 32],
            [1932.0 / 2197, -7200.0 / 2197, 7296.0 / 2197],
            [439.0 / 216, -8, 3680.0 / 513, -845.0 / 4104],
            [-8.0 / 27, 2, -3544.0 / 2565, 1859.0 / 4104, -11.0 / 40],
        ],
        Weights = [16.0 / 135, 0, 6656.0 / 12825, 28561.0 / 56430, -9.0 / 50, 2.0 / 55],
        EmbeddedWeights = [25.0 / 216, 0, 1408.0 / 2565, 2197.0 / 4104, -1.0 / 5, 0],
        EmbeddedOrder = 4,
    };

    /// <summary>A user's methods.</summary>
    public static IReadOnlyList<OdeMethod> Own { get; } =
        [OdeMethod.ExplicitRungeKutta("own ssp3", ShuOsher3), OdeMethod.ExplicitRungeKutta("own fehlberg5", Fehlberg5)];

    public static IReadOnlyList<OdeMethod> All { get; } = [.. OdeMethod.All, .. Own];

    /// <summary>The method of a name, also of one of <see cref="Own"/>.</summary>
    public static OdeMethod Named(string name) => Own.FirstOrDefault(method => method.Name == name) ?? OdeMethod.Parse(name);
}
