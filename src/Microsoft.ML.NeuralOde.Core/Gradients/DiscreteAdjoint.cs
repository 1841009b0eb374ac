using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>
/// The discrete adjoint: the accepted steps are differentiated, the last first, each made again unless its evaluations were kept.
/// </summary>
internal sealed class DiscreteAdjoint : GradientMethod
{
    /// <summary>What evaluations that are kept may take by default.</summary>
    public const long DefaultEvaluationBytes = CheckpointBudget.DefaultBytes;

    private readonly CheckpointBudget _budget;
    private readonly long _evaluationBytes;
    private readonly string _text;

    public DiscreteAdjoint(int? checkpoints, long? evaluationBytes)
        : base("checkpointed")
    {
        if (checkpoints < 1)
            throw new ArgumentOutOfRangeException(nameof(checkpoints), checkpoints, "At least one state must be kept, the initial one.");
        if (evaluationBytes < 0)
            throw new ArgumentOutOfRangeException(
                nameof(evaluationBytes), evaluationBytes, "The memory for evaluations cannot be negative; 0 keeps none.");
        _budget = new CheckpointBudget(checkpoints);
        // Who counts states is short of memory.
        _evaluationBytes = evaluationBytes ?? (checkpoints is null ? DefaultEvaluationBytes : 0);
        _text = Describe(
            checkpoints is { } states ? $"{states} {(states == 1 ? "checkpoint" : "checkpoints")}" : null,
            evaluationBytes is { } bytes ? $"{bytes} bytes for evaluations" : null);
    }

    /// <inheritdoc/>
    public override string ToString() => _text;

    internal override bool ReachesAll(OdeMethod method) => !method.IsReversible && !method.IsOneStep;

    public override IReadOnlyList<Citation> Citations => [Publications.Revolve];

    internal override OdeSolution Solve(OdeProblem problem)
    {
        OdeMethod method = problem.Options.Method;
        if (method.IsReversible)
            return ReversibleGradient.Instance.Solve(problem);
        // A multistep method's step cannot be made again from its start alone.
        if (!method.IsOneStep)
            return DirectGradient.Instance.Solve(problem);
        var recorder = EvaluationRecorder.For(problem, _evaluationBytes);
        var tape = new StepTape(_budget, recorder);
        var draws = RandomDraws.Watch(problem);
        SolverStatistics before = problem.Statistics.Copy();
        try
        {
            OdeSolution solution = (recorder is null ? problem : problem with { Equation = recorder.Equation }).SolveWithoutGradient(tape);
            if (draws?.Found == true && !tape.HasAllEvaluations && draws.AreConfirmed(solution))
            {
                // Evaluations that are made again would draw other numbers: the solve is made again, so that its graph keeps them all.
                solution.Dispose();
                recorder?.Finish();
                recorder?.Pullbacks.Dispose();
                draws.Undo();
                problem.Statistics.Assign(before);
                return DirectGradient.Instance.Solve(problem);
            }
            problem.Statistics.GraphBytes += tape.NativeBytes;
            return new DiscreteAdjointSolve(problem, solution, tape, recorder?.Pullbacks, drewNumbers: draws?.Found == true).Attach();
        }
        finally
        {
            recorder?.Finish();
            tape.Release();
            draws?.Dispose();
        }
    }
}

/// <summary>One solve and the reversal of its steps.</summary>
internal sealed class DiscreteAdjointSolve : DifferentiableSolve
{
    private readonly StepTape _tape;
    private readonly bool _drewNumbers;
    // Evaluations lead back once: a second pass through a retained graph makes them again.
    private PullbackSource? _evaluated;

    /// <param name="problem">The problem.</param>
    /// <param name="solution">Its solution.</param>
    /// <param name="tape">The steps.</param>
    /// <param name="evaluated">What the evaluations belong to that were kept; null where none were to be.</param>
    /// <param name="drewNumbers">Whether random numbers were drawn during the solve, by whomever.</param>
    public DiscreteAdjointSolve(OdeProblem problem, OdeSolution solution, StepTape tape, PullbackSource? evaluated, bool drewNumbers)
        : base(problem, solution)
    {
        _drewNumbers = drewNumbers;
        _tape = tape;
        _evaluated = evaluated;
    }

