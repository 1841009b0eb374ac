using System.Globalization;
using Microsoft.ML.NeuralOde.Solving;
using Microsoft.ML.NeuralOde.Stepping;

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
                $"{nameof(OdeSolverOptions)}.{nameof(options.Gradient)} is '{Name}' and {nameof(options.Method)} is " +
                $"'{options.Method.Name}', whose steps cannot be undone; " +
                "take OdeMethod.ReversibleHeun or OdeMethod.ReversibleCoupling(…), or another gradient method.", nameof(options));
    }

    internal override OdeSolution Solve(OdeProblem problem)
    {
        var tape = new ReversibleTape(problem.Options.Method.Reversible!.UndoGrowth);
        using var draws = RandomDraws.Watch(problem);
        try
        {
            OdeSolution solution = problem.SolveWithoutGradient(tape);
            draws?.Refuse(solution);
            return new ReversibleSolve(problem, solution, tape).Attach();
        }
        catch (OdeSolverException) when (draws is { Found: true } && problem.DrawsRandomNumbers(problem.InitialState, null))
        {
            // Random numbers move the two states apart as well.
            throw problem.RandomNumbersRefused();
        }
        finally
        {
            tape.Release();
        }
    }
}

/// <summary>
/// The accepted steps of a solve with a reversible method, and both of its states at the end of each stretch without a fresh start, and at
/// so many places inside it that undoing the steps between them does not amplify rounding to anything that matters.
/// </summary>
/// <param name="growth">The factor by which undoing a step amplifies rounding.</param>
internal sealed class ReversibleTape(double growth) : IStepRecorder
{
    public List<Stretch> Stretches { get; } = [];

    public void Accept(AcceptedStep step)
    {
        ITwin twins = step.Stepper.Twins!;
        if (twins.IsFresh)
            Stretches.Add(new Stretch(step, growth));
        Stretches[^1].Add(TapeStep.Of(step), step.Attempt.State, twins.NextTwin);
    }

    public void Output(int output, int[] lanes, double[] times, bool isAtEnd) =>
        Stretches[^1].Steps[^1].AddOutput(new StepOutput(output, lanes, (double[])times.Clone(), isAtEnd));

    /// <summary>Lets go of the states; those that a graph saved live on in it.</summary>
    public void Release()
    {
        foreach (Tensor tensor in Stretches.SelectMany(stretch => stretch.All))
            tensor.Dispose();
    }

    /// <summary>Steps from one fresh start to the next.</summary>
    internal sealed class Stretch
    {
        private readonly Dictionary<int, long>? _places;
        private readonly int _interval;
        private Tensor _marks;

        public Stretch(AcceptedStep first, double growth)
        {
            State = first.Stepper.State.clone().DetachFromDisposeScope();
            Twin = State.clone().DetachFromDisposeScope();
            double tolerated = State.dtype switch { ScalarType.Float64 => 1e5, ScalarType.Float32 => 1e2, _ => 4 };
            _interval = growth == 1 ? int.MaxValue : Math.Max(1, (int)(Math.Log(tolerated) / Math.Log(growth)));
            Rows = first.Rows;
            if (Rows is not null)
                _places = Rows.Select((row, place) => (row, place)).ToDictionary(pair => pair.row, pair => (long)pair.place);
            _marks = stack([State, Twin]).unsqueeze_(0).DetachFromDisposeScope();
            MarkedSteps.Add(0);
        }

        /// <summary>Before which steps both states are kept; the first is 0.</summary>
        public List<int> MarkedSteps { get; } = [];

        /// <summary>What is kept: both states at the end, and those in front of the marked steps, <c>[marks, 2, …]</c>.</summary>
        public IEnumerable<Tensor> All => [State, Twin, _marks];

        public List<TapeStep> Steps { get; } = [];

        /// <summary>The batch rows that take part; null for all.</summary>
        public int[]? Rows { get; }

        /// <summary>y of these rows at their ends.</summary>
        public Tensor State { get; }

        /// <summary>The twin of these rows at their ends.</summary>
        public Tensor Twin { get; }

