using Microsoft.ML.NeuralOde.Stepping;

namespace Microsoft.ML.NeuralOde.Series;

/// <summary>
/// States that follow a differential equation. It is solved once for all rows, by steps of one size from the anchor, and cubics lead from
/// step to step: a row's states are the same whatever the others ask for.
/// </summary>
internal sealed class SolvedMotion : LatentMotion
{
    /// <summary>More steps are a mistake in the unit of time.</summary>
    private const long MostSteps = 100_000;

    private readonly DenseDynamics _dynamics;
    private readonly OdeSolverOptions _solver;
    private readonly double _step;

    public SolvedMotion(LatentOdeOptions options)
        : base(nameof(SolvedMotion))
    {
        _step = options.StepSize;
        _solver = new OdeSolverOptions { Method = options.Method, StepSize = options.StepSize };
        _dynamics = new DenseDynamics(
            options.LatentSize, [options.HiddenSize], time: TimeDependence.None,
            conditions: options.StaticCovariates + options.Covariates);
        Oscillators.Initialize(_dynamics, _step);
        register_module("dynamics", _dynamics);
    }

    public override Tensor forward(Tensor state, Tensor elapsed, LatentConditions conditions)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor places = elapsed.Over(_step);
        long before = Steps(places.detach().neg(), elapsed), after = Steps(places.detach(), elapsed);
        Tensor[] backward = before > 0 ? [Solve(state, -before, conditions).narrow(0, 1, before).flip(0)] : [];
        Tensor forward = after > 0 ? Solve(state, after, conditions) : state.unsqueeze(0);
        Tensor states = cat([.. backward, forward], 0).transpose(0, 1);
        if (states.size(1) == 1)
            return states.expand(state.size(0), elapsed.size(1), state.size(1)).contiguous().MoveToOuterDisposeScope();
        Tensor slopes = Slopes(states, before, elapsed.size(0), conditions);
        return Between(states, slopes, conditions.Repeated(places).Plus(before)).MoveToOuterDisposeScope();
    }

    /// <summary>The number of steps that reach every time on one side of the anchor.</summary>
    private static long Steps(Tensor places, Tensor elapsed)
    {
        using Tensor most = places.max();
        double steps = Math.Ceiling(most.ToDouble() - 1e-9);
        if (steps > MostSteps)
        {
            long row = places.amax([1L]).argmax().item<long>();
            throw new ArgumentException(
                $"Row {row}: a time lies {OptionText.Of(elapsed.detach()[row].abs().max().ToDouble())} from the anchor, more than {MostSteps} steps of "
                + $"{nameof(LatentOdeOptions)}.{nameof(LatentOdeOptions.StepSize)}. Scale the times so that a series takes about 1, or take larger steps.",
                nameof(elapsed));
        }
        return (long)Math.Max(0, steps);
    }

    /// <summary>The states at the anchor and behind each step, <c>[steps + 1, rows, latent]</c>.</summary>
    private Tensor Solve(Tensor state, long steps, LatentConditions conditions)
    {
        long count = Math.Abs(steps);
        double step = Math.Sign(steps) * _step;
        Tensor times = Numbers.Range(count + 1, ScalarType.Float64, CPU).Times(step);
        // Conditions at the ends and in the middle of the steps, and lines between them.
        Tensor halves = Numbers.Range((2 * count) + 1, ScalarType.Float64, state.device).Times(step / 2);
        Tensor? along = conditions.At(halves.expand(conditions.AnchorTime.size(0), halves.size(0)));
        if (along is null)
            return Ode.Solve(_dynamics, state, times, _solver).States;
        Tensor Forward(Tensor t, Tensor y, IReadOnlyList<Tensor> arguments)
        {
            using DisposeScope scope = NewDisposeScope();
            return _dynamics.Evaluate(t, y, Line(arguments[0], t.ToDouble() / (step / 2))).MoveToOuterDisposeScope();
        }

        Tensor[] given = [along.DetachFromDisposeScope()];
        return Ode.Solve(
            new RowArgumentField(_dynamics, Forward, RowArgumentField.Apart(given)), state, TimeGrid.Create(times), null, _solver).States;
    }

    /// <summary>dz/dt at all steps, <c>[rows, steps, latent]</c>.</summary>
    private Tensor Slopes(Tensor states, long before, long rows, LatentConditions conditions)
    {
        Tensor steps = Numbers.Range(states.size(1), ScalarType.Float64, states.device).Minus(before).Times(_step);
        Tensor flat = states.reshape(-1, states.size(2));
        Tensor zero = zeros([], states.dtype, states.device);
        Tensor? along = conditions.At(steps.expand(rows, states.size(1)));
        Tensor slopes = along is null ? _dynamics.call(zero, flat) : _dynamics.Evaluate(zero, flat, along.reshape(flat.size(0), -1));
        return slopes.view_as(states);
    }

    /// <summary>The cubics through states and slopes.</summary>
    /// <param name="states">Shape <c>[rows, steps, latent]</c>.</param>
    /// <param name="slopes">In the shape of the states.</param>
    /// <param name="places">Numbers of steps, <c>[rows, n]</c>.</param>
    private Tensor Between(Tensor states, Tensor slopes, Tensor places)
    {
        Tensor start = places.detach().floor().to(ScalarType.Int64).Within(0, states.size(1) - 2);
        Tensor index = start.unsqueeze(2).expand(start.size(0), start.size(1), states.size(2));
        Tensor next = index.Shift(1);
        Tensor s = (places - start.to(places.dtype)).to(states.dtype).unsqueeze(2);
        Tensor from = states.gather(1, index), rise = states.gather(1, next) - from;
        Tensor slope = slopes.gather(1, index).Times(_step), end = slopes.gather(1, next).Times(_step);
        // z₀ + s (h z₀′ + s (3 Δ − 2 h z₀′ − h z₁′ + s (h z₀′ + h z₁′ − 2 Δ)))
        Tensor third = slope.Plus(end) - rise.Times(2);
        Tensor second = rise - slope - third;
        return from.Plus(s * slope.Plus(s * second.Plus(s * third)));
    }

    private static Tensor Line(Tensor values, double place)
    {
        long start = Math.Clamp((long)Math.Floor(place), 0, values.size(1) - 2);
        Tensor from = values.select(1, start);
        double part = place - start;
        return part == 0 ? from : from.Plus((values.select(1, start + 1) - from).Times(part));
    }
}
