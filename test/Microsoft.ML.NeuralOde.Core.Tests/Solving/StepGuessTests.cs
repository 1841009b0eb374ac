using Microsoft.ML.NeuralOde.Core.Tests.Support;
using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Core.Tests.Solving;

/// <summary>What a solve of a like problem tells another one of its steps.</summary>
public class StepGuessTests
{
    [Fact]
    public void The_first_step_is_as_bold_as_the_guess_and_costs_no_search()
    {
        (List<double> steps, SolverStatistics statistics) = Solve(new StepGuess(0.04, 0.01));
        steps[0].Should().BeApproximately(0.04, 1e-15);
        ((statistics.FunctionEvaluations - 1) % 6).Should().Be(0);
    }

    [Fact]
    public void After_a_rejection_it_is_cautious()
    {
        (List<double> steps, SolverStatistics statistics) = Solve(new StepGuess(5, 0.01));
        statistics.RejectedSteps.Should().BePositive();
        steps[0].Should().BeApproximately(0.01, 1e-15);
    }

    [Fact]
    public void A_guess_is_made_of_the_last_step_and_the_mean_one()
    {
        StepGuess.From(new SolverStatistics()).Should().BeNull();
        (List<double> steps, SolverStatistics statistics) = Solve(null);
        StepGuess guess = StepGuess.From(statistics)!.Value;
        guess.Cautious.Should().BeApproximately(steps.Average(), 1e-12);
        guess.First.Should().BeGreaterThan(steps[^1] / 10);
    }

    [Fact]
    public void Where_steps_were_rejected_the_way_back_begins_no_bolder_than_with_the_mean_step()
    {
        using Tensor y0 = ones(1, ScalarType.Float64);
        using OdeSolution smooth = Ode.Solve(Problems.Decay, y0, tensor(new[] { 0.0, 3.0 }), new OdeSolverOptions { FirstStep = 0.01 });
        smooth.Statistics.RejectedSteps.Should().Be(0);
        StepGuess.ForWayBack(smooth.Statistics).Should().Be(StepGuess.From(smooth.Statistics));
        (List<double> steps, SolverStatistics statistics) = Solve(new StepGuess(5, 0.01));
        StepGuess guess = StepGuess.ForWayBack(statistics)!.Value;
        statistics.RejectedSteps.Should().BePositive();
        guess.Cautious.Should().BeApproximately(steps.Average(), 1e-12);
        guess.First.Should().Be(Math.Min(guess.Cautious, statistics.NextStep));
    }

    private static (List<double> Steps, SolverStatistics Statistics) Solve(StepGuess? guess)
    {
        using Tensor y0 = ones(1, ScalarType.Float64);
        var options = new OdeSolverOptions { RelativeTolerance = 1e-8, AbsoluteTolerance = 1e-10 };
        var sizes = new Sizes();
        var statistics = new SolverStatistics();
        var task = new IntegrationTask(new FunctionField(Problems.Quadratic), y0, TimeGrid.Of(0, 5), options, statistics,
            IsDifferentiable: false, sizes)
        { Guess = guess };
        OdeProblem.Integrate(task).Dispose();
        return (sizes.Steps, statistics);
    }

    private sealed class Sizes : IStepRecorder
    {
        public List<double> Steps { get; } = [];

        public void Accept(AcceptedStep step) => Steps.Add(step.Attempt.Span.Size[0]);

        public void Output(int output, int[] lanes, double[] times, bool isAtEnd)
        {
        }
    }
}
