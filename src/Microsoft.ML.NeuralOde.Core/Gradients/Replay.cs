using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// Gives the states at the starts of the steps, the last first: from those that were kept, making steps again in between.
/// </summary>
internal sealed class Replay : IDisposable
{
    private readonly BackwardSweep _sweep;
    private readonly StepTape _tape;
    private readonly Stack<(int Step, Tensor State, bool IsOwn)> _kept = new();
    private readonly Stack<Tensor> _free = new();
    private readonly SolverStatistics _statistics = new();
    private Stepper? _stepper;
    private StateArithmetic? _arithmetic;
    private RightHandSide? _rightHandSide;
    private int[]? _rows;

    /// <param name="sweep">The sweep.</param>
    /// <param name="tape">The steps.</param>
    /// <param name="states">The states of the tape's checkpoints.</param>
    public Replay(BackwardSweep sweep, StepTape tape, IReadOnlyList<Tensor> states)
    {
        _sweep = sweep;
        _tape = tape;
        for (int i = 0; i < states.Count; i++)
            _kept.Push((tape.Checkpoints[i].Step, states[i], false));
    }

    /// <summary>
    /// The state at the start of a step, before which no other was asked for that lies further ahead; valid until the next call.
    /// </summary>
    public Tensor StateAt(int step)
    {
        while (_kept.Peek().Step > step)
            Drop();
        (int from, Tensor state, _) = _kept.Peek();
        if (from == step)
            return state;
        int next = NextPlace(from, step);
        Begin(from, state);
        for (int i = from; i < step; i++)
        {
            Advance(i);
            if (i + 1 != next || i + 1 == step)
                continue;
            _kept.Push((next, Copy(_stepper!.State), true));
            next = NextPlace(next, step);
        }
        _sweep.Statistics.BackwardEvaluations += _statistics.FunctionEvaluations;
        _statistics.FunctionEvaluations = 0;
        return _stepper!.State;
    }

    public void Dispose()
    {
        while (_kept.Count > 0)
            Drop();
        foreach (Tensor memory in _free)
            memory.Dispose();
        End();
    }

    private int NextPlace(int from, int step) =>
        from + CheckpointSchedule.Next(step - from + 1, Math.Max(0, _tape.Capacity - _kept.Count));

    private void Begin(int step, Tensor state)
    {
        TapeStep first = _tape.Steps[step];
        if (_stepper is null || _rows?.Length != first.Rows?.Length || _stepper.StepMethod != first.Method)
            CreateStepper(first, state);
        _rightHandSide!.Keep(_rows = first.Rows);
        _stepper!.Start((double[])first.Start.Clone(), _arithmetic!.Copy(state));
    }

    /// <summary>Makes a step and goes on with the rows of the next.</summary>
    private void Advance(int index)
    {
        TapeStep step = _tape.Steps[index];
        if (_stepper!.StepMethod != step.Method)
        {
            Tensor state = _stepper.State.clone();
            CreateStepper(step, state);
            _stepper.Start((double[])step.Start.Clone(), _arithmetic!.Copy(state));
            state.Dispose();
        }
        else if (!_stepper.Time.AsSpan().SequenceEqual(step.Start))
        {
            _stepper.Start((double[])step.Start.Clone(), _arithmetic!.Copy(_stepper.State));
        }
        bool[] accepted = [.. Enumerable.Range(0, step.Lanes).Select(lane => step.Start[lane] != step.End[lane])];
        if (_stepper.Try(step.End).NewtonFailed)
            throw new OdeSolverException(
                SolverFailure.Newton, step.Start[0], step.End[0] - step.Start[0], double.NaN, [], "This was on the way back.");
        _stepper.Accept(accepted);
        if (_tape.Steps[index + 1].Rows is not { } rows || rows.AsSpan().SequenceEqual(_rows))
            return;
        _stepper.Keep(Array.ConvertAll(rows, row => Array.IndexOf(_rows!, row)));
        _arithmetic!.Resize(rows.Length);
        _rightHandSide!.Keep(_rows = rows);
    }

    private void CreateStepper(TapeStep step, Tensor state)
    {
        End();
        _arithmetic = StateArithmetic.Create(state, step.Lanes, differentiable: false);
        _rightHandSide = new RightHandSide(_sweep.Problem.Equation, _statistics, recordsGraph: false);
        var context = new StepperContext(
            _rightHandSide, _arithmetic, _sweep.Clock, _sweep.OptionsFor(step.Method!), _statistics);
        _stepper = step.Method!.CreateStepper(context);
    }

    private void End()
    {
        _stepper?.Dispose();
        _arithmetic?.Dispose();
        _rightHandSide?.Dispose();
        _stepper = null;
    }

    private Tensor Copy(Tensor state)
    {
        if (!_free.TryPop(out Tensor? memory) || memory.numel() != state.numel())
        {
            memory?.Dispose();
            return state.clone().DetachFromDisposeScope();
        }
        memory.copy_(state);
        return memory;
    }

    private void Drop()
    {
        (_, Tensor state, bool isOwn) = _kept.Pop();
        if (isOwn)
            _free.Push(state);
    }
}
