using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Methods;

/// <summary>Stiff problems: noticed, solved with few evaluations, and left to the implicit method only where they are stiff.</summary>
public class StiffnessTests
{
    /// <summary>
    /// What SciPy 1.10's Radau needed and reached, at rtol 1e-4, 1e-5, …, 1e-8 with atol four digits below, against itself at 1e-12:
    /// evaluations (those for Jacobians not counted) and the largest error.
    /// </summary>
    private static readonly Dictionary<string, (Func<Tensor, Tensor, Tensor> F, double[] Start, double End, double[] Final,
            (double Evaluations, double Error)[] Peer)> Stiff = new()
            {
                ["Robertson to 1e5"] = (
            Problems.Robertson, [1, 0, 0], 1e5, [0.017865921142277783, 7.274751468510219e-08, 0.9821340061102094],
            [(569, 3.09e-8), (878, 3.90e-9), (1483, 4.89e-10), (2528, 5.07e-11), (4331, 6.07e-12)]),
                ["van der Pol, mu = 1000"] = (
            (t, y) => Problems.VanDerPol(y, 1000), [2, 0], 2000, [1.7061677321704736, -0.0008928097010248073],
            [(2951, 8.99e-7), (4688, 1.42e-7), (7691, 5.06e-9), (13182, 3.92e-10), (23035, 3.06e-11)]),
            };

