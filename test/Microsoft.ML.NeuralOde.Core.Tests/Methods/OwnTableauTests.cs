using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Methods;

namespace Microsoft.ML.NeuralOde.Core.Tests.Methods;

public class OwnTableauTests
{
    public static TheoryData<string> Explicit =>
        [.. TestMethods.All.Where(method => method.ExplicitTableau is not null).Select(method => method.Name)];

    /// <summary>What is wrong with a tableau, and what the message must tell.</summary>
    private static readonly Dictionary<string, (Action<Draft> Spoil, string Message)> Wrong = new()
    {
        ["no nodes"] = (draft => draft.Nodes = null!, "*no Nodes*"),
        ["no weights"] = (draft => draft.Weights = null!, "*no Weights*"),
        ["empty weights"] = (draft => draft.Weights = [], "*no weights*"),
        ["no matrix"] = (draft => draft.Matrix = null!, "*no Matrix*"),
        ["a row that is null"] = (draft => draft.Matrix[1] = null!, "*no Matrix[1]*"),
        ["too few nodes"] = (draft => draft.Nodes = [0, 1], "*2 numbers in Nodes and 3 in Weights*"),
        ["too many rows"] = (draft => draft.Matrix = [[], [1], [0.25, 0.25], [0, 0, 0]], "*4 rows in Matrix and 3 in Weights*"),
        ["a short row"] = (draft => draft.Matrix[2] = [0.5], "*1 numbers in Matrix[2]*2*or 3*"),
        ["an implicit row"] = (draft => draft.Matrix[1] = [0.5, 0.5, 0], "*not explicit*Matrix[1][1]*0.5*"),
        ["NaN"] = (draft => draft.Weights[1] = double.NaN, "*Weights[1]*NaN*finite*"),
        ["infinity"] = (draft => draft.Matrix[2][0] = double.PositiveInfinity, "*Matrix[2][0]*Infinity*finite*"),
        ["order 0"] = (draft => draft.Order = 0, "*Order 0*from 1 to 12*"),
        ["order 13"] = (draft => draft.Order = 13, "*Order 13*from 1 to 12*"),
        ["one order too many"] = (draft => draft.Order = 4, "*Order 4*condition of order 4*"),
        ["a wrong weight"] = (draft => draft.Weights[2] += 1e-9, "*Order 3*condition of order 1 *Σ b_i (1) = 1/1*1E-09*"),
        ["a row that misses its node"] = (draft => draft.Matrix[2][0] = 0.375, "*not consistent*row 2*sums to 0.625*node is 0.5*"),
        ["a first node that is not 0"] = (draft => draft.Nodes[0] = 0.1, "*not consistent*row 0*sums to 0*node is 0.1*"),
        ["a node behind the step"] = (draft => draft.Nodes[1] = draft.Matrix[1][0] = 1.5, "*node 1.5*stage 1*outside*"),
        ["embedded weights without their order"] = (draft => draft.Embedded = [1, 0, 0], "*EmbeddedWeights without EmbeddedOrder*"),
        ["an embedded order without weights"] = (draft => draft.EmbeddedOrder = 1, "*EmbeddedOrder without EmbeddedWeights*"),
        ["too few embedded weights"] = (draft => (draft.Embedded, draft.EmbeddedOrder) = ([0.5, 0.5], 2), "*2 numbers in EmbeddedWeights*"),
        ["embedded weights of a lower order"] =
            (draft => (draft.Embedded, draft.EmbeddedOrder) = ([1, 0, 0], 2), "*EmbeddedOrder 2*condition of order 2 *Σ b_i (c) = 1/2*"),
        ["embedded weights that are the weights"] =
        (draft => (draft.Embedded, draft.EmbeddedOrder) = (draft.Weights, 2), "*error of every step would be 0*"),
        ["an interpolant without its order"] = (draft => draft.Interpolant = [[1], [0], [0]], "*Interpolant without InterpolantOrder*"),
        ["an interpolant of few rows"] =
        (draft => (draft.Interpolant, draft.InterpolantOrder) = ([[1], [0]], 1), "*2 rows in Interpolant*"),
        ["an interpolant that misses the end"] =
            (draft => (draft.Interpolant, draft.InterpolantOrder) = ([[1], [0], [0]], 1), "*does not meet the step's end*row 0*"),
        ["an interpolant of a lower order"] =
            (draft => (draft.Interpolant, draft.InterpolantOrder) = ([[1.0 / 6], [1.0 / 6], [2.0 / 3]], 2),
                "*InterpolantOrder 2*condition of order 2*"),
        ["an interpolant beyond the method"] =
        (draft => (draft.Interpolant, draft.InterpolantOrder) = ([[1], [0], [0]], 4), "*InterpolantOrder 4*from 1 to 3*"),
    };

    public static TheoryData<string> Defects => [.. Wrong.Keys];

    [Fact]
    public void There_is_a_condition_for_each_rooted_tree()
    {
        // OEIS A000081, summed up.
        int[] trees = [1, 2, 4, 8, 17, 37, 85, 200, 486, 1205];
        for (int order = 1; order <= trees.Length; order++)
            new OrderConditions([[]], order).Count.Should().Be(trees[order - 1]);
    }