        public void Add(TapeStep step, Tensor state, Tensor twin)
        {
            if (Steps.Count - MarkedSteps[^1] == _interval)
                Mark();
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

        private void Mark()
        {
            using DisposeScope scope = NewDisposeScope();
            if (MarkedSteps.Count == _marks.shape[0])
            {
                Tensor more = cat([_marks, empty_like(_marks)]);
                _marks.Dispose();
                _marks = more.DetachFromDisposeScope();
            }
            _marks[MarkedSteps.Count, 0].copy_(State);
            _marks[MarkedSteps.Count, 1].copy_(Twin);
            MarkedSteps.Add(Steps.Count);
        }
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

    protected override IReadOnlyList<Tensor> Saved => [.. _tape.Stretches.SelectMany(stretch => stretch.All)];

    protected override Gradients Backward(Tensor gradient, IReadOnlyList<Tensor> saved)
    {
        Tensor outputs = gradient.contiguous();
        Tensor adjoint = zeros_like(outputs[0]);
        using var sweep = new BackwardSweep(Problem, adjoint, TimesNeedGradient, Solution.Statistics);
        using var reversal = ReversibleStepReversal.For(Problem.Options.Method.Reversible!, sweep);
        for (int i = _tape.Stretches.Count - 1; i >= 0; i--)
        {
            using DisposeScope scope = NewDisposeScope();
            ReversibleTape.Stretch stretch = _tape.Stretches[i];
            Tensor? rows = stretch.Rows is null ? null : BackwardSweep.Index(stretch.Rows, adjoint.device);
            Tensor[] kept = [.. saved.Skip(3 * i).Take(3)];
            Tensor start = Reverse(stretch, kept, rows is null ? adjoint : adjoint.index_select(0, rows), outputs, reversal, sweep);
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
    private Tensor Reverse(
        ReversibleTape.Stretch stretch, Tensor[] kept, Tensor adjoint, Tensor outputs, ReversibleStepReversal reversal, BackwardSweep sweep)
    {
        (Tensor state, Tensor twin, Tensor marks) = (kept[0], kept[1], kept[2]);
        int mark = stretch.MarkedSteps.Count - 1;
        StateArithmetic arithmetic = sweep.Arithmetic(state, stretch.Rows?.Length ?? 1);
        var point = new ReversiblePoint(
            arithmetic.Copy(state), arithmetic.Copy(twin), arithmetic.Copy(adjoint), zeros_like(state).DetachFromDisposeScope());
        for (int n = stretch.Steps.Count - 1; n >= 0; n--)
        {
            using DisposeScope scope = NewDisposeScope();
            sweep.AfterStep();
            (TapeStep step, _) = stretch.Steps[n].Accepted();
            sweep.Keep(step.Rows);
            if (step.Rows is null)
            {
                ReversiblePoint before = reversal.Undo(step, point, output => outputs[output]);
                Release(point, arithmetic);
                point = before;
                Return();
                continue;
            }
            Tensor places = stretch.Index(step.Rows, state.device);
            Tensor rows = BackwardSweep.Index(step.Rows, state.device);
            ReversiblePoint part = reversal.Undo(
                step, ReversiblePoint.Of([.. point.All.Select(tensor => tensor.index_select(0, places))]), output =>
                    outputs[output].index_select(0, rows));
            part = reversal.Finish(part);
            foreach ((Tensor all, Tensor some) in point.All.Zip(part.All))
                all.index_copy_(0, places, some);
            Release(part, sweep.Arithmetic(state, step.Lanes));
            Return();

            // Goes on from the states that were kept, where there are some.
            void Return()
            {
                if (stretch.MarkedSteps[mark] != n)
                    return;
                (Tensor markedState, Tensor markedTwin) = (marks[mark, 0].clone(), marks[mark, 1].clone());
                Check(point.State, markedState, step);
                arithmetic.Release(point.State);
                arithmetic.Release(point.Twin);
                point = point with { State = arithmetic.Copy(markedState), Twin = arithmetic.Copy(markedTwin) };
                mark--;
            }
        }
        sweep.Keep(stretch.Rows);
        point = reversal.Finish(point);
        Tensor result = point.StateGradient.Plus(point.TwinGradient);
        Release(point, arithmetic);
        return result;
    }

    /// <summary>
    /// Undone steps must lead back to where they came from; rounding may keep them from it where components grow or the coupling is loose.
    /// </summary>
    private void Check(Tensor undone, Tensor kept, TapeStep step)
    {
        if (kept.numel() == 0)
            return;
        double tolerated = kept.dtype == ScalarType.Float64 ? 1e-6 : kept.dtype == ScalarType.Float32 ? 1e-3 : 0.1;
        double away = (undone - kept).abs().max().ToDouble() / Math.Max(kept.abs().max().ToDouble(), double.Epsilon);
        if (away <= tolerated)
            return;
        string where = string.Create(CultureInfo.InvariantCulture,
            $"at t = {step.Start[0]:G6} the state that comes back differs from the solve's by {away:G2} of its size");
        throw new InvalidOperationException(
            $"The steps of '{Problem.Options.Method.Name}' could not be undone: {where}, since undoing steps amplifies rounding where " +
            "components grow. Take an ordinary method such as OdeMethod.Dopri5 with GradientMethod.Checkpointed, shorten the interval, " +
            "or use float64.");
    }

    private static void Release(ReversiblePoint point, StateArithmetic arithmetic)
    {
        foreach (Tensor tensor in point.All)
            arithmetic.Release(tensor);
    }
}
