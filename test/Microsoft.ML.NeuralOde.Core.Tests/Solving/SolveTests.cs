using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

public class SolveTests
{
    private static readonly OdeSolverOptions Tight = new() { RelativeTolerance = 1e-9, AbsoluteTolerance = 1e-11 };

    public static TheoryData<string> ReferenceProblems => ["decay", "forced", "spiral", "vanderpol5"];

    [Theory]
    [MemberData(nameof(ReferenceProblems))]
    public void Adaptive_solutions_agree_with_independent_references_at_all_times(string problem)
    {
        using Tensor expected = References.States(problem);
        using Tensor times = References.Times(problem);
        using Tensor y0 = References.InitialState(problem);
        using OdeSolution solution = Ode.Solve(RightHandSide(problem), y0, times, Tight);
        Problems.MaximumDifference(solution.States, expected).Should().BeLessThan(problem == "vanderpol5" ? 2e-6 : 2e-8);
    }

    [Theory]
    [InlineData("bosh3")]
    [InlineData("tsit5")]
    [InlineData("dopri5")]
    [InlineData("dopri8")]
    public void No_more_evaluations_are_needed_than_the_peer_needs_and_the_error_is_no_larger(string method)
    {
        (double rtol, double atol, int peer, double peerError) = References.Peer(method);
        using var network = new ReferenceNetwork();
        using Tensor y0 = References.Network("y0");
        using Tensor times = References.Network("times");
        using IDisposable noGrad = no_grad();
        using OdeSolution solution = Ode.Solve(network, y0, times,
            new OdeSolverOptions { Method = OdeMethod.Parse(method), RelativeTolerance = rtol, AbsoluteTolerance = atol });
        solution.Statistics.FunctionEvaluations.Should().BeLessThanOrEqualTo(peer);
        Problems.MaximumDifference(solution.Final, References.Network("final")).Should().BeLessThanOrEqualTo(peerError);
    }

    [Fact]
    public void First_same_as_last_costs_six_evaluations_a_step()
    {
        using Tensor y0 = tensor(new[] { 1.0 });
        using Tensor times = tensor(new[] { 0.0, 3.0 });
        using OdeSolution solution = Ode.Solve(Problems.Decay, y0, times, Tight with { FirstStep = 0.01 });
        SolverStatistics statistics = solution.Statistics;
        statistics.FunctionEvaluations.Should().Be(1 + 6 * (statistics.AcceptedSteps + statistics.RejectedSteps));
        statistics.RowEvaluations.Should().Be(statistics.FunctionEvaluations);
        statistics.SmallestStep.Should().BeInRange(1e-6, statistics.LargestStep);
    }

    [Fact]
    public void The_right_hand_side_is_never_evaluated_outside_the_interval()
    {
        var seen = new List<double>();
        using Tensor y0 = tensor(new[] { 1.0f });
        using Tensor times = tensor(new[] { 0.25, 0.5, 1.0 });
        using OdeSolution solution = Ode.Solve((t, y) => { seen.Add(t.ToDouble()); return -y; }, y0, times);
        seen.Min().Should().Be(0.25);
        seen.Max().Should().Be(1.0);
    }

    [Fact]
    public void Output_times_cost_no_steps()
    {
        using Tensor y0 = tensor(new[] { 0.5 });
        using Tensor few = tensor(new[] { 0.0, 2.0 });
        using Tensor many = linspace(0, 2, 201, ScalarType.Float64);
        using OdeSolution coarse = Ode.Solve(Problems.Forced, y0, few);
        using OdeSolution fine = Ode.Solve(Problems.Forced, y0, many);
        fine.Statistics.FunctionEvaluations.Should().Be(coarse.Statistics.FunctionEvaluations);
        Problems.MaximumDifference(fine.Final, coarse.Final).Should().Be(0);
        double[] exact = [.. Enumerable.Range(0, 201).Select(i => Problems.ForcedSolution(i / 100.0) + 0.5 * Math.Exp(-2 * i / 100.0))];
        Problems.MaximumDifference(fine.States.squeeze(1), tensor(exact)).Should().BeLessThan(1e-5);
    }

