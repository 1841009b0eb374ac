using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde;

/// <summary>A numerical method for initial value problems. Immutable and shared; the methods are the static properties.</summary>
public abstract class OdeMethod
{
    internal OdeMethod(string name, int order, bool isAdaptive)
    {
        Name = name;
        Order = order;
        IsAdaptive = isAdaptive;
    }

    /// <summary>Euler's method, order 1, fixed steps.</summary>
    public static OdeMethod Euler { get; } = new ExplicitRungeKutta("euler", FixedTableaux.Euler);

    /// <summary>The classical Runge–Kutta method, order 4, fixed steps (Kutta 1901).</summary>
    public static OdeMethod Rk4 { get; } = new ExplicitRungeKutta("rk4", FixedTableaux.ClassicalRungeKutta4);

    /// <summary>
    /// Dormand–Prince 5(4), adaptive: order 5 with an embedded solution of order 4, six evaluations a step
    /// (J. R. Dormand, P. J. Prince, A family of embedded Runge–Kutta formulae, J. Comp. Appl. Math. 6, 1980). The default.
    /// </summary>
    public static OdeMethod Dopri5 { get; } = new ExplicitRungeKutta("dopri5", DormandPrince5.Tableau);

    /// <summary>Every method, in the order of the documentation.</summary>
    public static IReadOnlyList<OdeMethod> All { get; } = [Euler, Rk4, Dopri5];

    /// <summary>The name by which <see cref="Parse"/> knows the method, in lower case.</summary>
    public string Name { get; }

    /// <summary>The order of the method: its global error is O(h^Order).</summary>
    public int Order { get; }

    /// <summary>The order of the interpolant that gives the output between steps.</summary>
    public abstract int InterpolantOrder { get; }

    /// <summary>Whether the method estimates its error and so can choose its steps.</summary>
    public bool IsAdaptive { get; }

    /// <summary>The method of a name.</summary>
    /// <param name="name">A method's <see cref="Name"/>; upper and lower case are the same.</param>
    /// <returns>The method.</returns>
    /// <exception cref="ArgumentException">No method has the name; the message lists those there are.</exception>
    public static OdeMethod Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return All.FirstOrDefault(method => string.Equals(method.Name, name.Trim(), StringComparison.OrdinalIgnoreCase))
            ?? throw new ArgumentException($"There is no ODE method '{name}'; the methods are {string.Join(", ", All.Select(method => method.Name))}.", nameof(name));
    }

    /// <inheritdoc/>
    public override string ToString() => Name;

    internal abstract Stepper CreateStepper(StepperContext context);
}