    [Theory]
    [MemberData(nameof(Explicit))]
    public void Explicit_tableaux_meet_the_conditions_of_their_orders_and_of_none_higher(string name)
    {
        ButcherTableau tableau = TestMethods.Named(name).ExplicitTableau!;
        var conditions = new OrderConditions(tableau.A, tableau.Order + 1);
        conditions.FindMissed(tableau.B, tableau.Order).Should().BeNull();
        conditions.FindMissed(tableau.B, tableau.Order + 1).Should().Contain($"order {tableau.Order + 1} ");
        if (tableau.Error is { } error)
            conditions.FindMissed([.. tableau.B.Zip(error, (b, e) => b - e)], tableau.SecondError is null ? tableau.ErrorOrder : 1)
            .Should().BeNull();
        var inside = new OrderConditions([.. tableau.A, .. tableau.Extension.ExtraA], tableau.Extension.Order);
        inside.FindMissed(tableau.Extension.Polynomials, tableau.Extension.Order).Should().BeNull();
    }

    [Theory]
    [MemberData(nameof(Defects))]
    public void Tableaux_that_do_not_keep_what_they_say_are_refused(string defect)
    {
        (Action<Draft> spoil, string message) = Wrong[defect];
        var draft = new Draft();
        spoil(draft);
        Action create = () => OdeMethod.ExplicitRungeKutta("mine", draft.Tableau());
        create.Should().Throw<ArgumentException>().WithMessage(message).And.Message.Should().StartWith("The tableau of 'mine'");
    }

    [Theory]
    [InlineData("")]
    [InlineData("  ")]
    [InlineData(" mine")]
    [InlineData("my\nmethod")]
    [InlineData("dopri5")]
    [InlineData("Dopri5")]
    [InlineData("kvaerno4")]
    [InlineData("adams_bashforth5")]
    [InlineData("reversible_rk4")]
    public void Names_that_are_no_names_or_taken_are_refused(string name) =>
        ((Action)(() => OdeMethod.ExplicitRungeKutta(name, TestMethods.ShuOsher3))).Should()
        .Throw<ArgumentException>().WithParameterName(nameof(name));

    [Fact]
    public void A_tableau_of_ours_written_by_a_user_gives_the_same_bits()
    {
        OdeMethod mine = OdeMethod.ExplicitRungeKutta("mine", new RungeKuttaTableau
        {
            Order = 3,
            Nodes = [0, 1.0 / 2, 3.0 / 4, 1],
            // With the zeros that books print.
            Matrix = [[0, 0, 0, 0], [1.0 / 2, 0, 0, 0], [0, 3.0 / 4, 0, 0], [2.0 / 9, 1.0 / 3, 4.0 / 9, 0]],
            Weights = [2.0 / 9, 1.0 / 3, 4.0 / 9, 0],
            EmbeddedWeights = [7.0 / 24, 1.0 / 4, 1.0 / 3, 1.0 / 8],
            EmbeddedOrder = 2,
        });
        mine.Should()
            .BeEquivalentTo(new { Name = "mine", Order = 3, Stages = 4, InterpolantOrder = 3, IsAdaptive = true, IsReversible = false });
        mine.ToString().Should().Be("mine");
        new OdeSolverOptions { Method = mine }.ToString().Should().Be("mine, rtol 1e-05, atol 1e-06");
        using Tensor y0 = tensor(new[] { 1.0, 0.2 });
        using Tensor times = tensor(new[] { 0.0, 0.35, 1.7 });
        foreach (double? step in new double?[] { null, 0.1 })
        {
            // The difference of the weights rounds as ours does or a little otherwise: the steps are the same to rounding.
            using OdeSolution ours =
                Ode.Solve(Problems.Decay, y0, times, new OdeSolverOptions { Method = OdeMethod.Bosh3, StepSize = step });
            using OdeSolution own = Ode.Solve(Problems.Decay, y0, times, new OdeSolverOptions { Method = mine, StepSize = step });
            own.Statistics.FunctionEvaluations.Should().Be(ours.Statistics.FunctionEvaluations);
            Problems.MaximumDifference(own.States, ours.States).Should().BeLessThanOrEqualTo(step is null ? 1e-13 : 0);
        }
    }

    [Theory]
    [InlineData("own ssp3", 1e-6)]
    [InlineData("own fehlberg5", 1e-7)]
    public void Events_are_found_between_the_steps(string name, double tolerance)
    {
        // y = e^−t falls to 1/2 at ln 2, and the second row from 2 at ln 4.
        using Tensor y0 = tensor(new[,] { { 1.0 }, { 2.0 } });
        using Tensor times = tensor(new[] { 0.0, 4.0 });
        var half = new OdeEvent((_, y) => y.sum() - 0.5, isTerminal: true);
        OdeMethod method = TestMethods.Named(name);
        var options = new OdeSolverOptions
        {
            Method = method,
            StepSize = method.IsAdaptive
            ? null : 0.01,
            RelativeTolerance = 1e-9,
            AbsoluteTolerance = 1e-11,
            Events = [half]
        };
        using OdeSolution both = Ode.Solve(Problems.Decay, y0, times, options);
        both.Events.Single().Time.ToDouble().Should().BeApproximately(Math.Log(6), tolerance);
        if (!method.IsAdaptive)
            return;
        using OdeSolution rows = Ode.Solve(Problems.Decay, y0, times, options with { PerRow = true });
        rows.Events.Select(found => found.Time.ToDouble())
            .Should().Equal(new[] { Math.Log(2), Math.Log(4) }, (x, y) => Math.Abs(x - y) < tolerance);
    }

