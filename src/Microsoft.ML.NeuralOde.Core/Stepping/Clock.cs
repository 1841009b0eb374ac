namespace Microsoft.ML.NeuralOde.Stepping;

/// <summary>Makes the time tensors that right-hand sides are given, from float64 numbers, in the state's type and on its device.</summary>
/// <remarks>
/// One lane gives a scalar; per-row times have shape <c>[rows, 1, …]</c>, which broadcasts against the state. A step that ends at a
/// declared jump of the right-hand side, or begins there, spans the time up to it exactly, but f is asked one number of the state's type
/// before or behind it: rounding and either way of comparing then leave it on the step's own side.
/// </remarks>
internal sealed class Clock
{
    private readonly TimeGrid _grid;
    private readonly ScalarType _type;
    private readonly Device _device;
    private readonly bool _perRow;
    private readonly int _stateDimensions;
    private readonly Jumps? _jumps;

    /// <param name="grid">The output times.</param>
    /// <param name="state">A tensor like the state.</param>
    /// <param name="perRow">Whether each row has its own times.</param>
    /// <param name="jumps">Where the right-hand side jumps; null for nowhere.</param>
    public Clock(TimeGrid grid, Tensor state, bool perRow, IReadOnlyList<double>? jumps = null)
    {
        _jumps = Jumps.Create(jumps, state.dtype);
        _grid = grid;
        _type = state.dtype;
        _device = state.device;
        _perRow = perRow;
        _stateDimensions = (int)state.dim();
    }

    /// <summary>Whether times enter the graph.</summary>
    public bool IsTracked => _grid.IsTracked;

    /// <summary>The type that times are rounded to.</summary>
    public ScalarType Type => _type;

    /// <summary>+1 where time increases, −1 where it decreases.</summary>
    public int Direction => _grid.Direction;

    /// <summary>Whether the right-hand side has jumps, which times keep away from.</summary>
    public bool HasJumps => _jumps is not null;

    /// <summary>The times at which a step leaves from here: behind a jump that is here.</summary>
    public double[] Leaving(double[] times) =>
        _jumps is null ? times : Array.ConvertAll(times, time => _jumps.Leaving(time, _grid.Direction));

    /// <summary>A time inside a step, on the step's own side of the jumps around it.</summary>
    public double Inside(double time, double start, double end) => _jumps!.Inside(time, start, end);

    public Tensor Tensor(double[] times)
    {
        times = Leaving(times);
        if (_grid.IsTracked)
        {
            Tensor tracked = Shifted(Track(times), times);
            return _perRow ? Spread(tracked) : Squeeze(tracked);
        }
        return _perRow ? Spread(tensor(times, _type, _device)) : Numbers.Constant(times[0], _type, _device);
    }

    /// <summary>The times at a fraction of a step: in the graph they depend on its ends alone.</summary>
    public Tensor Tensor(StepSpan span, double fraction)
    {
        if (span.TrackedSize is null || fraction is 0 or 1)
            return Tensor(span.At(fraction));
        using Tensor start = Track(span.Start);
        using Tensor elapsed = span.TrackedSize.Times(fraction);
        Tensor time = Shifted(start.Plus(elapsed), span.At(fraction));
        return _perRow ? Spread(time) : Squeeze(time);
    }

    /// <inheritdoc cref="TimeGrid.OutputInside"/>
    public double? OutputInside(double start, double end) => _grid.OutputInside(start, end);

    /// <summary>end − start in the graph, shape <c>[lanes]</c>; null where times carry no derivative.</summary>
    public Tensor? Difference(double[] start, double[] end)
    {
        if (!_grid.IsTracked)
            return null;
        using Tensor from = Track(start);
        using Tensor to = Track(end);
        return to - from;
    }

    /// <summary>Tracked times that have these values, where jumps make them matter; takes the tensor over.</summary>
    private Tensor Shifted(Tensor tracked, double[] times)
    {
        if (_jumps is null)
            return tracked;
        using (tracked)
        using (Tensor values = tensor(times, _type, _device))
        using (Tensor detached = tracked.detach())
        using (Tensor difference = values - detached)
            return tracked.Plus(difference);
    }

    private Tensor Track(double[] times)
    {
        Tensor[] parts = Array.ConvertAll(times, _grid.At);
        Tensor stacked = stack(parts);
        foreach (Tensor part in parts)
            part.Dispose();
        return stacked;
    }

    private static Tensor Squeeze(Tensor times)
    {
        using (times)
            return times.squeeze(0);
    }

    private Tensor Spread(Tensor times)
    {
        using (times)
        {
            var shape = new long[_stateDimensions];
            Array.Fill(shape, 1);
            shape[0] = times.numel();
            return times.reshape(shape);
        }
    }
}
