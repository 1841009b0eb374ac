using Microsoft.ML.NeuralOde.Core.Tests.Support;

namespace Microsoft.ML.NeuralOde.Core.Tests.Native;

/// <summary>Solves in plain memory make the steps of those on tensors.</summary>
public class NativeSolveTests
{
    private static readonly string[] OnTensorsAlone =
    [
        "reversible_heun", "reversible_dopri5", "semi_implicit_euler", "leapfrog", "adams_bashforth4", "adams_bashforth_moulton4", "adams",
    ];

    public static TheoryData<string, string> Cases()
    {
        var cases = new TheoryData<string, string>();
        foreach (OdeMethod method in OdeMethod.All.Where(method => !OnTensorsAlone.Contains(method.Name)))
            foreach (NativeCase problem in NativeCase.All)
                // Explicit methods of fixed steps are unstable on the stiff ones.
                if (problem.Name != "robertson"
                    || method.Name.StartsWith("radau") || method.Name is "auto" or "kvaerno3" or "esdirk4" or "trbdf2")
                    cases.Add(method.Name, problem.Name);
        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Steps_and_states_are_those_of_tensors(string method, string name)
    {
        NativeCase problem = NativeCase.All.First(item => item.Name == name);
        OdeMethod choice = OdeMethod.Parse(method);
        bool isLow = choice.Order < 3;
        var options = new OdeSolverOptions
        {
            Method = choice,
            RelativeTolerance = isLow ? 1e-3 : 1e-6,
            AbsoluteTolerance = isLow ? 1e-4 : 1e-8,
            StepSize = choice.IsAdaptive ? null : name == "van der pol 5" ? 0.01 : 0.05,
        };
        (double[] expected, SolverStatistics cost) = problem.SolveOnTensors(options);
        NativeOdeSolution solution = problem.Solve(options);
        SolverStatistics found = solution.Statistics;
        Text(found).Should().Be(Text(cost));
        // Factors are used again where two steps agree to the last digit, which rounding decides.
        ((double)found.Factorizations).Should().BeInRange(0.5 * cost.Factorizations, 2 * cost.Factorizations);
        for (int i = 0; i < expected.Length; i++)
            solution.States[i].Should().BeApproximately(expected[i], 1e-9 * (1 + Math.Abs(expected[i])));
        found.LargestStep.Should().BeApproximately(cost.LargestStep, 1e-6 * cost.LargestStep);
    }

    private static string Text(SolverStatistics cost) =>
        $"{cost.AcceptedSteps} steps, {cost.RejectedSteps} rejected, {cost.FunctionEvaluations} evaluations, {cost.Jacobians} Jacobians, stiff: {cost.IsStiff}";

    [Fact]
    public void Methods_without_native_steps_are_refused_by_name()
    {
        foreach (string name in OnTensorsAlone)
        {
            Action solve = () => NativeCase.All[0].Solve(new OdeSolverOptions { Method = OdeMethod.Parse(name), StepSize = 0.1 });
            solve.Should().Throw<ArgumentException>().WithMessage($"*'{name}'*tensors alone*Tsit5*");
        }
    }

    [Theory]
    [InlineData("max")]
    [InlineData("tolerances")]
    [InlineData("jump")]
    [InlineData("controller")]
    public void Options_mean_what_they_mean_on_tensors(string option)
    {
        var plain = new OdeSolverOptions { Method = OdeMethod.Radau5, RelativeTolerance = 1e-6, AbsoluteTolerance = 1e-8 };
        using Tensor absolute = tensor(new[] { 1e-6, 1e-10 });
        OdeSolverOptions options = option switch
        {
            "max" => plain with { Norm = ErrorNorm.Maximum },
            "tolerances" => plain with { AbsoluteTolerances = absolute },
            "jump" => plain with { Discontinuities = [1.3, 2.5], Method = OdeMethod.Tsit5 },
            _ => plain with { Controller = StepController.ProportionalIntegral(), FirstStep = 0.01, MaximumStep = 0.2 },
        };
        NativeCase problem = NativeCase.All[1];
        (double[] expected, SolverStatistics cost) = problem.SolveOnTensors(options);
        NativeOdeSolution solution = problem.Solve(options);
        (solution.Statistics.AcceptedSteps, solution.Statistics.FunctionEvaluations).Should()
            .Be((cost.AcceptedSteps, cost.FunctionEvaluations));
        for (int i = 0; i < expected.Length; i++)
            solution.States[i].Should().BeApproximately(expected[i], 1e-9);
    }

    [Theory]
    [InlineData("robertson", "robertson", 400)]
    [InlineData("vanderpol5", "van der pol 5", 10)]
    public void Stiff_references_are_met_also_with_a_Jacobian_by_differences(string reference, string name, double end)
    {
        NativeCase problem = NativeCase.All.First(item => item.Name == name);
        double[] times = References.Times(reference).data<double>().ToArray();
        times[^1].Should().Be(end);
        double[] exact = References.States(reference).data<double>().ToArray();
        foreach (OdeMethod method in (OdeMethod[])[OdeMethod.Radau5, OdeMethod.Esdirk5, OdeMethod.Auto])
        {
            var options = new OdeSolverOptions { Method = method, RelativeTolerance = 1e-8, AbsoluteTolerance = 1e-11 };
            NativeOdeSolution solution = Ode.Solve(problem.F, problem.InitialState, times, options);
            for (int i = 0; i < exact.Length; i++)
                solution.States[i].Should().BeApproximately(exact[i], 2e-6 * Math.Abs(exact[i]) + 1e-9, $"{method} at number {i}");
        }
    }

    [Fact]
    public void A_step_allocates_nothing()
    {
        NativeCase problem = NativeCase.All[1];
        long Allocated(OdeMethod method, double end)
        {
            var options = new OdeSolverOptions { Method = method, RelativeTolerance = 1e-8, AbsoluteTolerance = 1e-8 };
            Ode.Solve(problem.F, problem.InitialState, [0, end], options, problem.Jacobian);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Ode.Solve(problem.F, problem.InitialState, [0, end], options, problem.Jacobian);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
        foreach (OdeMethod method in (OdeMethod[])[OdeMethod.Tsit5, OdeMethod.Dopri8, OdeMethod.Radau5, OdeMethod.Esdirk4, OdeMethod.Auto])
            Allocated(method, 50).Should().Be(Allocated(method, 1), method.Name);
    }

    [Fact]
    public void An_output_between_two_steps_lies_on_the_interpolant_of_the_method()
    {
        double[] times = [.. Enumerable.Range(0, 101).Select(i => 0.02 * i)];
        NativeOdeSolution solution = Ode.Solve(
            (t, y, dy) => (dy[0], dy[1]) = (y[1], -y[0]), [1, 0], times,
            new OdeSolverOptions { Method = OdeMethod.Dopri8, RelativeTolerance = 1e-10, AbsoluteTolerance = 1e-10 });
        for (int i = 0; i < times.Length; i++)
            solution[i][0].Should().BeApproximately(Math.Cos(times[i]), 1e-8);
        solution.Statistics.AcceptedSteps.Should().BeLessThan(50);
        solution.Final.ToArray().Should().Equal(solution[100].ToArray());
    }
}
