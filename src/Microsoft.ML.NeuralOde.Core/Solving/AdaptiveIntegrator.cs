using Microsoft.ML.NeuralOde.StepControl;
using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Solving;

/// <summary>
/// Steps whose size the error sets, for the whole batch or for each row by itself. Output times between a step's ends are interpolated; the
/// last output time, and each discontinuity, is a step's end, and f is never evaluated beyond.
/// </summary>
internal sealed class AdaptiveIntegrator : Integrator
{
    private Lane[] _lanes;
    private long _attempts;
    private long _driftingAttempts;
    private string _driftRemark = "";

    public AdaptiveIntegrator(IntegrationTask task)
        : base(task, lanes: task.Options.PerRow ? (int)task.InitialState.shape[0] : 1)
    {
        var limits = new StepLimits(Grid.Start, [.. DiscontinuitiesInside(), Grid.End], Options);
        _lanes = new Lane[Status.Length];
        for (int i = 0; i < _lanes.Length; i++)
            _lanes[i] = new Lane(new AdaptiveSteps(limits)) { Row = i, NextOutput = 1 };
    }

    protected override void Integrate()
    {
        if (_lanes.Length == 0)
            return;
        Stepper.Start(Times(_ => Grid.Start), CopyInitialState());
        ChooseSteps(Times(_ => Task.Guess?.First ?? Options.FirstStep ?? 0));
        while (_lanes.Length > 0)
        {
            BeforeStep(Grid.Direction > 0 ? Stepper.Time.Min() : Stepper.Time.Max());
            if (Task.StepsBefore + _attempts++ >= Options.MaximumSteps)
            {
                StopAtStepLimit();
                return;
            }
            if (!Step())
                return;
        }
    }

    /// <summary>
    /// Tries one step in every lane, takes it where it is good enough, and sets the sizes of the next; false where an event ended the
    /// solve.
    /// </summary>
    private bool Step()
    {
        double[] end = new double[_lanes.Length];
        for (int i = 0; i < end.Length; i++)
            end[i] = _lanes[i].Steps.End(Stepper.Time[i]);
        StepAttempt attempt = Stepper.Try(end);
        if (attempt.Drift is { } drift)
            (_driftingAttempts, _driftRemark) = (_driftingAttempts + 1, " " + drift.Remark);
        var accepted = new bool[_lanes.Length];
        bool any = false;
        for (int i = 0; i < _lanes.Length; i++)
        {
            accepted[i] = attempt.Error![i] <= 1;
            any |= accepted[i];
        }
        if (any && Watcher?.Inspect(Stepper, attempt) is { } time)
        {
            WriteOutputs(attempt, accepted, [time]);
            StopAtEvent(time);
            return false;
        }
        for (int i = 0; i < _lanes.Length; i++)
        {
            if (accepted[i])
                Statistics.CountAccepted(attempt.Span.Size[i]);
            else
                Statistics.RejectedSteps++;
        }
        if (any)
        {
            int[]? rows = Options.PerRow ? Array.ConvertAll(_lanes, lane => lane.Row) : null;
            Task.Recorder?.Accept(new AcceptedStep(Stepper, attempt, accepted, rows));
            WriteOutputs(attempt, accepted, attempt.Span.End);
        }
        bool[] failed = Control(attempt, accepted);
        if (any)
            Stepper.Accept(accepted);
        PassStops(accepted);
        Drop(failed);
        return true;
    }

    /// <summary>Notes the outputs inside an accepted step, up to times in it.</summary>
    private void WriteOutputs(StepAttempt attempt, bool[] accepted, double[] end)
    {
        // Rows reach the output times in different steps: take, round by round, the next output of every lane that passed one.
        while (true)
        {
            int[] due = [.. Enumerable.Range(0, _lanes.Length).Where(i =>
                accepted[i] && _lanes[i].NextOutput < Grid.Count && (end[i] - Grid.Values[_lanes[i].NextOutput]) * Grid.Direction >= 0)];
            if (due.Length == 0)
                return;
            var times = (double[])attempt.Span.End.Clone();
            foreach (int i in due)
                times[i] = Grid.Values[_lanes[i].NextOutput];
            bool isAtEnd = times.AsSpan().SequenceEqual(attempt.Span.End);
            Tensor states = isAtEnd ? attempt.State : Stepper.Interpolate(times);
            if (!Options.PerRow)
                Output.Write(_lanes[0].NextOutput, states);
            else
                foreach (IGrouping<int, int> group in due.GroupBy(i => _lanes[i].NextOutput))
                    Output.Write(group.Key, [.. group.Select(i => (long)_lanes[i].Row)], [.. group.Select(i => (long)i)], states);
            foreach (IGrouping<int, int> group in due.GroupBy(i => _lanes[i].NextOutput))
                Task.Recorder?.Output(group.Key, [.. group], times, isAtEnd);
            foreach (int i in due)
                _lanes[i].NextOutput++;
            if (!isAtEnd)
                Context.Arithmetic.Release(states);
        }
    }