    /// <summary>
    /// The states that are kept, tensors of the evaluations that are, and the parameters if any are: torch then tells if one was changed.
    /// </summary>
    protected override IReadOnlyList<Tensor> Saved
    {
        get
        {
            List<Tensor> saved = [.. _tape.Checkpoints.Select(checkpoint => checkpoint.State)];
            saved.AddRange(_tape.Steps.SelectMany(step => step.Stages).SelectMany(evaluation => evaluation.Saved));
            if (_tape.Steps.Exists(step => step.Stages.Length > 0))
                saved.AddRange(_evaluated!.Parameters);
            return saved;
        }
    }

    protected override Gradients Backward(Tensor gradient, IReadOnlyList<Tensor> saved)
    {
        Tensor outputs = gradient.contiguous();
        Tensor adjoint = zeros_like(outputs[0]);
        PullbackSource? evaluated = TakeEvaluated();
        if (_drewNumbers && evaluated is null && Problem.DrawsRandomNumbers(saved[0], null))
            throw new InvalidOperationException(
                "The right-hand side draws random numbers, and a second backward pass evaluates it again, with others: "
                + "its gradients would be wrong. Solve again, or take GradientMethod.Direct().");
        int place = saved.Count - (evaluated?.Parameters.Count ?? 0);
        using var sweep = new BackwardSweep(Problem, adjoint, TimesNeedGradient, Solution.Statistics, evaluated);
        if (Problem.Penalty is not null)
            sweep.PenaltyGradient = outputs[Problem.Grid.Count];
        using var replay = new Replay(sweep, _tape, [.. saved.Take(_tape.Checkpoints.Count)]);
        var reversals = new Dictionary<OdeMethod, StepReversal>();
        for (int n = _tape.Steps.Count - 1; n >= 0; n--)
        {
            using DisposeScope scope = NewDisposeScope();
            (TapeStep step, int[] lanes) = _tape.Steps[n].Accepted();
            if (!reversals.TryGetValue(step.Method!, out StepReversal? reversal))
                reversals[step.Method!] = reversal = StepReversal.For(step.Method!, sweep);
            Pullback.Evaluation[] stages = evaluated is null ? [] : Again(step.Stages, saved, ref place);
            sweep.Keep(step.Rows);
            if (step.Rows is null)
            {
                Tensor? state = stages.Length > 0 && !reversal.NeedsState(step) ? null : replay.StateAt(n);
                Tensor before = reversal.Reverse(step, stages, state, adjoint, output => outputs[output]);
                sweep.Arithmetic(adjoint, 1).Release(adjoint);
                adjoint = before;
            }
            else
            {
                Tensor state = replay.StateAt(n);
                Tensor rows = BackwardSweep.Index(step.Rows, adjoint.device);
                if (lanes.Length < state.shape[0])
                    state = state.index_select(0, BackwardSweep.Index(lanes, adjoint.device));
                Tensor part =
                    reversal.Reverse(step, stages, state, adjoint.index_select(0, rows), output => outputs[output].index_select(0, rows));
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

    /// <summary>What the evaluations belong to, once, and unless other parameters need gradients by now.</summary>
    private PullbackSource? TakeEvaluated()
    {
        PullbackSource? evaluated = Interlocked.Exchange(ref _evaluated, null);
        // By identity: tensors compare their values, for which a device is waited for.
        if (evaluated is null || evaluated.Parameters.SequenceEqual(
            Problem.Parameters.Where(parameter => parameter.requires_grad), ReferenceEqualityComparer.Instance))
            return evaluated;
        evaluated.Dispose();
        return null;
    }

    /// <summary>
    /// The evaluations of a step, with the tensors that were saved for them and that end at a place, which goes back to their start.
    /// </summary>
    private static Pullback.Evaluation[] Again(Pullback.Evaluation[] stages, IReadOnlyList<Tensor> saved, ref int place)
    {
        var again = new Pullback.Evaluation[stages.Length];
        for (int i = stages.Length - 1; i >= 0; i--)
        {
            int count = stages[i].Saved.Count;
            place -= count;
            again[i] = stages[i].Again([.. saved.Skip(place).Take(count)]);
        }
        return again;
    }
}
