namespace Microsoft.ML.NeuralOde.Training;

/// <summary>
/// Watches how many evaluations of the right-hand side a batch needs. Dynamics that become hard to solve make training slow long before it
/// fails: that is worth one warning.
/// </summary>
internal sealed class EvaluationMonitor(Action<string> warn)
{
    private const double JumpFactor = 2.5;
    private const double ExplosionFactor = 10;
    private const double Few = 60;

    private double _first;
    private bool _warned;

    /// <summary>Takes the first epoch's mean from a report.</summary>
    public void Resume(NeuralOdeEpochReport first) => _first = first.NfeForward;

    /// <summary>After a batch: compares it with the first epoch.</summary>
    public void Add(SolverStatistics statistics, int epoch)
    {
        if (_first > 0 && statistics.FunctionEvaluations > Math.Max(ExplosionFactor * _first, Few))
            Warn(
                $"A batch in epoch {epoch} needed {statistics.FunctionEvaluations} evaluations of the right-hand side; "
                + $"in the first epoch it were {_first:F0} on average");
    }

    /// <summary>After an epoch, with the mean over its batches.</summary>
    public void EndEpoch(double evaluations, int epoch)
    {
        if (_first == 0)
            _first = evaluations;
        else if (evaluations > Math.Max(JumpFactor * _first, Few))
            Warn(
                $"Batches of epoch {epoch} needed {evaluations:F0} evaluations of the right-hand side on average; "
                + $"in the first epoch it were {_first:F0}");
    }

    private void Warn(string what)
    {
        if (_warned)
            return;
        _warned = true;
        warn(
            $"{what}. The dynamics become hard to solve: a lower LearningRate, MaximumGradientNorm, WeightDecay, " +
            "Regularization (kinetic energy) or looser tolerances keep them simple; an implicit Solver copes with stiff ones.");
    }
}
