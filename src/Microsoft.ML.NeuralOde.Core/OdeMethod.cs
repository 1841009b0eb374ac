using System.ComponentModel;
using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Stepping;

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

    /// <summary>The explicit midpoint rule, order 2, fixed steps.</summary>
    public static OdeMethod Midpoint { get; } = new ExplicitRungeKutta("midpoint", FixedTableaux.Midpoint);

    /// <summary>Heun's method of order 2, the explicit trapezoidal rule, fixed steps.</summary>
    public static OdeMethod Heun2 { get; } = new ExplicitRungeKutta("heun2", FixedTableaux.Heun2) { Citations = [Publications.Heun] };

    /// <summary>Heun's method of order 3, fixed steps (Heun 1900).</summary>
    public static OdeMethod Heun3 { get; } = new ExplicitRungeKutta("heun3", FixedTableaux.Heun3) { Citations = [Publications.Heun] };

    /// <summary>Ralston's method of order 2 with the smallest error bound, fixed steps (Ralston 1962).</summary>
    public static OdeMethod Ralston { get; } = new ExplicitRungeKutta("ralston", FixedTableaux.Ralston2)
    {
        Citations = [Publications.Ralston],
    };

    /// <summary>The classical Runge–Kutta method, order 4, fixed steps (Kutta 1901).</summary>
    public static OdeMethod Rk4 { get; } = new ExplicitRungeKutta("rk4", FixedTableaux.ClassicalRungeKutta4)
    {
        Citations = [Publications.Kutta],
    };

    /// <summary>Kutta's 3/8 rule, order 4, fixed steps (Kutta 1901).</summary>
    public static OdeMethod Rk4ThreeEighths { get; } = new ExplicitRungeKutta("rk4_38", FixedTableaux.ThreeEighths)
    {
        Citations = [Publications.Kutta],
    };

    /// <summary>Heun's method with Euler's as error estimate, order 2(1), adaptive.</summary>
    public static OdeMethod AdaptiveHeun { get; } = new ExplicitRungeKutta("adaptive_heun", LowOrderPairs.AdaptiveHeun);

    /// <summary>Fehlberg 2(1), adaptive (Fehlberg 1969).</summary>
    public static OdeMethod Fehlberg2 { get; } = new ExplicitRungeKutta("fehlberg2", LowOrderPairs.Fehlberg2)
    {
        Citations = [Publications.Fehlberg],
    };

    /// <summary>Bogacki–Shampine 3(2), adaptive, three evaluations a step: for loose tolerances (Bogacki and Shampine 1989).</summary>
    public static OdeMethod Bosh3 { get; } = new ExplicitRungeKutta("bosh3", LowOrderPairs.BogackiShampine3)
    {
        Citations = [Publications.BogackiShampine],
    };

    /// <summary>
    /// Tsitouras 5(4), adaptive, six evaluations a step (Ch. Tsitouras, Runge–Kutta pairs of order 5(4) satisfying only the first column
    /// simplifying assumption, Comput. Math. Appl. 62, 2011).
    /// </summary>
    public static OdeMethod Tsit5 { get; } = new ExplicitRungeKutta("tsit5", Tsitouras5.Tableau) { Citations = [Publications.Tsitouras] };

    /// <summary>
    /// Dormand–Prince 5(4), adaptive: order 5 with an embedded solution of order 4, six evaluations a step
    /// (J. R. Dormand, P. J. Prince, A family of embedded Runge–Kutta formulae, J. Comp. Appl. Math. 6, 1980). The default.
    /// </summary>
    public static OdeMethod Dopri5 { get; } = new ExplicitRungeKutta("dopri5", DormandPrince5.Tableau)
    {
        Citations = [Publications.DormandPrince],
    };

    /// <summary>
    /// Dormand–Prince 8(5,3), adaptive, twelve evaluations a step: for tight tolerances (Hairer, Nørsett and Wanner, Solving Ordinary
    /// Differential Equations I, II.5).
    /// </summary>
    public static OdeMethod Dopri8 { get; } = new ExplicitRungeKutta("dopri8", DormandPrince8.Tableau);

    /// <summary>The implicit Euler method, order 1, adaptive: L-stable.</summary>
    public static OdeMethod ImplicitEuler { get; } = new ImplicitRungeKutta("implicit_euler", ImplicitTableaux.Euler)
    {
        Citations = [Publications.HairerStiff],
    };

    /// <summary>The implicit midpoint rule, order 2, fixed steps: symplectic, A-stable.</summary>
    public static OdeMethod ImplicitMidpoint { get; } = new ImplicitRungeKutta("implicit_midpoint", ImplicitTableaux.Midpoint)
    {
        Citations = [Publications.HairerStiff],
    };

    /// <summary>The implicit trapezoidal rule (Crank–Nicolson), order 2, fixed steps: A-stable.</summary>
    public static OdeMethod Trapezoid { get; } = new ImplicitRungeKutta("trapezoid", ImplicitTableaux.Trapezoid)
    {
        Citations = [Publications.HairerStiff],
    };

    /// <summary>Singly diagonally implicit Runge–Kutta, order 2(1), adaptive: L-stable (Alexander 1977).</summary>
    public static OdeMethod Sdirk2 { get; } = new ImplicitRungeKutta("sdirk2", ImplicitTableaux.Sdirk2)
    {
        Citations = [Publications.Alexander],
    };

    /// <summary>TR-BDF2, order 2(3), adaptive: L-stable, for loose tolerances (Hosea and Shampine 1996).</summary>
    public static OdeMethod TrBdf2 { get; } = new ImplicitRungeKutta("trbdf2", ImplicitTableaux.TrBdf2)
    {
        Citations = [Publications.HoseaShampine],
    };

    /// <summary>Kværnø 3(2), diagonally implicit, adaptive: L-stable (Kværnø 2004).</summary>
    public static OdeMethod Kvaerno3 { get; } = new ImplicitRungeKutta("kvaerno3", ImplicitTableaux.Kvaerno3)
    {
        Citations = [Publications.Kvaerno],
    };

    /// <summary>
    /// ESDIRK4(3)6L[2]SA, diagonally implicit, order 4, adaptive: L-stable (C. A. Kennedy, M. H. Carpenter, Additive Runge–Kutta schemes
    /// for convection–diffusion–reaction equations, 2003).
    /// </summary>
    public static OdeMethod Esdirk4 { get; } = new ImplicitRungeKutta("esdirk4", ImplicitTableaux.Esdirk4)
    {
        Citations = [Publications.KennedyAdditive],
    };

    /// <summary>
    /// ESDIRK5(4)7L[2]SA2, diagonally implicit, order 5, adaptive: L-stable (C. A. Kennedy, M. H. Carpenter, Diagonally implicit
    /// Runge–Kutta methods for stiff ODEs, 2019).
    /// </summary>
    public static OdeMethod Esdirk5 { get; } = new ImplicitRungeKutta("esdirk5", ImplicitTableaux.Esdirk5)
    {
        Citations = [Publications.KennedyDiagonal],
    };

    /// <summary>
    /// Another name of <see cref="Esdirk4"/>, which took the place of Kværnø's method of order 4: a stage of hers lies behind the step's
    /// end, and so f was asked outside the interval. <see cref="Parse"/> knows “kvaerno4” too, so that saved models can be loaded.
    /// </summary>
    [EditorBrowsable(EditorBrowsableState.Never)]
    public static OdeMethod Kvaerno4 => Esdirk4;

    /// <summary>
    /// Another name of <see cref="Esdirk5"/>, for the reason of <see cref="Kvaerno4"/>; “kvaerno5” for <see cref="Parse"/>.
    /// </summary>
    [EditorBrowsable(EditorBrowsableState.Never)]
    public static OdeMethod Kvaerno5 => Esdirk5;

    /// <summary>
    /// Two-stage Radau IIA, order 3, adaptive: L-stable (Hairer and Wanner, Solving Ordinary Differential Equations II, IV.5).
    /// </summary>
    public static OdeMethod Radau3 { get; } = new ImplicitRungeKutta("radau3", ImplicitTableaux.Radau3)
    {
        Citations = [Publications.HairerStiff],
    };

    /// <summary>
    /// Three-stage Radau IIA, order 5, adaptive: L-stable, the standard choice for stiff problems at tight tolerances (the same, IV.8).
    /// </summary>
    public static OdeMethod Radau5 { get; } = new ImplicitRungeKutta("radau5", ImplicitTableaux.Radau5)
    {
        Citations = [Publications.HairerStiff],
    };

    /// <summary>Two-stage Gauss–Legendre, order 4, fixed steps: symplectic, A-stable.</summary>
    public static OdeMethod GaussLegendre4 { get; } = new ImplicitRungeKutta("gl4", ImplicitTableaux.Gauss4)
    {
        Citations = [Publications.HairerStiff],
    };

    /// <summary>Three-stage Gauss–Legendre, order 6, fixed steps: symplectic, A-stable.</summary>
    public static OdeMethod GaussLegendre6 { get; } = new ImplicitRungeKutta("gl6", ImplicitTableaux.Gauss6)
    {
        Citations = [Publications.HairerStiff],
    };

    /// <summary>
    /// Reversible Heun, order 2(1), adaptive, one evaluation a step: a step can be undone exactly (Kidger, Foster, Li and Lyons 2021).
    /// </summary>
    public static OdeMethod ReversibleHeun { get; } = new ReversibleHeun() { Citations = [Publications.ReversibleHeun] };

    /// <summary>
    /// Semi-implicit (symplectic) Euler for second-order systems, order 1, fixed steps. See <see cref="IsForSecondOrderSystems"/>.
    /// </summary>
    public static OdeMethod SemiImplicitEuler { get; } = new SymplecticMethod("semi_implicit_euler", isLeapfrog: false)
    {
        Citations = [Publications.HairerGeometric],
    };

    /// <summary>
    /// Leapfrog (Störmer–Verlet, kick–drift–kick) for second-order systems, order 2, fixed steps: symplectic where accelerations do not
    /// depend on velocities. See <see cref="IsForSecondOrderSystems"/>.
    /// </summary>
    public static OdeMethod Leapfrog { get; } = new SymplecticMethod("leapfrog", isLeapfrog: true)
    {
        Citations = [Publications.HairerGeometric],
    };

    /// <summary>
    /// Adams methods of order 1 to 12 (predictor, evaluation, corrector, evaluation) that choose order and step as they go, two evaluations
    /// a step: for smooth problems, tight tolerances and long intervals (L. F. Shampine, M. K. Gordon, Computer Solution of Ordinary
    /// Differential Equations, 1975). Neither per-row step sizes nor gradients for the output times. With a fixed step size it is
    /// <see cref="AdamsBashforthMoulton"/> of order 4, which <see cref="Order"/> tells.
    /// </summary>
    public static OdeMethod Adams { get; } = new VariableOrderAdams() { Citations = [Publications.ShampineGordon] };

    /// <summary>
    /// <see cref="Dopri5"/> while stability does not limit its steps, <see cref="Radau5"/> where it does: for problems of which it is not
    /// known whether, or where, they are stiff. Decides for the whole batch; not for per-row step sizes.
    /// </summary>
    public static OdeMethod Auto { get; } = new AutoSwitching("auto", (ExplicitRungeKutta)Dopri5, (ImplicitRungeKutta)Radau5)
    {
        Citations = [Publications.Petzold, Publications.DormandPrince, Publications.HairerStiff],
    };

    /// <summary>
    /// Every method, in the order of the documentation; of the Adams methods those of order 4, of the reversible couplings one.
    /// </summary>
    public static IReadOnlyList<OdeMethod> All { get; } =
    [
        Euler, Midpoint, Heun2, Heun3, Ralston, Rk4, Rk4ThreeEighths, AdaptiveHeun, Fehlberg2, Bosh3, Tsit5, Dopri5, Dopri8,
        ImplicitEuler, ImplicitMidpoint, Trapezoid, Sdirk2, TrBdf2, Kvaerno3, Esdirk4, Esdirk5, Radau3, Radau5, GaussLegendre4,
        GaussLegendre6,
        ReversibleHeun, ReversibleCoupling(Dopri5), SemiImplicitEuler, Leapfrog, AdamsBashforth(), AdamsBashforthMoulton(), Adams, Auto,
    ];

    /// <summary>The name by which <see cref="Parse"/> knows the method, in lower case.</summary>
    public string Name { get; }

    /// <summary>The order of the method: its global error is O(h^Order).</summary>
    public int Order { get; }

    /// <summary>
    /// The stages of a step: the states at which the right-hand side is evaluated, of which the first or the last may be shared with the
    /// step before or behind. For methods that switch, those of the explicit one.
    /// </summary>
    public virtual int Stages => 1;

    /// <summary>The order of the interpolant that gives the output between steps.</summary>
    public abstract int InterpolantOrder { get; }

    /// <summary>
    /// Whether the method is for second-order systems only: the state's last dimension then holds positions in its first half and
    /// velocities in its second, and the right-hand side returns velocities and accelerations in the same places.
    /// </summary>
    public virtual bool IsForSecondOrderSystems => false;

    /// <summary>
    /// Whether each step can be undone exactly from its end, as <see cref="GradientMethod.Reversible"/> needs it.
    /// </summary>
    public virtual bool IsReversible => Reversible is not null;

    /// <summary>Whether steps solve linear equations, which torch does in float32 and float64 alone.</summary>
    internal virtual bool SolvesEquations => false;

    /// <summary>How the method's steps are undone; null where they cannot be.</summary>
    internal virtual IReversibleMethod? Reversible => null;

    /// <summary>Whether <see cref="Parse"/> finds the very method by its name, so that the name is enough to keep it by.</summary>
    internal virtual bool IsKnownByName => true;

    /// <summary>
    /// The coefficients of an explicit Runge–Kutta method, which its steps are made of and nothing else; null for other methods.
    /// </summary>
    internal virtual ButcherTableau? ExplicitTableau => null;

    /// <summary>
    /// The Runge–Kutta method that solves the adjoint equation of a solve by this one: the method itself, where it is one.
    /// </summary>
    internal virtual OdeMethod AdjointMethod => Dopri5;

    /// <summary>Whether the method must be told of stiffness, whatever that costs, since it then goes on as another.</summary>
    internal virtual bool SwitchesByStiffness => false;

    /// <summary>Whether the rows of a batch may have their own step sizes.</summary>
    internal virtual bool SupportsPerRow => true;

    /// <summary>Whether a step depends on its start alone, and so can be made again for its derivatives.</summary>
    internal virtual bool IsOneStep => true;

    /// <summary>The order of the very first step.</summary>
    internal virtual int StartOrder => Order;

    /// <summary>
    /// Where the method was published, or for the oldest a textbook that treats it. Empty for methods of one's own.
    /// </summary>
    public IReadOnlyList<Citation> Citations { get; internal init; } = [Publications.HairerNonstiff];

    /// <summary>Whether the method estimates its error and so can choose its steps.</summary>
    public bool IsAdaptive { get; }

    /// <summary>
    /// Adams–Bashforth, explicit, fixed steps, one evaluation a step; the first steps are made by a Runge–Kutta method. The steps may
    /// change their length. Without gradients for the output times.
    /// </summary>
    /// <param name="order">The order, 1 to 8.</param>
    /// <returns>The method.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such order.</exception>
    public static OdeMethod AdamsBashforth(int order = 4) => new AdamsMethod(order, corrects: false);

    /// <summary>
    /// Adams–Bashforth–Moulton, predictor and one correction (PECE), fixed steps, two evaluations a step: more stable than Adams–Bashforth
    /// alone. Without gradients for the output times.
    /// </summary>
    /// <param name="order">The order, 1 to 8.</param>
    /// <returns>The method.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such order.</exception>
    public static OdeMethod AdamsBashforthMoulton(int order = 4) => new AdamsMethod(order, corrects: true);

    /// <summary>
    /// The algebraically reversible coupling of an explicit Runge–Kutta method: of its order and reversible, for
    /// <see cref="GradientMethod.Reversible"/>. A second state beside the first makes a step cost about twice as many evaluations
    /// (S. McCallum, J. Foster, Efficient, accurate and stable gradients for neural ODEs, 2024).
    /// </summary>
    /// <remarks>
    /// For problems that neither decay nor grow much within a step: the difference of the two states is multiplied by λ e^(−hμ) for a
    /// component that follows y′ = μy. Where components decay, steps must keep h |μ| below −ln λ, or the states move apart. Under error
    /// control their difference is part of a step's error, so that steps become shorter and, with λ near 1, very short. Without, a solve
    /// whose states differ by more than 5 % of the state (or of its change in the step) fails with <see cref="SolverFailure.Drift"/>.
    /// </remarks>
    /// <param name="method">The explicit Runge–Kutta method, such as <see cref="Bosh3"/> or <see cref="Dopri5"/>.</param>
    /// <param name="coupling">
    /// λ, which lies between 0 and 1: 1 − λ pulls the two states together in each step, and undoing N steps amplifies rounding by λ^(−N).
    /// Gradients therefore keep both states at every so many steps: at λ = 0.5 every 16 in float64 and every 6 in float32, at 0.9 every 109
    /// and 43. Default: 0.5.
    /// </param>
    /// <returns>The method; its name is “reversible_” and the method's.</returns>
    /// <exception cref="ArgumentException">The method is not an explicit Runge–Kutta method.</exception>
    /// <exception cref="ArgumentOutOfRangeException">λ is out of its range.</exception>
    public static OdeMethod ReversibleCoupling(OdeMethod method, double coupling = Methods.ReversibleCoupling.DefaultCoupling)
    {
        ArgumentNullException.ThrowIfNull(method);
        if (method.ExplicitTableau is null)
            throw new ArgumentException(
                $"The coupling's method is '{method.Name}'; it must be an explicit Runge–Kutta method such as OdeMethod.Dopri5.",
                nameof(method));
        if (!(coupling is > 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(coupling), coupling, "The coupling must lie between 0 and 1, both excluded.");
        return new ReversibleCoupling(method, method.ExplicitTableau, coupling);
    }

    /// <summary>
    /// An explicit Runge–Kutta method of one's own, which works wherever ours do: with every gradient method, per-row steps and events.
    /// </summary>
    /// <example>
    /// The third-order method that preserves strong stability (C.-W. Shu, S. Osher, 1988):
    /// <code>
    /// OdeMethod ssp3 = OdeMethod.ExplicitRungeKutta("ssp3", new RungeKuttaTableau
    /// {
    ///     Order = 3,
    ///     Nodes = [0, 1, 0.5],
    ///     Matrix = [[], [1], [0.25, 0.25]],
    ///     Weights = [1.0 / 6, 1.0 / 6, 2.0 / 3],
    /// });
    /// </code>
    /// </example>
    /// <param name="name">
    /// Its name in texts. <see cref="Parse"/> does not know it: trainers, whose model files hold the names of methods alone, refuse methods
    /// of one's own.
    /// </param>
    /// <param name="tableau">Its coefficients.</param>
    /// <returns>The method: adaptive where the tableau has embedded weights.</returns>
    /// <exception cref="ArgumentException">
    /// The name is empty or that of another method; or the tableau is not explicit, not consistent or not of the orders that it states. The
    /// message says where.
    /// </exception>
    public static OdeMethod ExplicitRungeKutta(string name, RungeKuttaTableau tableau)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(tableau);
        if (name != name.Trim() || name.Any(char.IsControl))
            throw new ArgumentException(
                $"The name '{name}' begins or ends with a space or holds a control character; choose another.", nameof(name));
        if (Find(name) is { } other)
            throw new ArgumentException($"'{name}' is the name of OdeMethod '{other.Name}'; choose another.", nameof(name));
        return new ExplicitRungeKutta(name, OwnTableau.Check(name, tableau, nameof(tableau)), isKnownByName: false) { Citations = [] };
    }

    /// <summary>The method of a name.</summary>
    /// <param name="name">
    /// A method's <see cref="Name"/>; upper and lower case are the same. Adams methods of other orders are adams_bashforth1 to 8 and
    /// adams_bashforth_moulton1 to 8; reversible couplings of other methods are reversible_euler and so on.
    /// </param>
    /// <returns>The method.</returns>
    /// <exception cref="ArgumentException">No method has the name; the message lists those there are.</exception>
    public static OdeMethod Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return Find(name.Trim())
            ?? throw new ArgumentException(
                $"There is no ODE method '{name}'; the methods are {string.Join(", ", All.Select(method => method.Name))}.", nameof(name));
    }

    /// <inheritdoc/>
    public override string ToString() => Name;

    private static OdeMethod? Find(string name) =>
        FormerName(name)
        ?? All.FirstOrDefault(method => string.Equals(method.Name, name, StringComparison.OrdinalIgnoreCase))
        ?? (OdeMethod?)AdamsMethod.FromName(name)
        ?? Methods.ReversibleCoupling.FromName(name);

    private static OdeMethod? FormerName(string name) => name.ToUpperInvariant() switch
    {
        "KVAERNO4" => Esdirk4,
        "KVAERNO5" => Esdirk5,
        _ => null,
    };

    /// <summary>Refuses states of a type that the method cannot work with.</summary>
    /// <exception cref="ArgumentException">The method solves equations, and the state's type has no linear algebra.</exception>
    internal void CheckType(Tensor state, string parameter)
    {
        if (SolvesEquations && state.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException(
                $"The initial state has type {state.dtype}, and '{Name}' solves linear equations, which torch does in float32 and float64 alone. " +
                "Convert the state, such as by y.to(ScalarType.Float32), or take an explicit method such as OdeMethod.Dopri5.", parameter);
    }

    internal abstract Stepper CreateStepper(StepperContext context);
}
