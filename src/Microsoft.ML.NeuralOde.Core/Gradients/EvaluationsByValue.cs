namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>Evaluations of the steps being tried, found again by the value that the stepper got.</summary>
internal sealed class EvaluationsByValue
{
    private readonly Dictionary<Tensor, Pullback.Evaluation> _evaluations = new(ReferenceEqualityComparer.Instance);

    public Pullback.Evaluation this[Tensor value] => _evaluations[value];

    public void Add(Tensor value, Pullback.Evaluation evaluation)
    {
        // A value that was disposed of, or whose memory is used anew, belonged to a step that was rejected.
        foreach ((Tensor other, Pullback.Evaluation rejected) in _evaluations)
            if (other.IsInvalid || ReferenceEquals(other, value))
            {
                _evaluations.Remove(other);
                rejected.Dispose();
            }
        _evaluations.Add(value, evaluation);
    }

    /// <summary>Hands an evaluation over to the caller.</summary>
    public void Remove(Tensor value) => _evaluations.Remove(value);

    /// <summary>Lets go of all evaluations but one.</summary>
    public void Clear(Tensor? except = null)
    {
        foreach ((Tensor value, Pullback.Evaluation evaluation) in _evaluations)
            if (!ReferenceEquals(value, except))
            {
                _evaluations.Remove(value);
                evaluation.Dispose();
            }
    }
}