    public static TheoryData<string, string, double> Cases
    {
        get
        {
            var cases = new TheoryData<string, string, double>();
            foreach (string problem in Stiff.Keys)
                foreach (string method in new[] { "radau5", "auto" })
                    foreach (double tolerance in new[] { 1e-4, 1e-5, 1e-6 })
                        cases.Add(problem, method, tolerance);
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Evaluations_are_within_one_and_a_half_times_those_of_SciPys_Radau_for_the_same_error(
        string problem, string method, double tolerance)
    {
        (Func<Tensor, Tensor, Tensor> f, double[] start, double end, double[] final, (double Evaluations, double Error)[] peer) =
            Stiff[problem];
        using OdeSolution solution = Solve(method, f, start, end, tolerance);
        using Tensor exact = tensor(final);
        double error = Problems.MaximumDifference(solution.Final, exact);
        error.Should().BeLessThan(1e-5);
        (solution.Statistics.FunctionEvaluations - solution.Statistics.Jacobians).Should()
            .BeLessThan((long)(1.5 * PeerEvaluations(peer, error)));
    }

    [Theory]
    [InlineData("trbdf2")]
    [InlineData("sdirk2")]
    [InlineData("kvaerno3")]
    [InlineData("kvaerno4")]
    [InlineData("kvaerno5")]
    [InlineData("radau3")]
    public void Other_implicit_methods_succeed_too(string method)
    {
        foreach ((Func<Tensor, Tensor, Tensor> f, double[] start, double end, double[] final, _) in Stiff.Values)
        {
            using OdeSolution solution = Solve(method, f, start, end, 1e-4);
            using Tensor exact = tensor(final);
            Problems.MaximumDifference(solution.Final, exact).Should().BeLessThan(5e-3);
        }
    }

    [Theory]
    [InlineData("dopri5")]
    [InlineData("tsit5")]
    [InlineData("dopri8")]
    public void An_explicit_method_notices_that_stability_limits_its_steps(string method)
    {
        // A fast component that is long gone holds the steps down.
        using OdeSolution stiff = Solve(method, (t, y) => tensor(new[] { -1.0, -500.0 }) * y, [1, 1], 5, 1e-4);
        stiff.Statistics.IsStiff.Should().BeTrue();
        using OdeSolution mild = Solve(method, (t, y) => tensor(new[] { -1.0, -2.0 }) * y, [1, 1], 5, 1e-4);
        mild.Statistics.IsStiff.Should().BeFalse();
    }

    [Fact]
    public void The_step_limit_of_a_stiff_problem_names_the_remedy()
    {
        using Tensor y0 = tensor(new[] { 2.0, 0.0 });
        using Tensor times = tensor(new[] { 0.0, 500.0 });
        Action act = () => Ode.Solve((t, y) => Problems.VanDerPol(y, 1000), y0, times, new OdeSolverOptions { MaximumSteps = 2000 });
        act.Should().Throw<OdeSolverException>().WithMessage("*stiff*OdeMethod.Auto*");
    }

    [Fact]
    public void Auto_stays_explicit_where_nothing_is_stiff()
    {
        using Tensor y0 = tensor(new[] { 2.0, 0.0 });
        using OdeSolution auto = Solve("auto", (t, y) => Problems.VanDerPol(y, 1), [2, 0], 20, 1e-6);
        using OdeSolution dopri5 = Solve("dopri5", (t, y) => Problems.VanDerPol(y, 1), [2, 0], 20, 1e-6);
        auto.Statistics.Jacobians.Should().Be(0);
        auto.Statistics.FunctionEvaluations.Should().Be(dopri5.Statistics.FunctionEvaluations);
    }

    [Fact]
    public void Auto_comes_back_to_the_explicit_method_behind_a_stiff_stretch()
    {
        // The rate is 2000 up to t = 5 and 1 from t = 6 on.
        Tensor F(Tensor t, Tensor y)
        {
            Tensor rate = 1 + 1999 * (10 * (5.5 - t)).sigmoid();
            return rate * (t.sin() - y);
        }
        using OdeSolution part = Solve("auto", F, [0], 10, 1e-6);
        using OdeSolution all = Solve("auto", F, [0], 40, 1e-6);
        using OdeSolution radau = Solve("radau5", F, [0], 40, 1e-6);
        part.Statistics.Jacobians.Should().BePositive();
        all.Statistics.Jacobians.Should().Be(part.Statistics.Jacobians, "from then on it is an explicit method's work");
        all.Statistics.Factorizations.Should().Be(part.Statistics.Factorizations);
        all.Statistics.FunctionEvaluations.Should().BeLessThan(radau.Statistics.FunctionEvaluations);
        Problems.MaximumDifference(all.Final, radau.Final).Should().BeLessThan(1e-5);
    }

    [Fact]
    public void Auto_has_exact_gradients()
    {
        using Tensor rate = tensor(3e4, ScalarType.Float64).requires_grad_();
        using Tensor y0 = tensor(new[] { 0.0 });
        using Tensor times = tensor(new[] { 0.0, 2.0 });
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Auto,
            RelativeTolerance = 1e-8,
            AbsoluteTolerance = 1e-10,
            Gradient = GradientMethod.Direct()
        };
        using OdeSolution solution = Ode.Solve((t, y) => rate * (t.sin() - y), y0, times, options, [rate]);
        solution.Statistics.Jacobians.Should().BePositive();
        solution.Final.sum().backward();
        // y = (λ² sin t − λ cos t + λ e^(−λt)) / (λ² + 1); at t = 2 the last term is nothing.
        double r = 3e4, d = r * r + 1;
        double slope = ((2 * r * Math.Sin(2) - Math.Cos(2)) * d - (r * r * Math.Sin(2) - r * Math.Cos(2)) * 2 * r) / (d * d);
        rate.grad!.ToDouble().Should().BeApproximately(slope, 1e-8);
    }

    private static OdeSolution Solve(string method, Func<Tensor, Tensor, Tensor> f, double[] start, double end, double tolerance)
    {
        using IDisposable noGrad = no_grad();
        using Tensor y0 = tensor(start);
        using Tensor times = tensor(new[] { 0, end });
        return Ode.Solve(f, y0, times,
            new OdeSolverOptions { Method = OdeMethod.Parse(method), RelativeTolerance = tolerance, AbsoluteTolerance = 1e-4 * tolerance });
    }

    /// <summary>The peer's evaluations at an error, on the straight lines through its logarithms.</summary>
    private static double PeerEvaluations((double Evaluations, double Error)[] peer, double error)
    {
        int i = Math.Clamp(Array.FindIndex(peer, point => point.Error <= error), 1, peer.Length - 1);
        (double e0, double error0) = peer[i - 1];
        (double e1, double error1) = peer[i];
        double part = Math.Log(error / error0) / Math.Log(error1 / error0);
        return e0 * Math.Pow(e1 / e0, part);
    }
}