    [Theory]
    [InlineData("euler")]
    [InlineData("rk4")]
    [InlineData("dopri5")]
    public void Time_may_run_backward(string method)
    {
        using Tensor y0 = tensor(new[] { Math.Exp(-1.0) });
        using Tensor times = tensor(new[] { 1.0, 0.5, 0.0 });
        var options = new OdeSolverOptions { Method = OdeMethod.Parse(method), StepSize = method == "dopri5" ? null : 1e-3 };
        using OdeSolution solution = Ode.Solve(Problems.Decay, y0, times, options);
        double tolerance = method == "euler" ? 1e-3 : 1e-5;
        solution.States[1].ToDouble().Should().BeApproximately(Math.Exp(-0.5), tolerance);
        solution.Final.ToDouble().Should().BeApproximately(1, tolerance);
    }

    [Theory]
    [InlineData(new long[] { })]
    [InlineData(new long[] { 3 })]
    [InlineData(new long[] { 2, 3, 4 })]
    public void States_of_any_shape_and_type_keep_both(long[] shape)
    {
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16 })
        {
            using Tensor y0 = ones(shape, type);
            using Tensor times = tensor(new[] { 0.0, 1.0 });
            using OdeSolution solution =
                Ode.Solve(Problems.Decay, y0, times, new OdeSolverOptions { RelativeTolerance = 1e-3, AbsoluteTolerance = 1e-3 });
            solution.Final.shape.Should().Equal(shape);
            solution.Final.dtype.Should().Be(type);
            solution.Final.to(ScalarType.Float64)
                .mean().ToDouble().Should().BeApproximately(Math.Exp(-1), type == ScalarType.BFloat16 ? 0.02 : 1e-3);
        }
    }

    [Fact]
    public void One_output_time_returns_the_initial_state()
    {
        using Tensor y0 = tensor(new[] { 2.0 });
        using Tensor times = tensor(new[] { 0.0 });
        using OdeSolution solution = Ode.Solve(Problems.Decay, y0, times);
        solution.Final.ToDouble().Should().Be(2);
        solution.Statistics.FunctionEvaluations.Should().Be(0);
    }

    [Fact]
    public void A_discontinuity_is_met_by_a_step_and_seen_from_one_side_at_a_time()
    {
        // y′ = 1 before t = 0.4 and −3 after it.
        static Tensor Jump(Tensor t, Tensor y) => (t.ToDouble() < 0.4 ? 1.0 : -3.0) * ones_like(y);
        using Tensor y0 = tensor(new[] { 0.0 });
        using Tensor times = tensor(new[] { 0.0, 0.4, 1.0 });
        var options = new OdeSolverOptions { Discontinuities = [0.4, 7] };
        using OdeSolution adaptive = Ode.Solve(Jump, y0, times, options);
        using OdeSolution fixedSteps = Ode.Solve(Jump, y0, times, options with { Method = OdeMethod.Rk4, StepSize = 0.3 });
        foreach (OdeSolution solution in new[] { adaptive, fixedSteps })
        {
            solution.States[1].ToDouble().Should().BeApproximately(0.4, 1e-14);
            solution.Final.ToDouble().Should().BeApproximately(0.4 - 1.8, 1e-14);
        }
        adaptive.Statistics.RejectedSteps.Should().Be(0);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_norm_that_processes_share_is_asked_for_every_error_and_sets_the_steps(bool byTensors)
    {
        using Tensor y0 = tensor(new[] { 1.0, 2, 3, 4, 5, 6 }, [3, 2]);
        using Tensor times = tensor(new[] { 0.0, 2.0 });
        int asked = 0;
        // Errors twice as large as they are need the steps of tolerances half as large, and powers of two round nothing.
        var shared = ErrorNorm.Shared((mean, components) =>
        {
            asked++;
            components.Should().Be(6);
            return 4 * mean;
        });
        using OdeSolution found = Ode.Solve(Problems.Decay, y0, times, Options(1, shared));
        using OdeSolution expected = Ode.Solve(Problems.Decay, y0, times, Options(0.5, ErrorNorm.Rms));

        found.Statistics.AcceptedSteps.Should().Be(expected.Statistics.AcceptedSteps);
        found.Final.data<double>().ToArray().Should().Equal(expected.Final.data<double>().ToArray());
        asked.Should().BeGreaterThan((int)found.Statistics.AcceptedSteps, "for every attempt, and for the size of the first step");

        OdeSolverOptions Options(double scale, ErrorNorm norm) => new()
        {
            RelativeTolerance = scale * 1e-4,
            AbsoluteTolerance = scale * 1e-5,
            RelativeTolerances = byTensors ? tensor(scale * 1e-4) : null,
            Norm = norm,
        };
    }

    [Fact]
    public void Tolerances_per_component_and_norms_are_obeyed()
    {
        using Tensor y0 = ones(4, ScalarType.Float64);
        using Tensor times = tensor(new[] { 0.0, 2.0 });
        using Tensor each = full([4], 1e-6, ScalarType.Float64);
        var plain = new OdeSolverOptions { RelativeTolerance = 0, AbsoluteTolerance = 1e-6 };
        using OdeSolution expected = Ode.Solve(Problems.Decay, y0, times, plain);
        using OdeSolution perComponent =
            Ode.Solve(Problems.Decay, y0, times, plain with { AbsoluteTolerance = 1, AbsoluteTolerances = each });
        using OdeSolution own =
            Ode.Solve(Problems.Decay, y0, times, plain with { Norm = ErrorNorm.Custom("rms by hand", e => (e * e).mean([1L]).sqrt()) });
        using OdeSolution maximum = Ode.Solve(Problems.Decay, y0, times, plain with { Norm = ErrorNorm.Maximum });
        foreach (OdeSolution other in new[] { perComponent, own, maximum })
        {
            other.Statistics.AcceptedSteps.Should().Be(expected.Statistics.AcceptedSteps);
            Problems.MaximumDifference(other.Final, expected.Final).Should().BeLessThan(1e-13);
        }
    }

    /// <summary>Controllers by their formula, from the errors of the steps that were made.</summary>
    [Theory]
    [InlineData(0.7, -0.4, 0)]
    [InlineData(0.65, -0.4, 0.05)]
    [InlineData(1, 0, 0)]
    public void Each_step_is_as_long_as_the_controllers_formula_says(double beta1, double beta2, double beta3)
    {
        StepController controller = beta2 == 0 ? StepController.Integral() : beta3 == 0 ? StepController.ProportionalIntegral()
            : StepController.ProportionalIntegralDerivative();
        using Tensor y0 = References.InitialState("vanderpol5");
        using Tensor times = References.Times("vanderpol5");
        using Tensor expected = References.States("vanderpol5");
        using (OdeSolution solution = Ode.Solve(Problems.VanDerPol5, y0, times, Tight with { Controller = controller }))
            Problems.MaximumDifference(solution.States, expected).Should().BeLessThan(2e-6);

        // Errors go into the next sizes with the order of the estimate plus one, 5 for Dormand and Prince's pair.
        var statistics = new SolverStatistics();
        var recorder = new ErrorRecorder(statistics);
        OdeProblem.Integrate(
            new IntegrationTask(new FunctionField(Problems.VanDerPol5), y0, TimeGrid.Of(0, 10), Tight with { Controller = controller },
            statistics, IsDifferentiable: false, recorder))
            .Dispose();
        List<(double Size, double Error, bool WasRejected)> steps = recorder.Steps;
        steps.Should().HaveCountGreaterThan(100);
        int checkedSteps = 0;
        // The last step is cut at the end.
        for (int i = 2; i < steps.Count - 2; i++)
        {
            if (steps[i + 1].WasRejected)
                continue;
            double factor = 0.9 * Math.Pow(steps[i].Error, -beta1 / 5) * Math.Pow(steps[i - 1].Error, -beta2 / 5)
                * Math.Pow(steps[i - 2].Error, -beta3 / 5);
            steps[i + 1].Size.Should()
                .BeApproximately(steps[i].Size * Math.Clamp(factor, 0.2, steps[i].WasRejected ? 1 : 10), 1e-6 * steps[i + 1].Size);
            checkedSteps++;
        }
        checkedSteps.Should().BeGreaterThan(steps.Count / 2);
    }

    private static Func<Tensor, Tensor, Tensor> RightHandSide(string problem) => problem switch
    {
        "decay" => Problems.Decay,
        "forced" => Problems.Forced,
        "spiral" => Problems.Spiral,
        _ => Problems.VanDerPol5,
    };

    /// <summary>The sizes and errors of the accepted steps, and whether a larger one was tried before.</summary>
    private sealed class ErrorRecorder(SolverStatistics statistics) : IStepRecorder
    {
        private long _rejected;

        public List<(double Size, double Error, bool WasRejected)> Steps { get; } = [];

        public void Accept(AcceptedStep step)
        {
            Steps.Add((step.Attempt.Span.Size[0], step.Attempt.Error![0], statistics.RejectedSteps > _rejected));
            _rejected = statistics.RejectedSteps;
        }

        public void Output(int output, int[] lanes, double[] times, bool isAtEnd)
        {
        }
    }
}
