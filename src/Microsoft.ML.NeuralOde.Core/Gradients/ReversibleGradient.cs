using Microsoft.ML.NeuralOde.Methods;
using Microsoft.ML.NeuralOde.Solving;

namespace Microsoft.ML.NeuralOde.Gradients;

/// <summary>The discrete adjoint of methods whose steps can be undone: only the last states are kept.</summary>
internal sealed class ReversibleGradient : GradientMethod
{
    private ReversibleGradient()
        : base("reversible")
    {
    }

    public static ReversibleGradient Instance { get; } = new();

    internal override void Check(OdeSolverOptions options)
    {
        if (!options.Method.IsReversible)
            throw new ArgumentException(
                $"{nameof(OdeSolverOptions)}.{nameof(options.Gradient)} is '{Name}' and {nameof(options.Method)} is '{options.Method.Name}', whose steps cannot be undone; " +
                "take OdeMethod.ReversibleHeun or OdeMethod.ReversibleCoupling(…), or another gradient method.", nameof(options));
    }

    internal override OdeSolution Solve(OdeProblem problem)
    {
        var tape = new ReversibleTape();
        using var draws = RandomDraws.Watch(problem);
        try
        {
            OdeSolution solution = problem.SolveWithoutGradient(tape);
            draws?.Refuse(solution);
            return new ReversibleSolve(problem, solution, tape).Attach();
        }
        finally
        {
            tape.Release();
        }
    }
}

/// <summary>
/// The accepted steps of a solve with a reversible method, and both of its states at the end of each stretch without a fresh start.
/// </summary>
internal sealed class ReversibleTape : IStepRecorder
{
    public List<Stretch> Stretches { get; } = [];

    public void Accept(AcceptedStep step)
    {
        var stepper = (ReversibleStepper)step.Stepper;
        if (stepper.IsFresh)
            Stretches.Add(new Stretch(step));
        Stretches[^1].Add(TapeStep.Of(step), step.Attempt.State, stepper.NextTwin);
    }

    public void Output(int output, int[] lanes, double[] times, bool isAtEnd) =>
        Stretches[^1].Steps[^1].AddOutput(new StepOutput(output, lanes, (double[])times.Clone(), isAtEnd));

    /// <summary>Lets go of the states; those that a graph saved live on in it.</summary>
    public void Release()
    {
        foreach (Stretch stretch in Stretches)
        {
            stretch.State.Dispose();
            stretch.Twin.Dispose();
        }
    }

    /// <summary>Steps from one fresh start to the next.</summary>
    internal sealed class Stretch
    {
        private readonly Dictionary<int, long>? _places;

        public Stretch(AcceptedStep first)
        {
            State = first.Stepper.State.clone().DetachFromDisposeScope();
            Twin = State.clone().DetachFromDisposeScope();
            Rows = first.Rows;
            if (Rows is not null)
                _places = Rows.Select((row, place) => (row, place)).ToDictionary(pair => pair.row, pair => (long)pair.place);
        }

        public List<TapeStep> Steps { get; } = [];

        /// <summary>The batch rows that take part; null for all.</summary>
        public int[]? Rows { get; }

        /// <summary>y of these rows at their ends.</summary>
        public Tensor State { get; }

        /// <summary>The twin of these rows at their ends.</summary>
        public Tensor Twin { get; }

        public void Add(TapeStep step, Tensor state, Tensor twin)
        {
            Steps.Add(step);
            if (_places is null)
            {
                State.copy_(state);
                Twin.copy_(twin);
                return;
            }
            using DisposeScope scope = NewDisposeScope();
            (TapeStep accepted, int[] lanes) = step.Accepted();
            Tensor from = BackwardSweep.Index(lanes, state.device);
            Tensor to = Index(accepted.Rows!, state.device);
            State.index_copy_(0, to, state.index_select(0, from));
            Twin.index_copy_(0, to, twin.index_select(0, from));
        }

        /// <summary>The places of batch rows in <see cref="State"/>.</summary>
        public Tensor Index(int[] rows, Device device) => tensor(Array.ConvertAll(rows, row => _places![row]), ScalarType.Int64, device);
    }
}

