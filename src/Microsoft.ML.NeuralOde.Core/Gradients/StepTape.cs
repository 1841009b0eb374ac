using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>A state that is kept.</summary>
/// <param name="Step">The step at whose start it is.</param>
/// <param name="State">The state, of the rows that had not finished.</param>
internal readonly record struct Checkpoint(int Step, Tensor State);

/// <summary>The accepted steps of a solve, and the states at the starts of some of them.</summary>
internal sealed class StepTape : IStepRecorder
{
    private readonly CheckpointBudget _budget;
    private readonly EvaluationRecorder? _recorder;
    private readonly List<Checkpoint> _checkpoints = [];
    private readonly List<int> _levels = [];

    /// <param name="budget">How many states to keep.</param>
    /// <param name="recorder">Has the evaluations that are to be kept; null where none are.</param>
    public StepTape(CheckpointBudget budget, EvaluationRecorder? recorder)
    {
        _budget = budget;
        _recorder = recorder;
    }

    public List<TapeStep> Steps { get; } = [];

    /// <summary>The states that are kept, oldest first.</summary>
    public IReadOnlyList<Checkpoint> Checkpoints => _checkpoints;

    /// <summary>How many states may be kept.</summary>
    public int Capacity { get; private set; } = 1;

    /// <summary>Whether the way back needs no evaluation that was not kept.</summary>
    public bool HasAllEvaluations => Steps.TrueForAll(step => step.Stages.Length > 0 && step.Outputs.All(output => output.IsAtEnd));

    /// <summary>About how many bytes are kept outside the managed heap.</summary>
    public long NativeBytes => _checkpoints.Sum(checkpoint => NativeMemory.Of(checkpoint.State))
        + Steps.Sum(step => step.Stages.Sum(evaluation => evaluation.Saved.Count > 0 ? evaluation.Bytes ?? 0 : 0));

    public void Accept(AcceptedStep step)
    {
        Steps.Add(TapeStep.Of(step, _recorder?.Claim(step) ?? []));
        Keep(Steps.Count - 1, step.Stepper.State);
    }

    public void Output(int output, int[] lanes, double[] times, bool isAtEnd) =>
        Steps[^1].AddOutput(new StepOutput(output, lanes, (double[])times.Clone(), isAtEnd));

    /// <summary>Lets go of the states, and of the evaluations that an autograd node can hold; those that one saved live on in it.</summary>
    public void Release()
    {
        foreach (Checkpoint checkpoint in _checkpoints)
            checkpoint.State.Dispose();
        foreach (Pullback.Evaluation evaluation in Steps.SelectMany(step => step.Stages).Where(evaluation => evaluation.Saved.Count > 0))
            evaluation.Dispose();
    }

    private void Keep(int step, Tensor state)
    {
        Capacity = Math.Max(Capacity, _budget.Capacity(Steps.Count, state));
        if (Capacity < 2 && step > 0)
            return;
        int place = CheckpointSchedule.Replace(_levels, Capacity, out int level);
        Tensor? given = null;
        if (place < _checkpoints.Count)
        {
            given = _checkpoints[place].State;
            _checkpoints.RemoveAt(place);
            _levels.RemoveAt(place);
        }
        _checkpoints.Add(new Checkpoint(step, Copy(state, given)));
        _levels.Add(level);
    }

    /// <summary>A copy of a state, in the memory of one that is not needed any more.</summary>
    private static Tensor Copy(Tensor state, Tensor? memory)
    {
        if (memory is null || memory.numel() != state.numel())
        {
            memory?.Dispose();
            return state.clone().DetachFromDisposeScope();
        }
        memory.copy_(state);
        return memory;
    }
}

/// <summary>How many states the discrete adjoint keeps.</summary>
/// <param name="Count">The number; null for the default.</param>
internal sealed record CheckpointBudget(int? Count)
{
    /// <summary>What the states may take by default before some are given up.</summary>
    public const long DefaultBytes = 64 << 20;

    /// <summary>The number for a solve of so many steps, or so far.</summary>
    public int Capacity(int steps, Tensor state)
    {
        if (Count is { } count)
            return count;
        long fitting = DefaultBytes / Math.Max(1, state.numel() * state.element_size());
        return (int)Math.Min(int.MaxValue, Math.Max(fitting, (long)Math.Ceiling(Math.Sqrt(steps)) + 1));
    }
}
