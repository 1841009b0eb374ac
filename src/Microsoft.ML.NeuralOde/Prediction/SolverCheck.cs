using System.Globalization;
using Microsoft.ML.NeuralOde.Data;
using Microsoft.ML.NeuralOde.StepControl;
using Microsoft.ML.NeuralOde.Training;

namespace Microsoft.ML.NeuralOde.Prediction;

/// <summary>
/// Looks whether a trained model is still the solution of an equation: some rows are scored with the steps of the training and with those
/// of predictions, and again with finer ones. Where that changes accuracy or loss, the network has learned with the solver's errors.
/// </summary>
internal sealed class SolverCheck(PredictorTraining learner, NeuralOdePredictorOptions options)
{
    /// <summary>How many rows are scored.</summary>
    public const int Rows = 256;

    private const string Advice =
        "Train with smaller steps (StepSize, or RelativeTolerance, AbsoluteTolerance and FinalTolerances), or keep solver "
        + "and steps as they are wherever the model is used.";

    /// <summary>By how much the accuracy may move.</summary>
    private const double MostAccuracy = 0.02;

    /// <summary>By which share the loss may move, and below which it counts as this.</summary>
    private const double MostLoss = 0.1, SmallLoss = 0.01;

    /// <summary>What to warn of; null for nothing.</summary>
    public string? Warning(RowBatch sample)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        OdeSolverOptions training = With(options.TolerancesAt(1), options.StepSize) with { PerRow = false };
        OdeSolverOptions production = With(options.ProductionTolerances, options.ProductionStepSize ?? options.StepSize);
        (string Name, OdeSolverOptions Solver)[] uses = [("training", training), ("predictions", production)];
        bool isFixed = Array.TrueForAll(uses, use => HasEqualSteps(use.Solver));
        OdeSolverOptions finer = isFixed ? Finer(training, production) : production with
        {
            StepSize = null,
            // Below that float32 ends.
            RelativeTolerance = Math.Max(1e-7, Math.Min(training.RelativeTolerance, production.RelativeTolerance) / 10),
            AbsoluteTolerance = Math.Max(1e-8, Math.Min(training.AbsoluteTolerance, production.AbsoluteTolerance) / 10),
        };
        if (Score(sample, finer) is not { } right)
            return $"The equation that was learned cannot be solved with {Name(finer)} on {sample.Count} training rows, only with coarser steps: "
                + $"the model is no solution of an equation, and other steps give other predictions. {Advice}";
        foreach ((string name, OdeSolverOptions solver) in uses)
            if (Score(sample, solver) is { } score && Moved(score, right) is { } moved)
                return $"The solver's steps have become a part of the model: on {sample.Count} training rows {moved} when the equation is solved "
                    + $"with {Name(finer)} instead of the {Name(solver)} of {name}. The model is no longer the solution of an equation, and "
                    + $"other steps give other predictions. {Advice}";
        return null;
    }

    private static string? Moved(Outcome found, Outcome right)
    {
        if (found.Accuracy is { } accuracy && right.Accuracy is { } other && Math.Abs(accuracy - other) > MostAccuracy)
            return string.Create(CultureInfo.InvariantCulture, $"the accuracy moves from {accuracy:P1} to {other:P1}");
        return Math.Abs(found.Loss - right.Loss) > MostLoss * Math.Max(found.Loss, SmallLoss)
            ? string.Create(CultureInfo.InvariantCulture, $"the loss moves from {found.Loss:G3} to {right.Loss:G3}") : null;
    }

    private OdeSolverOptions Finer(OdeSolverOptions first, OdeSolverOptions second)
    {
        double length = Math.Abs(options.EndTime);
        double smallest = Math.Min(first.StepSize ?? length, second.StepSize ?? length);
        return second with { StepSize = new FixedSteps(0, length, smallest).Size / 2 };
    }

    private static bool HasEqualSteps(OdeSolverOptions solver) => !solver.Method.IsAdaptive || solver.StepSize is not null;

    private string Name(OdeSolverOptions solver) => HasEqualSteps(solver)
        ? $"steps of {Number(solver.StepSize ?? Math.Abs(options.EndTime))}"
        : $"tolerances {Number(solver.RelativeTolerance)} and {Number(solver.AbsoluteTolerance)}";

    private static string Number(double value) => value.ToString("G3", CultureInfo.InvariantCulture);

    private OdeSolverOptions With(SolverTolerances tolerances, double? step) => options.SolverOptions() with
    {
        RelativeTolerance = tolerances.Relative,
        AbsoluteTolerance = tolerances.Absolute,
        StepSize = step,
        PerRow = true,
    };

    /// <summary>Loss and accuracy; null where the equation cannot be solved in that way.</summary>
    private Outcome? Score(RowBatch sample, OdeSolverOptions solver)
    {
        try
        {
            BatchResult result = learner.Evaluate(sample, solver);
            double loss = result.Loss.ToDouble();
            return double.IsFinite(loss)
                ? new Outcome(loss, learner.Metric.Name == NeuralOdeEpochReport.Accuracy ? result.Figure?.ToDouble() : null) : null;
        }
        catch (OdeSolverException)
        {
            return null;
        }
    }

    private sealed record Outcome(double Loss, double? Accuracy);
}
