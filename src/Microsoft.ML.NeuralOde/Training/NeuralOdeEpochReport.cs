namespace Microsoft.ML.NeuralOde;

/// <summary>What happened in one pass over the training data.</summary>
public sealed class NeuralOdeEpochReport
{
    internal const string Accuracy = "accuracy";

    /// <summary>The epoch, from 1.</summary>
    public int Epoch { get; init; }

    /// <summary>How many epochs there will be at most.</summary>
    public int NumberOfEpochs { get; init; }

    /// <summary>Mean loss over the epoch's rows, each with the weights it met, without penalties.</summary>
    public double TrainLoss { get; init; }

    /// <summary>Mean loss over all validation rows with the weights after the epoch; null without validation rows.</summary>
    public double? ValidationLoss { get; init; }

    /// <summary>What the figures beside the loss are: “accuracy” for classifiers, “RMSE” for regressions; null for none.</summary>
    public string? MetricName { get; init; }

    /// <summary>The figure over the epoch's rows, each with the weights it met; null for models without one.</summary>
    public double? TrainMetric { get; init; }

    /// <summary>The figure over all validation rows with the weights after the epoch; null without validation rows.</summary>
    public double? ValidationMetric { get; init; }

    /// <summary>Fraction of the rows that were classified rightly; null for other models than classifiers.</summary>
    public double? TrainAccuracy => MetricName == Accuracy ? TrainMetric : null;

    /// <summary>
    /// Fraction of the validation rows that are classified rightly; null without them and for other models than classifiers.
    /// </summary>
    public double? ValidationAccuracy => MetricName == Accuracy ? ValidationMetric : null;

    /// <summary>Evaluations of the right-hand side on the way forward, mean over the batches.</summary>
    public double NfeForward { get; init; }

    /// <summary>
    /// Evaluations of the right-hand side on the way back, mean over the batches; none where those of the way forward were kept.
    /// </summary>
    public double NfeBackward { get; init; }

    /// <summary>Duration of the epoch in seconds, validation included.</summary>
    public double Seconds { get; init; }

    /// <summary>The learning rate at the end of the epoch.</summary>
    public double LearningRate { get; init; }

    /// <summary>
    /// The solver's tolerances at the end of the epoch, which <see cref="NeuralOdeTrainerOptions.FinalTolerances"/> changes; null where
    /// steps are fixed or nothing is solved, and for flows and series.
    /// </summary>
    public SolverTolerances? Tolerances { get; init; }

    /// <summary>The epoch in one line; evaluations are left out where there were none.</summary>
    public override string ToString() => FormattableString.Invariant(
        $"epoch {Epoch}/{NumberOfEpochs}: loss {TrainLoss:F4}{Metric("", TrainMetric)}{Validation()}{Evaluations()}, {Seconds:F2} s");

    private string Validation() =>
        ValidationLoss is null
        ? "" : FormattableString.Invariant($", validation loss {ValidationLoss:F4}{Metric("validation ", ValidationMetric)}");

    // Flow matching solves nothing, and gradients that keep the evaluations of the way forward make none on the way back.
    private string Evaluations() => NfeForward == 0 && NfeBackward == 0 ? ""
        : NfeBackward == 0 ? FormattableString.Invariant($", evaluations {NfeForward:F1} forward")
        : FormattableString.Invariant($", evaluations {NfeForward:F1} forward {NfeBackward:F1} backward");

    private string Metric(string prefix, double? value) => value is null ? "" : MetricName == Accuracy
        ? FormattableString.Invariant($", {prefix}{MetricName} {value:P2}")
        : FormattableString.Invariant($", {prefix}{MetricName} {value:G5}");
}