    /// <summary>Sets the next step sizes; says which lanes cannot go on.</summary>
    private bool[] Control(StepAttempt attempt, bool[] accepted)
    {
        StepController controller = Options.Controller ?? Stepper.Controller;
        var failed = new bool[_lanes.Length];
        for (int i = 0; i < _lanes.Length; i++)
        {
            Lane lane = _lanes[i];
            double error = attempt.Error![i];
            double tried = Math.Abs(attempt.Span.Size[i]);
            if (accepted[i])
            {
                lane.Steps.Accept(controller, Stepper.ErrorOrder, tried, error, attempt.NextFactor);
                Statistics.NextStep = lane.Steps.Size;
                continue;
            }
            double atMost = _attempts == 1 && Task.Guess is { } guess ? guess.Cautious : double.PositiveInfinity;
            bool isLargeEnough = lane.Steps.Reject(controller, Stepper.ErrorOrder, Stepper.Time[i], tried, error, atMost);
            // Where the state or its derivative is not finite, no step is small enough.
            string nothingToStartFrom = double.IsFinite(error) ? "" : NothingToStartFrom(i);
            if (!isLargeEnough || nothingToStartFrom.Length > 0)
            {
                failed[i] = true;
                SolverFailure failure = nothingToStartFrom.Length > 0 ? SolverFailure.NonFinite
                    : double.IsFinite(error) ? attempt.Drift is null ? SolverFailure.StepSizeUnderflow : SolverFailure.Drift
                    : attempt.NewtonFailed && IsFinite(Stepper.State) ? SolverFailure.Newton
                    : SolverFailure.NonFinite;
                Fail(attempt, i, failure, nothingToStartFrom);
            }
        }
        return failed;
    }

    /// <summary>Goes past the stops that were reached: a discontinuity starts the method afresh, the end finishes the lane.</summary>
    private void PassStops(bool[] accepted)
    {
        bool restart = false;
        double[] times = Stepper.Time;
        for (int i = 0; i < _lanes.Length; i++)
            restart |= accepted[i] && _lanes[i].Steps.PassStop();
        if (!restart)
            return;
        Stepper.Start(times, Context.Arithmetic.Copy(Stepper.State));
        ChooseSteps(Array.ConvertAll(_lanes, lane => lane.Steps.Size));
    }

    /// <summary>Goes on without the lanes that finished or failed.</summary>
    private void Drop(bool[] failed)
    {
        int[] kept = [.. Enumerable.Range(0, _lanes.Length).Where(i => !failed[i] && !_lanes[i].Steps.IsOver)];
        if (kept.Length == _lanes.Length)
            return;
        _lanes = Array.ConvertAll(kept, i => _lanes[i]);
        if (kept.Length == 0)
            return;
        Context.RightHandSide.Keep(Array.ConvertAll(_lanes, lane => lane.Row));
        Stepper.Keep(kept);
        Context.Arithmetic.Resize(kept.Length);
    }

    /// <summary>Gives each lane without a step size its first one.</summary>
    private void ChooseSteps(double[] given)
    {
        // A row may have finished in the very step that took another to a discontinuity.
        double[] limits = Times(i => _lanes[i].Steps.Room(Stepper.Time[i]));
        double[] chosen = given.Contains(0)
            ? InitialStep.Select(
                Context, Stepper.Time, Stepper.State, Stepper.Derivative(), Grid.Direction, Options.Method.StartOrder, limits)
            : given;
        for (int i = 0; i < _lanes.Length; i++)
            _lanes[i].Steps.Begin(Stepper.Time[i], given[i] == 0 ? chosen[i] : given[i]);
    }

    /// <summary>What is not finite where a lane stands; empty for nothing.</summary>
    private string NothingToStartFrom(int lane)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        if (!IsFinite(Of(Stepper.State)))
            return Stepper.Time[lane] == Grid.Start
                ? "The initial state itself holds such numbers." : "The state there holds such numbers.";
        return IsFinite(Of(Stepper.Derivative())) ? "" : "The right-hand side itself is NaN or infinite there.";