    [Fact]
    public void Own_methods_are_coupled_and_solve_the_adjoint_equation_like_ours()
    {
        OdeMethod fehlberg = TestMethods.Named("own fehlberg5");
        // Every output is a step's end: interpolants are of other orders.
        var accurate = new OdeSolverOptions { StepSize = 0.01 };
        NetworkGradients exact = NetworkGradients.Of(accurate with { Gradient = GradientMethod.Direct() });
        GradientMethod adjoint = GradientMethod.Adjoint(fehlberg);
        adjoint.ToString().Should().Be("adjoint (method own fehlberg5)");
        NetworkGradients.Of(accurate with { Gradient = adjoint }).Should().Agree(exact, 1e-7);
        NetworkGradients.Of(accurate with { Method = fehlberg, Gradient = GradientMethod.Adjoint() }).Should().Agree(exact, 1e-7);
        OdeMethod coupled = OdeMethod.ReversibleCoupling(fehlberg);
        coupled.Name.Should().Be("reversible_own fehlberg5");
        NetworkGradients.Of(accurate with { Method = coupled, Gradient = GradientMethod.Reversible() }).Should().Agree(exact, 1e-7);
    }

    [Fact]
    public void An_interpolant_of_ones_own_is_used()
    {
        // The collocation quadratic of the midpoint rule: p = (σ − σ², σ²).
        OdeMethod midpoint = OdeMethod.ExplicitRungeKutta("my midpoint", new RungeKuttaTableau
        {
            Order = 2,
            Nodes = [0, 0.5],
            Matrix = [[], [0.5]],
            Weights = [0, 1],
            Interpolant = [[1, -1], [0, 1]],
            InterpolantOrder = 2,
        });
        midpoint.InterpolantOrder.Should().Be(2);
        using Tensor y0 = tensor(new[] { 1.0 });
        using SteppedMethod stepping = SteppedMethod.Of(Problems.Decay, y0, new OdeSolverOptions { Method = midpoint });
        // k = (−1, −0.8) for h = 0.4, and at σ = 1/4: 1 + 0.4 (3/16 · −1 + 1/16 · −0.8).
        using Tensor inside = stepping.Interpolate(0.4, 0.1);
        inside.ToDouble().Should().BeApproximately(1 + 0.4 * (-3.0 / 16 - 0.05), 1e-15);
    }

    [Fact]
    public void A_method_of_ones_own_is_not_known_by_its_name()
    {
        ((Action)(() => OdeMethod.Parse("own ssp3"))).Should().Throw<ArgumentException>();
        TestMethods.All.Where(method => !method.IsKnownByName).Should().Equal(TestMethods.Own);
        OdeMethod.ReversibleCoupling(OdeMethod.Rk4, 0.9).IsKnownByName.Should().BeFalse();
        OdeMethod.ReversibleCoupling(TestMethods.Own[0]).IsKnownByName.Should().BeFalse();
    }

    [Fact]
    public void Changes_of_the_arrays_behind_a_tableau_do_not_matter()
    {
        double[] weights = [1];
        OdeMethod euler =
            OdeMethod.ExplicitRungeKutta("my euler", new RungeKuttaTableau { Order = 1, Nodes = [0], Matrix = [[]], Weights = weights });
        weights[0] = 7;
        using Tensor y0 = tensor(new[] { 1.0 });
        using Tensor times = tensor(new[] { 0.0, 1.0 });
        using OdeSolution solution = Ode.Solve(Problems.Decay, y0, times, new OdeSolverOptions { Method = euler, StepSize = 0.5 });
        solution.Final.ToDouble().Should().Be(0.25);
    }

    /// <summary>A good tableau, to be spoilt.</summary>
    private sealed class Draft
    {
        public int Order { get; set; } = 3;

        public double[] Nodes { get; set; } = [0, 1, 0.5];

        public double[][] Matrix { get; set; } = [[], [1], [0.25, 0.25]];

        public double[] Weights { get; set; } = [1.0 / 6, 1.0 / 6, 2.0 / 3];

        public double[]? Embedded { get; set; }

        public int? EmbeddedOrder { get; set; }

        public double[][]? Interpolant { get; set; }

        public int? InterpolantOrder { get; set; }

        public RungeKuttaTableau Tableau() => new()
        {
            Order = Order,
            Nodes = Nodes,
            Matrix = Matrix,
            Weights = Weights,
            EmbeddedWeights = Embedded,
            EmbeddedOrder = EmbeddedOrder,
            Interpolant = Interpolant,
            InterpolantOrder = InterpolantOrder,
        };
    }
}