/// <summary>A place on the way back, and the gradients there.</summary>
internal sealed record ReversiblePoint(Tensor State, Tensor Twin, Tensor StateGradient, Tensor TwinGradient)
{
    public Tensor[] All => [State, Twin, StateGradient, TwinGradient];

    public static ReversiblePoint Of(IReadOnlyList<Tensor> all) => new(all[0], all[1], all[2], all[3]);
}

/// <summary>One solve and the undoing of its steps.</summary>
internal sealed class ReversibleSolve : DifferentiableSolve
{
    private readonly ReversibleTape _tape;

    public ReversibleSolve(OdeProblem problem, OdeSolution solution, ReversibleTape tape)
        : base(problem, solution) => _tape = tape;

    protected override IReadOnlyList<Tensor> Saved => [.. _tape.Stretches.SelectMany(stretch => new[] { stretch.State, stretch.Twin })];

    protected override Gradients Backward(Tensor gradient, IReadOnlyList<Tensor> saved)
    {
        Tensor outputs = gradient.contiguous();
        Tensor adjoint = zeros_like(outputs[0]);
        using var sweep = new BackwardSweep(Problem, adjoint, TimesNeedGradient, Solution.Statistics);
        using var reversal = ReversibleStepReversal.For(Problem.Options.Method, sweep);
        for (int i = _tape.Stretches.Count - 1; i >= 0; i--)
        {
            using DisposeScope scope = NewDisposeScope();
            ReversibleTape.Stretch stretch = _tape.Stretches[i];
            Tensor? rows = stretch.Rows is null ? null : BackwardSweep.Index(stretch.Rows, adjoint.device);
            Tensor start = Reverse(stretch, saved[2 * i], saved[2 * i + 1], rows is null ? adjoint : adjoint.index_select(0, rows), outputs, reversal, sweep);
            if (rows is null)
                adjoint.copy_(start);
            else
                adjoint.index_copy_(0, rows, start);
        }
        return new Gradients(
            StateNeedsGradient ? adjoint.Plus(outputs[0]).MoveToOuterDisposeScope() : null,
            TimesGradient(sweep.Times?.Values)?.MoveToOuterDisposeScope(),
            Array.ConvertAll(sweep.Parameters.Finish(), sum => sum?.MoveToOuterDisposeScope()));
    }

    /// <summary>The gradient at the start of a stretch, where both states are one.</summary>
    private static Tensor Reverse(
        ReversibleTape.Stretch stretch, Tensor state, Tensor twin, Tensor adjoint, Tensor outputs, ReversibleStepReversal reversal, BackwardSweep sweep)
    {
        StateArithmetic arithmetic = sweep.Arithmetic(state, stretch.Rows?.Length ?? 1);
        var point = new ReversiblePoint(arithmetic.Copy(state), arithmetic.Copy(twin), arithmetic.Copy(adjoint), zeros_like(state).DetachFromDisposeScope());
        for (int n = stretch.Steps.Count - 1; n >= 0; n--)
        {
            using DisposeScope scope = NewDisposeScope();
            sweep.AfterStep();
            (TapeStep step, _) = stretch.Steps[n].Accepted();
            sweep.Problem.Rows.Rows = step.Rows;
            if (step.Rows is null)
            {
                ReversiblePoint before = reversal.Undo(step, point, output => outputs[output]);
                Release(point, arithmetic);
                point = before;
                continue;
            }
            Tensor places = stretch.Index(step.Rows, state.device);
            Tensor rows = BackwardSweep.Index(step.Rows, state.device);
            ReversiblePoint part = reversal.Undo(
                step, ReversiblePoint.Of([.. point.All.Select(tensor => tensor.index_select(0, places))]), output => outputs[output].index_select(0, rows));
            part = reversal.Finish(part);
            foreach ((Tensor all, Tensor some) in point.All.Zip(part.All))
                all.index_copy_(0, places, some);
            Release(part, sweep.Arithmetic(state, step.Lanes));
        }
        sweep.Problem.Rows.Rows = stretch.Rows;
        point = reversal.Finish(point);
        Tensor result = point.StateGradient.Plus(point.TwinGradient);
        Release(point, arithmetic);
        return result;
    }

    private static void Release(ReversiblePoint point, StateArithmetic arithmetic)
    {
        foreach (Tensor tensor in point.All)
            arithmetic.Release(tensor);
    }
}
