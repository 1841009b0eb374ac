namespace Microsoft.ML.NeuralOde.Dynamics;

/// <summary>
/// Evaluators that wait, with their memory, for the next solve. Belongs to the dynamics they are made for and ends with them.
/// </summary>
/// <remarks>
/// Evaluators lead back to their dynamics. Here nothing else leads to them: a bag of the system's keeps what threads put into it in places
/// of theirs, which live as long as the threads, and the dynamics with it.
/// </remarks>
internal sealed class EvaluatorPool<T>
    where T : class
{
    private readonly Lock _lock = new();
    private readonly Stack<T> _free = new();
    private bool _isClosed;

    /// <summary>One that waits; null where there is none.</summary>
    public T? Take()
    {
        lock (_lock)
            return _free.TryPop(out T? evaluator) ? evaluator : null;
    }

    /// <summary>Takes one back, unless as many wait as can be of use.</summary>
    public void Return(T evaluator)
    {
        lock (_lock)
            if (!_isClosed && _free.Count < Environment.ProcessorCount)
                _free.Push(evaluator);
    }

    /// <summary>Lets go of those that wait.</summary>
    public void Clear()
    {
        lock (_lock)
            _free.Clear();
    }

    /// <summary>Lets go of those that wait, and of those that are still to come back.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _isClosed = true;
            _free.Clear();
        }
    }
}
