using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde.Tests.Training;

/// <summary>What changes while a training goes on, by formula at each share of it.</summary>
public class ScheduleTests
{
    private const double Maximum = 0.02;

    public static TheoryData<LearningRateSchedule, double, double, double> Rates => new()
    {
        { LearningRateSchedule.Constant, 0, 0, 1 },
        { LearningRateSchedule.Constant, 0, 1, 1 },
        { LearningRateSchedule.CosineAnnealing, 0, 0, 1 },
        { LearningRateSchedule.CosineAnnealing, 0, 1.0 / 3, 0.75 },
        { LearningRateSchedule.CosineAnnealing, 0, 0.5, 0.5 },
        { LearningRateSchedule.CosineAnnealing, 0, 2.0 / 3, 0.25 },
        { LearningRateSchedule.CosineAnnealing, 0, 1, 0 },
        // From a 25th along half a cosine to 1 at 30 %, then along another to a ten-thousandth.
        { LearningRateSchedule.OneCycle, 0, 0, 0.04 },
        { LearningRateSchedule.OneCycle, 0, 0.1, 1 - 0.96 * 0.75 },
        { LearningRateSchedule.OneCycle, 0, 0.15, 0.52 },
        { LearningRateSchedule.OneCycle, 0, 0.2, 1 - 0.96 * 0.25 },
        { LearningRateSchedule.OneCycle, 0, 0.3, 1 },
        { LearningRateSchedule.OneCycle, 0, 0.65, (1 + 1e-4) / 2 },
        { LearningRateSchedule.OneCycle, 0, 0.3 + 0.7 / 3, 1e-4 + (1 - 1e-4) * 0.75 },
        { LearningRateSchedule.OneCycle, 0, 1, 1e-4 },
        // Of ten epochs, three each: the factor comes at 0.3, 0.6 and 0.9, and not a rounding error later.
        { LearningRateSchedule.Step, 0, 0, 1 },
        { LearningRateSchedule.Step, 0, 0.29, 1 },
        { LearningRateSchedule.Step, 0, 0.3, 0.1 },
        { LearningRateSchedule.Step, 0, 0.59, 0.1 },
        { LearningRateSchedule.Step, 0, 0.6, 0.01 },
        { LearningRateSchedule.Step, 0, 0.9, 0.001 },
        { LearningRateSchedule.Step, 0, 1, 0.001 },
        // Before the schedule's own value at its end, a straight line from 0.
        { LearningRateSchedule.Constant, 0.5, 0, 0 },
        { LearningRateSchedule.Constant, 0.5, 0.25, 0.5 },
        { LearningRateSchedule.Constant, 0.5, 0.5, 1 },
        { LearningRateSchedule.Constant, 1, 0.9, 0.9 },
        { LearningRateSchedule.CosineAnnealing, 0.5, 0.25, 0.25 },
        { LearningRateSchedule.CosineAnnealing, 0.5, 0.5, 0.5 },
        { LearningRateSchedule.CosineAnnealing, 0.5, 2.0 / 3, 0.25 },
        { LearningRateSchedule.OneCycle, 0.15, 0.05, 0.52 / 3 },
    };

    [Theory]
    [MemberData(nameof(Rates))]
    public void The_learning_rate_follows_its_formula(LearningRateSchedule schedule, double warmUp, double progress, double expected) =>
        new LearningRates(schedule, Maximum, warmUp, StepEpochs: 3, StepFactor: 0.1, NumberOfEpochs: 10).At(progress).Should()
            .BeApproximately(Maximum * expected, 1e-12);

    [Theory]
    [InlineData(0, 1e-2, 1e-3)]
    [InlineData(0.5, 1e-4, 1e-6)]
    [InlineData(0.25, 1e-3, 3.1622776601683795e-5)]
    [InlineData(1, 1e-6, 1e-9)]
    public void Tolerances_become_tighter_by_equal_factors(double share, double relative, double absolute)
    {
        SolverTolerances found = new SolverTolerances(1e-2, 1e-3).Towards(new SolverTolerances(1e-6, 1e-9), share);
        found.Relative.Should().BeApproximately(relative, 1e-9 * relative);
        found.Absolute.Should().BeApproximately(absolute, 1e-9 * absolute);
        var options = new NeuralOdeRegressionTrainer.Options { RelativeTolerance = 1e-2, AbsoluteTolerance = 1e-3 };
        options.TolerancesAt(share).Should().Be(new SolverTolerances(1e-2, 1e-3));
        options.FinalTolerances = new SolverTolerances(1e-6, 1e-9);
        options.TolerancesAt(share).Should().Be(found);
    }

    /// <summary>
    /// The evaluations of the first epoch's batches and of a later one's, on average, and whether they are worth a warning: more than 2.5
    /// times as many, and 60.
    /// </summary>
    [Theory]
    [InlineData(10, 60, false)]
    [InlineData(10, 61, true)]
    [InlineData(100, 250, false)]
    [InlineData(100, 251, true)]
    public void Epochs_that_need_many_more_evaluations_are_worth_a_warning(double first, double later, bool isWorth)
    {
        var warnings = new List<string>();
        var monitor = new EvaluationMonitor(warnings.Add);
        monitor.EndEpoch(first, 1);
        monitor.EndEpoch(later, 7);
        monitor.EndEpoch(later, 8);
        warnings.Should().HaveCount(isWorth ? 1 : 0);
        if (isWorth)
            warnings[0].Should().StartWith(
                $"Batches of epoch 7 needed {later} evaluations of the right-hand side on average; in the first epoch it were {first}.");
    }

    /// <summary>The same for one batch: more than ten times as many, and 60.</summary>
    [Theory]
    [InlineData(5, 60, false)]
    [InlineData(5, 61, true)]
    [InlineData(7, 70, false)]
    [InlineData(7, 71, true)]
    public void A_batch_that_needs_many_more_evaluations_is_worth_a_warning(double first, int steps, bool isWorth)
    {
        var warnings = new List<string>();
        var monitor = new EvaluationMonitor(warnings.Add);
        SolverStatistics statistics = Cost(steps);
        monitor.Add(statistics, 1);
        warnings.Should().BeEmpty("nothing is known yet");
        monitor.Resume(new NeuralOdeEpochReport { NfeForward = first });
        monitor.Add(statistics, 4);
        warnings.Should().HaveCount(isWorth ? 1 : 0);
        if (isWorth)
            warnings[0].Should().StartWith(
                $"A batch in epoch 4 needed {steps} evaluations of the right-hand side; in the first epoch it were {first} on average.");
    }

    /// <summary>What so many steps of Euler cost.</summary>
    internal static SolverStatistics Cost(int steps)
    {
        using TorchSharp.torch.Tensor y0 = TorchSharp.torch.ones(1);
        using TorchSharp.torch.Tensor times = TorchSharp.torch.tensor(new[] { 0.0, 1.0 });
        using OdeSolution solution =
            Ode.Solve((t, y) => -y, y0, times, new OdeSolverOptions { Method = OdeMethod.Euler, StepSize = 1.0 / steps });
        return solution.Statistics;
    }
}
