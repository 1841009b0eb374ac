using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Core.Tests.Methods;

public class ImplicitTests
{
    public static TheoryData<string> All => [.. OdeMethod.All.OfType<ImplicitRungeKutta>().Select(method => method.Name)];

    public static TheoryData<string> Adaptive =>
        [.. OdeMethod.All.OfType<ImplicitRungeKutta>().Where(method => method.IsAdaptive).Select(method => method.Name)];

    [Theory]
    [MemberData(nameof(All))]
    public void Tableaux_meet_the_conditions_of_their_order(string name)
    {
        ImplicitTableau t = ((ImplicitRungeKutta)OdeMethod.Parse(name)).Tableau;
        for (int i = 0; i < t.Stages; i++)
            t.A[i].Sum().Should().BeApproximately(t.C[i], 1e-9, "row {0} of a sums to c", i);
        for (int q = 1; q <= t.Order; q++)
            t.B.Zip(t.C, (b, c) => b * Math.Pow(c, q - 1)).Sum().Should().BeApproximately(1.0 / q, 1e-9, "quadrature condition {0}", q);
        if (t.Order >= 3)
            Tree(t, (c, ac) => ac).Should().BeApproximately(1.0 / 6, 1e-9);
        if (t.Order >= 4)
            Tree(t, (c, ac) => c * ac).Should().BeApproximately(1.0 / 8, 1e-9);
        if (t.Error is not null)
            (t.StartError + t.Error.Sum()).Should().BeApproximately(0, 1e-12);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Tableaux_and_their_interpolants_meet_every_condition_up_to_their_order(string name)
    {
        ImplicitTableau t = ((ImplicitRungeKutta)OdeMethod.Parse(name)).Tableau;
        (int Order, double[] Tree, double Density)[] trees = Trees(t.A, t.C);
        foreach ((int order, double[] tree, double density) in trees)
        {
            if (order <= Math.Min(t.Order, 5))
                Dot(t.B, tree).Should().BeApproximately(1 / density, 1e-9, "of order {0}", order);
            if (t.Error is not null && t.StartError == 0 && order <= t.ErrorOrder)
                Dot(t.Error, tree).Should().BeApproximately(0, 1e-9, "the estimate is of order {0}", order);
        }
        if (t.Extension is not { } extension)
            return;
        // Over f at the start and the stages.
        int start = extension.Polynomials.Length - t.Stages;
        trees = Trees([.. new double[start][], .. t.A], [.. new double[start], .. t.C], start);
        var weights = new double[extension.Polynomials.Length];
        foreach (double sigma in new[] { 0.1, 0.37, 0.8, 1 })
        {
            extension.Weights(sigma, weights);
            foreach ((int order, double[] tree, double density) in trees.Where(tree => tree.Order <= extension.Order))
                Dot(weights, tree).Should().BeApproximately(Math.Pow(sigma, order) / density, 1e-9, "of order {0} at {1}", order, sigma);
        }
        weights[start..].Should().Equal(t.B, (x, y) => Math.Abs(x - y) < 1e-9, "the interpolant meets the step's end");
        Array.TrueForAll(weights[..start], weight => Math.Abs(weight) < 1e-9).Should().BeTrue();
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Nodes_lie_inside_the_step(string name) =>
        ((ImplicitRungeKutta)OdeMethod.Parse(name)).Tableau.C.Should().OnlyContain(node => node >= 0 && node <= 1);

    [Fact]
    public void Former_names_lead_to_the_methods_that_took_their_place()
    {
        OdeMethod.Parse("kvaerno4").Should().BeSameAs(OdeMethod.Esdirk4).And.BeSameAs(OdeMethod.Kvaerno4);
        OdeMethod.Parse(" Kvaerno5").Should().BeSameAs(OdeMethod.Esdirk5).And.BeSameAs(OdeMethod.Kvaerno5);
    }

    [Theory]
    [InlineData("implicit_euler", 1)]
    [InlineData("implicit_midpoint", 2)]
    [InlineData("trapezoid", 2)]
    public void A_step_without_solution_is_an_exception_of_its_own(string name, double step)
    {
        // For y′ = y the matrix 1 − h γ is 0.
        using Tensor y0 = tensor(new[] { 1.0, 2.0 }, [2, 1]);
        Action act = () => Ode.Solve((t, y) => y, y0, 0, step, OdeMethod.Parse(name), step);
        act.Should().Throw<OdeSolverException>().Which.Failure.Should().Be(SolverFailure.Newton);
        using IDisposable noGrad = no_grad();
        using Tensor times = tensor(new[] { 0.0, 2 * step });
        if (OdeMethod.Parse(name).IsAdaptive)
            Ode.Solve((t, y) => y, y0,
                times, new OdeSolverOptions { Method = OdeMethod.Parse(name), FirstStep = step, RelativeTolerance = 1e-3 })
                .Final[0].ToDouble().Should().BeApproximately(Math.Exp(2 * step), 1);
    }

    [Theory]
    [MemberData(nameof(Adaptive))]
    public void Float32_goes_as_far_as_its_rounding(string name)
    {
        OdeMethod method = OdeMethod.Parse(name);
        double tolerance = method.Order < 3 ? 1e-5 : 1e-6;
        foreach ((Func<Tensor, Tensor, Tensor> f, float start) in new (Func<Tensor, Tensor, Tensor>, float)[]
        {
            (Problems.Decay, 1), (Problems.Decay, 1e4f), ((t, y) => -1000 * (y - t.cos()) - t.sin(), 1),
        })
        {
            using Tensor y0 = tensor(new[] { start });
            using Tensor times = tensor(new[] { 0.0, 1.0 });
            var options = new OdeSolverOptions
            {
                Method = method,
                RelativeTolerance = tolerance,
                AbsoluteTolerance = tolerance / 10,
                MaximumSteps = 5000
            };
            using IDisposable noGrad = no_grad();
            using OdeSolution single = Ode.Solve(f, y0, times, options);
            using Tensor precise = y0.to(ScalarType.Float64);
            using OdeSolution reference = Ode.Solve(f, precise, times, options);
            single.Final.ToDouble().Should().BeApproximately(reference.Final.ToDouble(), 20 * tolerance * start);
            single.Statistics.FunctionEvaluations.Should().BeLessThan(2 * reference.Statistics.FunctionEvaluations + 50);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Fixed_steps_solve_equations_on_which_the_first_Jacobian_is_no_guide(string name)
    {
        // y′ = −10 y³: y = 1 / √(1 + 20 t). The tangent at the start leads to −9.
        OdeMethod method = OdeMethod.Parse(name);
        foreach ((double step, double tolerance) in new[] { (1.0, 1.2), (0.01, method.Order == 1 ? 5e-3 : 1e-3) })
        {
            using Tensor y0 = tensor(new[] { 1.0, 0.5 }, [2, 1]);
            using OdeSolution solution = Ode.Solve((t, y) => -10 * y.pow(3), y0, 0, 1, method, step);
            solution.Final[0].ToDouble().Should().BeApproximately(1 / Math.Sqrt(21), tolerance);
            solution.Final[1].ToDouble().Should().BeApproximately(1 / Math.Sqrt(24), tolerance);
        }
        if (name != "implicit_euler")
            return;
        using Tensor one = tensor(new[] { 1.0 });
        using OdeSolution euler = Ode.Solve((t, y) => -10 * y.pow(3), one, 0, 1, method, 1);
        double root = euler.Final.ToDouble();
        (root + 10 * Math.Pow(root, 3)).Should().BeApproximately(1, 1e-10, "the step solves Y = y − 10 h Y³");
    }

    /// <summary>Y + 100 arctan Y = y₀: far from its root, Newton's whole steps go back and forth between two sides for ever.</summary>
    [Fact]
    public void Steps_on_which_whole_corrections_never_end_are_shortened()
    {
        double[] starts = [50, -3, 2000, 0.5, -700, 0];
        double[] roots = Array.ConvertAll(starts, Root);
        using Tensor y0 = tensor(starts, [starts.Length, 1]);
        using OdeSolution all = Ode.Solve((t, y) => -100 * y.atan(), y0, 0, 1, OdeMethod.ImplicitEuler, 1);
        all.Final.reshape(-1).data<double>().ToArray().Should().Equal(roots, (x, root) => Math.Abs(x - root) <= 1e-9 * (1 + Math.Abs(root)));
        NativeOdeSolution native = Ode.Solve(
            (t, y, dy) =>
            {
                for (int i = 0; i < y.Length; i++)
                    dy[i] = -100 * Math.Atan(y[i]);
            },
            starts, [0, 1], new OdeSolverOptions { Method = OdeMethod.ImplicitEuler, StepSize = 1 });
        native.Final.ToArray().Should().Equal(roots, (x, root) => Math.Abs(x - root) <= 1e-9 * (1 + Math.Abs(root)));

        static double Root(double start)
        {
            double low = -Math.Abs(start), high = Math.Abs(start);
            for (int i = 0; i < 200; i++)
            {
                double middle = (low + high) / 2;
                (low, high) = middle + 100 * Math.Atan(middle) < start ? (middle, high) : (low, middle);
            }
            return (low + high) / 2;
        }
    }

    [Theory]
    [MemberData(nameof(Adaptive))]
    public void Robertsons_reaction_is_solved_with_few_evaluations(string name)
    {
        using Tensor y0 = References.InitialState("robertson");
        using Tensor times = References.Times("robertson");
        using Tensor expected = References.States("robertson");
        bool low = OdeMethod.Parse(name).Order < 3;
        using OdeSolution solution = Solve(name, Problems.Robertson, y0, times, low ? 1e-4 : 1e-6, low ? 1e-8 : 1e-10);
        Problems.MaximumDifference(solution.States, expected).Should().BeLessThan(low ? 5e-3 : 1e-4);
        solution.Statistics.AcceptedSteps.Should().BeLessThan(low ? 4000 : 700);
        solution.Statistics.Jacobians.Should()
            .BePositive().And.BeLessThanOrEqualTo(solution.Statistics.AcceptedSteps + solution.Statistics.RejectedSteps + 1);
        solution.Statistics.Factorizations.Should().BePositive();
    }

    [Theory]
    [InlineData("kvaerno5")]
    [InlineData("radau5")]
    [InlineData("trbdf2")]
    public void Very_stiff_problems_succeed(string name)
    {
        using Tensor y0 = References.InitialState("robertson");
        using Tensor times = tensor(new[] { 0.0, 1e5 });
        using OdeSolution robertson = Solve(name, Problems.Robertson, y0, times, 1e-5, 1e-9);
        // SciPy's Radau at tolerance 1e-10 gives y1(1e5) = 0.01786; the reactions conserve the sum.
        robertson.Final.sum().ToDouble().Should().BeApproximately(1, 1e-6);
        robertson.Final[0].ToDouble().Should().BeApproximately(0.01786, 2e-4);

        using Tensor start = tensor(new[] { 2.0, 0.0 });
        using Tensor span = tensor(new[] { 0.0, 600.0 });
        using OdeSolution oscillator = Solve(name, (t, y) => Problems.VanDerPol(y, 1000), start, span, 1e-5, 1e-8);
        // On the slow branch v = x / (μ (1 − x²)), so that ln x − x²/2 + t/μ is constant up to O(1/μ²).
        double x = oscillator.Final[0].ToDouble();
        (Math.Log(x) - x * x / 2).Should().BeApproximately(Math.Log(2) - 2 + 0.6, 5e-4);
        oscillator.Statistics.FunctionEvaluations.Should().BeLessThan(5000);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Direct_gradients_agree_with_finite_differences(string name)
    {
        var options = new OdeSolverOptions { Method = OdeMethod.Parse(name), StepSize = 0.11, Gradient = GradientMethod.Direct() };
        using Tensor weight = tensor(new[] { 0.3, -0.7, 0.5, 0.2 }, [2, 2]).requires_grad_();
        using Tensor y0 = tensor(new[] { 0.5, -1.0, 0.2, 0.9 }, [2, 2]).requires_grad_();
        using Tensor times = tensor(new[] { 0.0, 0.3, 0.75 }).requires_grad_();
        Loss(weight, y0, times).backward();

        foreach (Tensor variable in new[] { weight, y0, times })
        {
            using Tensor direction = linspace(0.4, -0.9, variable.numel(), ScalarType.Float64).reshape(variable.shape);
            using IDisposable noGrad = no_grad();
            Tensor Moved(Tensor v, double by) => ReferenceEquals(v, variable) ? v + by * direction : v;
            double difference = (Loss(Moved(weight, 1e-5), Moved(y0, 1e-5), Moved(times, 1e-5)) - Loss(
                Moved(weight, -1e-5), Moved(y0, -1e-5), Moved(times, -1e-5))).ToDouble() / 2e-5;
            (variable.grad! * direction).sum().ToDouble().Should().BeApproximately(difference, 2e-7);
        }

        Tensor Loss(Tensor w, Tensor y, Tensor t)
        {
            OdeSolution solution = Ode.Solve((time, state) => (state.matmul(w) + time).tanh() - state, y, t, options);
            return solution.States.square().sum();
        }
    }

    [Fact]
    public void A_jacobian_from_the_user_is_used()
    {
        using Tensor y0 = References.InitialState("robertson");
        using Tensor times = tensor(new[] { 0.0, 40.0 });
        int calls = 0;
        using OdeSolution own = Solve("radau5", Problems.Robertson, y0, times, 1e-6, 1e-10, (t, y) =>
        {
            calls++;
            double a = y[0].ToDouble(), b = y[1].ToDouble(), c = y[2].ToDouble();
            return tensor(new[] { -0.04, 1e4 * c, 1e4 * b, 0.04, -1e4 * c - 6e7 * b, -1e4 * b, 0, 6e7 * b, 0 }, [1, 3, 3]);
        });
        using OdeSolution auto = Solve("radau5", Problems.Robertson, y0, times, 1e-6, 1e-10);
        calls.Should().Be((int)own.Statistics.Jacobians);
        own.Statistics.AcceptedSteps.Should().Be(auto.Statistics.AcceptedSteps);
        Problems.MaximumDifference(own.Final, auto.Final).Should().BeLessThan(1e-9);
        own.Statistics.FunctionEvaluations.Should().BeLessThan(auto.Statistics.FunctionEvaluations);

        Action wrong = () => Solve("radau5", Problems.Robertson, y0, times, 1e-6, 1e-10, (t, y) => y);
        wrong.Should().Throw<InvalidOperationException>().WithMessage("*Jacobian*[1, 3, 3]*");
    }

    [Fact]
    public void Rows_have_their_own_steps()
    {
        using Tensor y0 = tensor(new[] { 2.0, 0.0, 0.5, 0.5, -1.0, 2.0 }, [3, 2]);
        using Tensor times = tensor(new[] { 0.0, 1.0, 5.0 });
        var options =
            new OdeSolverOptions { Method = OdeMethod.Kvaerno5, PerRow = true, RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-8 };
        using IDisposable noGrad = no_grad();
        using OdeSolution batch = Ode.Solve(Problems.VanDerPol5, y0, times, options);
        using OdeSolution reference = Ode.Solve(Problems.VanDerPol5, y0,
            times, new OdeSolverOptions { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-12 });
        Problems.MaximumDifference(batch.States, reference.States).Should().BeLessThan(1e-3);
        batch.Status.Should().OnlyContain(s => s == RowStatus.Completed);
    }

    [Theory]
    [InlineData("radau5")]
    [InlineData("kvaerno3")]
    [InlineData("trbdf2")]
    public void A_row_among_others_is_solved_as_it_is_alone(string name)
    {
        // An easy row, a stiff one and one that needs many steps.
        using Tensor y0 = tensor(new[] { 0.01, 0.0, 2.0, 0.0, 2.0, -30.0 }, [3, 2]);
        using Tensor times = tensor(new[] { 0.0, 4.0, 20.0 });
        var options =
            new OdeSolverOptions { Method = OdeMethod.Parse(name), PerRow = true, RelativeTolerance = 1e-4, AbsoluteTolerance = 1e-6 };
        using IDisposable noGrad = no_grad();
        using OdeSolution batch = Ode.Solve(Problems.VanDerPol5, y0, times, options);
        for (int row = 0; row < 3; row++)
        {
            using Tensor start = y0.narrow(0, row, 1);
            using OdeSolution alone = Ode.Solve(Problems.VanDerPol5, start, times, options);
            Problems.MaximumDifference(batch.States.narrow(1, row, 1), alone.States).Should().BeLessThan(1e-9);
        }
    }

    [Fact]
    public void An_iteration_that_does_not_converge_is_an_exception_of_its_own()
    {
        // The implicit Euler equation Y = 1 + h Y² has no real solution for h > 1/4.
        using Tensor y0 = tensor(new[] { 1.0 });
        using Tensor times = tensor(new[] { 0.0, 0.9 });
        Action act = () => Ode.Solve((t, y) => y * y, y0, times, new OdeSolverOptions { Method = OdeMethod.ImplicitEuler, StepSize = 0.9 });
        act.Should().Throw<OdeSolverException>().Which.Failure.Should().Be(SolverFailure.Newton);
    }

    [Fact]
    public void Checkpointed_gradients_of_implicit_methods_are_the_direct_ones()
    {
        using Tensor a = tensor(0.7, ScalarType.Float64).requires_grad_();
        using Tensor y0 = tensor(new[] { 1.0 });
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        var options = new OdeSolverOptions
        {
            Method = OdeMethod.Radau5,
            RelativeTolerance = 1e-8,
            AbsoluteTolerance = 1e-10,
            Gradient = GradientMethod.Checkpointed()
        };
        using OdeSolution solution = Ode.Solve((t, y) => -a * y, y0, times, options, [a]);
        solution.Final.sum().backward();
        a.grad!.ToDouble().Should().BeApproximately(-Math.Exp(-0.7), 1e-6);
        solution.Statistics.BackwardEvaluations.Should().BePositive("the steps are made again");
    }

    private static double Tree(ImplicitTableau t, Func<double, double, double> function) =>
        Enumerable.Range(0, t.Stages).Sum(i => t.B[i] * function(t.C[i], t.A[i].Zip(t.C, (a, c) => a * c).Sum()));

    /// <summary>
    /// The rooted trees of order 1 to 5 as vectors over the stages, the first of which may be f at the step's start, and their densities.
    /// </summary>
    private static (int Order, double[] Tree, double Density)[] Trees(double[][] a, double[] c, int start = 0)
    {
        double[] Times(double[] x, double[] y) => [.. x.Zip(y, (left, right) => left * right)];
        double[] A(double[] x) => [.. a.Select(row => row is null ? 0 : Dot(row, x[start..]))];
        double[] one = Array.ConvertAll(c, _ => 1.0), c2 = Times(c, c), c3 = Times(c, c2), ac = A(c), ac2 = A(c2), aac = A(ac);
        return
        [
            (1, one, 1), (2, c, 2), (3, c2, 3), (3, ac, 6), (4, c3, 4), (4, Times(c, ac), 8), (4, ac2, 12), (4, aac, 24),
            (5, Times(c, c3), 5), (5, Times(c2, ac), 10), (5, Times(ac, ac), 20), (5, Times(c, ac2), 15), (5, Times(c, aac), 30),
            (5, A(c3), 20),
            (5, A(Times(c, ac)), 40), (5, A(ac2), 60), (5, A(aac), 120),
        ];
    }

    private static double Dot(double[] x, double[] y) => x.Zip(y, (left, right) => left * right).Sum();

    private static OdeSolution Solve(
        string name, Func<Tensor, Tensor, Tensor> f, Tensor y0, Tensor times, double rtol, double atol, Func<Tensor, Tensor,
        Tensor>? jacobian = null)
    {
        using IDisposable noGrad = no_grad();
        return Ode.Solve(f, y0, times,
            new OdeSolverOptions
            {
                Method = OdeMethod.Parse(name),
                RelativeTolerance = rtol,
                AbsoluteTolerance = atol,
                Jacobian = jacobian
            });
    }
}
