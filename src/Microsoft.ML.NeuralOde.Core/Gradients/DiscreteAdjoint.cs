using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>The discrete adjoint: each accepted step is made again and differentiated, the last step first.</summary>
internal sealed class DiscreteAdjoint : GradientMethod
{
    private readonly CheckpointBudget _budget;

    public DiscreteAdjoint(int? checkpoints)
        : base("checkpointed")
    {
        if (checkpoints < 1)
            throw new ArgumentOutOfRangeException(nameof(checkpoints), checkpoints, "At least one state must be kept, the initial one.");
        _budget = new CheckpointBudget(checkpoints);
    }

    internal override OdeSolution Solve(OdeProblem problem)
    {
        OdeMethod method = problem.Options.Method;
        if (method.IsReversible)
            return ReversibleGradient.Instance.Solve(problem);
        // A multistep method's step cannot be made again from its start alone.
        if (!method.IsOneStep)
            return DirectGradient.Instance.Solve(problem);
        var tape = new StepTape(_budget);
        try
        {
            OdeSolution solution = problem.SolveWithoutGradient(tape);
            return new DiscreteAdjointSolve(problem, solution, tape).Attach();
        }
        finally
        {
            tape.Release();
        }
    }
}

/// <summary>One solve and the reversal of its steps.</summary>
internal sealed class DiscreteAdjointSolve : DifferentiableSolve
{
    private readonly StepTape _tape;

    public DiscreteAdjointSolve(OdeProblem problem, OdeSolution solution, StepTape tape)
        : base(problem, solution) => _tape = tape;

    protected override IReadOnlyList<Tensor> Saved => [.. _tape.Checkpoints.Select(checkpoint => checkpoint.State)];

    protected override Gradients Backward(Tensor gradient, IReadOnlyList<Tensor> saved)
    {
        Tensor outputs = gradient.contiguous();
        Tensor adjoint = zeros_like(outputs[0]);
        using var sweep = new BackwardSweep(Problem, adjoint, TimesNeedGradient, Solution.Statistics);
        using var replay = new Replay(sweep, _tape, saved);
        var reversals = new Dictionary<OdeMethod, StepReversal>();
        for (int n = _tape.Steps.Count - 1; n >= 0; n--)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor state = replay.StateAt(n);
            (TapeStep step, int[] lanes) = _tape.Steps[n].Accepted();
            if (!reversals.TryGetValue(step.Method!, out StepReversal? reversal))
                reversals[step.Method!] = reversal = StepReversal.For(step.Method!, sweep);
            Problem.Rows.Rows = step.Rows;
            if (step.Rows is null)
            {
                Tensor before = reversal.Reverse(step, state, adjoint, output => outputs[output]);
                sweep.Arithmetic(state, 1).Release(adjoint);
                adjoint = before;
            }
            else
            {
                Tensor rows = BackwardSweep.Index(step.Rows, adjoint.device);
                if (lanes.Length < state.shape[0])
                    state = state.index_select(0, BackwardSweep.Index(lanes, adjoint.device));
                Tensor part = reversal.Reverse(step, state, adjoint.index_select(0, rows), output => outputs[output].index_select(0, rows));
                adjoint.index_copy_(0, rows, part);
                sweep.Arithmetic(state, step.Lanes).Release(part);
            }
            sweep.AfterStep();
        }
        Tensor initial = adjoint.Plus(outputs[0]);
        sweep.Arithmetic(adjoint, 1).Release(adjoint);
        return new Gradients(
            StateNeedsGradient ? initial.MoveToOuterDisposeScope() : null,
            TimesGradient(sweep.Times?.Values)?.MoveToOuterDisposeScope(),
            Array.ConvertAll(sweep.Parameters.Finish(), sum => sum?.MoveToOuterDisposeScope()));
    }
}