        Tensor Of(Tensor all) => (Options.PerRow ? all.narrow(0, lane, 1) : all).detach().contiguous();
    }

    private void StopAtStepLimit()
    {
        if (Options.OnStepLimit == StepLimitBehavior.Throw)
            throw new OdeSolverException(
                SolverFailure.StepLimit, Stepper.Time[0], Grid.Direction * _lanes[0].Steps.Size, double.NaN,
                Options.PerRow ? [.. _lanes.Take(10).Select(lane => (long)lane.Row)] : [],
                $"MaximumSteps is {Options.MaximumSteps}.{LimitRemark}");
        foreach (Lane lane in _lanes)
            Status[lane.Row] = RowStatus.StepLimit;
    }

    private void Fail(StepAttempt attempt, int lane, SolverFailure failure, string nothingToStartFrom)
    {
        if (Options.PerRow)
        {
            Status[_lanes[lane].Row] = failure == SolverFailure.NonFinite ? RowStatus.NonFinite : RowStatus.StepSizeUnderflow;
            return;
        }
        (bool blowsUp, IReadOnlyList<long> growing) = failure == SolverFailure.Drift
            ? (false, []) : BlowingUp(Math.Abs(attempt.Span.Size[lane]));
        IReadOnlyList<long> rows = growing.Count > 0 ? growing
            : nothingToStartFrom.Length > 0 && !IsFinite(Stepper.State) ? NonFiniteRows(Stepper.State)
            : nothingToStartFrom.Length > 0 ? NonFiniteRows(Stepper.Derivative())
            : failure == SolverFailure.NonFinite ? NonFiniteRows(attempt.State) : Stepper.WorstRows();
        string detail = nothingToStartFrom.Length > 0 ? nothingToStartFrom : blowsUp ? "" : LimitRemark.TrimStart();
        throw new OdeSolverException(failure, Stepper.Time[lane], attempt.Span.Size[lane], attempt.Error![lane], rows, detail, blowsUp);
    }

    /// <summary>
    /// Whether the state is much larger than at the start and would double within some thousand more of such steps, as it does before a
    /// pole; and the batch rows, at most ten, that do.
    /// </summary>
    private (bool IsTrue, IReadOnlyList<long> Rows) BlowingUp(double step)
    {
        using IDisposable noGrad = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor y = Rows(Stepper.State), growth = Rows(Stepper.Derivative()).Times(Grid.Direction) * y.sign();
        Tensor size = y.abs().amax(1);
        Tensor before = Rows(Task.InitialState).abs().amax(1).AtLeast(Math.Max(Options.AbsoluteTolerance, double.Epsilon));
        Tensor isFast = growth.amax(1).Times(1e4 * step).gt(size).logical_and(size.gt(before.Times(1e3)));
        long[] rows = [.. isFast.nonzero().reshape(-1).to(CPU).data<long>().ToArray().Take(10)];
        return (rows.Length > 0, Stepper.State.dim() == 0 ? [] : rows);

        static Tensor Rows(Tensor state)
        {
            Tensor numbers = state.detach().to(ScalarType.Float64);
            return numbers.numel() == 0
                ? numbers.new_zeros([1, 1]) : state.dim() == 0 ? numbers.reshape(1, 1) : numbers.reshape(state.shape[0], -1);
        }
    }

    /// <summary>What limited the steps besides their error.</summary>
    private string LimitRemark =>
        _driftingAttempts > _attempts / 4 ? _driftRemark
        : IsBeyondRounding
        ? " In float32, relative tolerances below about 1e-6 ask an implicit method for more than the state can hold: use float64."
        : Statistics.IsStiff
        ? " Stability, not accuracy, limited the steps: the problem is stiff; use OdeMethod.Auto or an implicit method."
        : "";

    /// <summary>Whether the stages of an implicit method cannot be as exact as the tolerance asks.</summary>
    private bool IsBeyondRounding =>
        Options is { Method.SolvesEquations: true, RelativeTolerances: null, RelativeTolerance: < 1e-6 }
            && Task.InitialState.dtype == ScalarType.Float32;

    private double[] Times(Func<int, double> value) => [.. Enumerable.Range(0, _lanes.Length).Select(value)];

    /// <summary>What the control remembers of the whole batch, or of a row that has its own steps.</summary>
    private sealed class Lane(AdaptiveSteps steps)
    {
        public int Row { get; init; }

        public int NextOutput { get; set; }

        public AdaptiveSteps Steps { get; } = steps;
    }
}
