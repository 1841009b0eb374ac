using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Core.Tests.Methods;

public class ConvergenceTests
{
    public static TheoryData<string> Methods =>
        [.. TestMethods.All.Where(method => !method.IsForSecondOrderSystems).Select(method => method.Name)];

    /// <summary>All but those that put interpolants of several orders together; they have tests of their own.</summary>
    public static TheoryData<string> MethodsWithOneInterpolant =>
        [.. TestMethods.All.Where(method => method is not (VariableOrderAdams or AutoSwitching) && !method.IsForSecondOrderSystems)
            .Select(method => method.Name)];

    [Theory]
    [MemberData(nameof(Methods))]
    public void Fixed_steps_converge_with_the_order_of_the_method(string name)
    {
        OdeMethod method = TestMethods.Named(name);
        // Three halvings, from few enough steps on to stay clear of rounding.
        double order = Order(steps => Error(method, steps), method.Order >= 6 ? 4 : 12, halvings: 3);
        if (method is ReversibleCoupling)
            // The backward step takes most of the leading error away again.
            order.Should().BeInRange(method.Order - 0.3, method.Order + 0.6);
        else
            order.Should().BeApproximately(method.Order, 0.3);
    }

    [Theory]
    [MemberData(nameof(MethodsWithOneInterpolant))]
    public void The_interpolant_has_its_order(string name)
    {
        OdeMethod method = TestMethods.Named(name);
        double order =
            Order(steps => InterpolationError(method, steps), method.InterpolantOrder >= 6 ? 8 : method.InterpolantOrder >= 4 ? 12 : 40);
        order.Should().BeApproximately(method.InterpolantOrder + 1, 0.3, "the local error of one step is O(h^(order + 1))");
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public void The_tableau_is_consistent(string name)
    {
        if (TestMethods.Named(name) is not ExplicitRungeKutta method)
            return;
        ButcherTableau tableau = method.Tableau;
        for (int i = 0; i < tableau.Stages; i++)
            tableau.A[i].Sum().Should().BeApproximately(tableau.C[i], 1e-14, "row {0} of a sums to c", i);
        for (int q = 1; q <= method.Order; q++)
            tableau.B.Zip(tableau.C, (b, c) => b * Math.Pow(c, q - 1))
            .Sum().Should().BeApproximately(1.0 / q, 1e-14, "quadrature condition {0}", q);
        tableau.Error?.Sum().Should().BeApproximately(0, 1e-15);
        double[] weights = new double[tableau.Extension.Polynomials.Length];
        tableau.Extension.Weights(1, weights);
        weights.Take(tableau.Stages).Should().Equal(tableau.B, (a, b) => Math.Abs(a - b) < 1e-12, "the interpolant meets the step's end");
        tableau.Extension.WeightDerivatives(0, weights);
        weights[0].Should().BeApproximately(1, 1e-12, "the interpolant starts with slope f(t, y)");
    }

    private static double Order(Func<int, double> error, int coarse, int halvings = 1) =>
        Math.Log2(error(coarse) / error(coarse << halvings)) / halvings;

    // Several initial values, so that no error is small because it changes its sign just there.
    private static readonly double[] InitialValues = [-1.2, -0.5, 0.2];

    private static double Error(OdeMethod method, int steps)
    {
        using Tensor y0 = tensor(InitialValues);
        using OdeSolution solution = Ode.Solve(Problems.Tangent, y0, 0, 3, method, 3.0 / steps);
        return Difference(solution.Final, 3);
    }

    /// <summary>The largest error inside one step of size 1 / steps from exact data.</summary>
    private static double InterpolationError(OdeMethod method, int steps)
    {
        double h = 1.0 / steps;
        using Tensor y0 = tensor(InitialValues);
        var options = new OdeSolverOptions { Method = method };
        using SteppedMethod stepping = SteppedMethod.Of(Problems.Tangent, y0, options);
        return new[] { 0.3, 0.5, 0.8 }.Max(sigma => Difference(stepping.Interpolate(h, sigma * h), sigma * h));
    }

    private static double Difference(Tensor found, double time)
    {
        using Tensor exact = tensor(Array.ConvertAll(InitialValues, y0 => Problems.TangentSolution(time, y0)));
        return Problems.MaximumDifference(found, exact);
    }
}
